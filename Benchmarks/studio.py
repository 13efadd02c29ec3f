"""The studio's speed and its behaviour under load: see `run`."""

import http.client
import json
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
FACET = HERE.parent / ".build/release/facet"
SAMPLE = HERE.parent / "Sources/Facet/Resources/astronaut.jpg"
ATTRIBUTES = ["Smiling", "Young", "Eyeglasses", "Blond_Hair", "Male", "Bangs", "Mustache", "Pale_Skin"]


class Server:
    """`facet serve` on a free port."""

    def __init__(self, *options: str):
        command = [str(FACET), "serve", "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.search(r"http://[^:]+:(\d+)/", line).group(1))

    def memory(self) -> float:
        """Megabytes of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(l.split()[1]) / 1024 for l in status.splitlines() if l.startswith("VmRSS"))

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait()


class Client:
    """One connection."""

    def __init__(self, server: Server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def send(self, method: str, path: str, body=None, headers: dict = {}) -> tuple[int, http.client.HTTPMessage, bytes]:
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            return response.status, response.headers, response.read()
        except (http.client.HTTPException, OSError):
            self.connection.close()
            raise

    def post(self, path: str, body=None) -> tuple[int, http.client.HTTPMessage, bytes]:
        return self.send("POST", path, body)

    def session(self, path: str, body=None) -> str:
        status, _, answer = self.post(path, body)
        assert status == 201, answer
        return json.loads(answer)["id"]


def edit(attribute: str, strength: float) -> dict:
    return {"edits": [{"attribute": attribute, "strength": strength}], "size": 512}


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def latency(moves: int) -> None:
    """One slider that moves: each preview is asked for when the one before is there."""
    server = Server()
    client = Client(server)
    photo = client.session("/api/photos/sample")
    parts: dict[str, list[float]] = {}
    for number in range(moves + 10):
        body = edit(ATTRIBUTES[number // 40 % len(ATTRIBUTES)], number % 40 / 20 - 1) | {"sequence": number}
        start = time.perf_counter()
        status, headers, _ = client.post(f"/api/photos/{photo}/preview", body)
        took = (time.perf_counter() - start) * 1000
        assert status == 200
        if number < 10:
            continue
        parts.setdefault("whole request", []).append(took)
        for name, value in re.findall(r"(\w+);dur=([\d.]+)", headers["Server-Timing"]):
            parts.setdefault(name, []).append(float(value))
    server.stop()
    print(f"preview of 512 pixels, one slider, {moves} moves: milliseconds, median and 95th percentile")
    for name, values in parts.items():
        print(f"  {name:14} {statistics.median(values):6.1f} {percentile(values, 0.95):6.1f}")


LUA = """
local photos = { %s }
local names = { %s }
math.randomseed(1)
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  local body = string.format('{"edits": [{"attribute": "%%s", "strength": %%.3f}], "size": 512}',
    names[math.random(#names)], math.random() * 4 - 2)
  return wrk.format(nil, "/api/photos/" .. photos[math.random(#photos)] .. "/preview", nil, body)
end
"""


def edits_per_second(server: Server, script: Path, clients: int, seconds: int) -> float:
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", str(script), f"http://127.0.0.1:{server.port}/"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "Non-2xx" not in text, text
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))


def batching(rounds: int, seconds: int, clients: int = 16) -> None:
    """Edits a second of many clients, with batching and without, taking turns."""
    if not shutil.which("wrk"):
        raise SystemExit("wrk is needed: apt-get install wrk")
    variants = {"batches of 16": [], "no batching": ["--batch", "1"], "no batching, 1 thread": ["--batch", "1", "--threads", "1"]}
    results: dict[str, list[float]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as folder:
        servers, scripts = {}, {}
        for name, options in variants.items():
            servers[name] = Server(*options)
            client = Client(servers[name])
            photos = [client.session("/api/photos/random", {"seed": seed}) for seed in range(clients)]
            scripts[name] = Path(folder) / f"{len(scripts)}.lua"
            scripts[name].write_text(LUA % (", ".join(f'"{p}"' for p in photos), ", ".join(f'"{a}"' for a in ATTRIBUTES)))
            edits_per_second(servers[name], scripts[name], clients, 2)
        for _ in range(rounds):
            for name in variants:
                results[name].append(edits_per_second(servers[name], scripts[name], clients, seconds))
        for server in servers.values():
            server.stop()
    print(f"previews of 512 pixels, {clients} clients with a photo each, {rounds} rounds of {seconds} s each in turns")
    ours = statistics.median(results["batches of 16"])
    for name, values in results.items():
        median = statistics.median(values)
        print(f"  {name:24} {median:6.1f} edits/s   batching is {ours / median:.2f} x")
