"""The studio's speed and its behaviour under load: see `run`."""

import argparse
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
    variants = {"batches of 16": [], "no batching": ["--batch", "1"]}
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
        print(f"  {name:14} {median:6.1f} edits/s   batching is {ours / median:.2f} x")


# What is sent by mistake or in bad faith, and the answers that are right for it.
SAMPLE_BYTES = SAMPLE.read_bytes()
PNG_OF_4_GIGAPIXELS = bytes.fromhex("89504e470d0a1a0a0000000d49484452000100000001000008020000008b5a1bd1") + b"\0" * 64
BAD = [
    ("POST", "/api/photos", b"not a photo", {}, {415}),
    ("POST", "/api/photos", b"", {}, {415}),
    ("POST", "/api/photos", SAMPLE_BYTES[:30000], {}, {422}),
    ("POST", "/api/photos", SAMPLE_BYTES[:600] + bytes(random.Random(1).randbytes(40000)), {}, {415, 422}),
    ("POST", "/api/photos", PNG_OF_4_GIGAPIXELS, {}, {413, 415, 422}),
    ("POST", "/api/photos/{id}/preview", b"{", {"Content-Type": "application/json"}, {400}),
    ("POST", "/api/photos/{id}/preview", {"edits": [{"attribute": "Smiling", "strength": 1e9}]}, {}, {400}),
    ("POST", "/api/photos/{id}/preview", {"edits": [{"attribute": "None", "strength": 1}]}, {}, {422}),
    ("POST", "/api/photos/{id}/preview", {"region": {"x": 0, "y": 0, "width": 10**9, "height": 1}}, {}, {400}),
    ("POST", "/api/photos/{id}/preview", b"[" * 60000, {"Content-Type": "application/json"}, {400}),
    ("POST", "/api/photos/{id}/spectrum", {"attribute": "Smiling", "size": 100000}, {}, {400}),
    ("POST", "/api/morph", {"from": {"photo": "A" * 22}, "to": {"photo": "B" * 22}}, {}, {404}),
    ("GET", "/api/photos/AAAAAAAAAAAAAAAAAAAAAA", None, {}, {404}),
    ("GET", "/../../../../etc/passwd", None, {}, {400, 404}),
    ("DELETE", "/api/photos", None, {}, {405}),
    ("POST", "/api/photos/sample", None, {"Origin": "https://evil.example"}, {403}),
    ("GET", "/health", None, {"Host": "evil.example"}, {421}),
]


class Load:
    """Clients that edit, and send nonsense among it, for some minutes."""

    def __init__(self, server: Server, clients: int, minutes: float):
        self.server = server
        self.answers: Counter = Counter()
        self.wrong: list[str] = []
        self.end = time.monotonic() + minutes * 60
        self.expected = self.expectations()
        self.threads = [threading.Thread(target=self.work, args=(number,)) for number in range(clients)]

    def expectations(self) -> dict:
        """Previews as they are when nobody else asks."""
        client = Client(self.server)
        result = {}
        for seed in range(4):
            photo = client.session("/api/photos/random", {"seed": seed})
            for attribute in ATTRIBUTES:
                for strength in (-1, 1):
                    answer = client.post(f"/api/photos/{photo}/preview", edit(attribute, strength))
                    result[seed, attribute, strength] = answer[2]
            client.send("DELETE", f"/api/photos/{photo}")
        return result

    def check(self, what: str, holds: bool, detail="") -> None:
        self.answers[what] += 1
        if not holds:
            self.wrong.append(f"{what}: {detail}")

    def work(self, number: int) -> None:
        chance = random.Random(number)
        client, photo, seed = Client(self.server), None, 0
        while time.monotonic() < self.end:
            try:
                if photo is None:
                    seed = chance.randrange(4)
                    status, _, answer = client.post("/api/photos/random", {"seed": seed})
                    if status == 503:  # all places are in use: that is an answer, too
                        self.answers["busy"] += 1
                        time.sleep(0.2)
                        continue
                    self.check("random face", status == 201, status)
                    photo = json.loads(answer)["id"]
                self.act(client, f"/api/photos/{photo}", seed, chance)
                if chance.random() < 0.02:
                    self.check("delete", client.send("DELETE", f"/api/photos/{photo}")[0] == 204)
                    photo = None
            except (http.client.HTTPException, OSError) as error:
                self.wrong.append(f"connection: {error!r}")

    def act(self, client: Client, path: str, seed: int, chance: random.Random) -> None:
        kind = chance.choices(
            ["preview", "slide", "spectrum", "inspect", "render", "upload", "morph", "bad", "abort"],
            [60, 8, 4, 4, 2, 1, 0.5, 15, 2])[0]
        attribute, strength = chance.choice(ATTRIBUTES), chance.choice([-1, 1])
        if kind == "preview":
            status, _, answer = client.post(path + "/preview", edit(attribute, strength))
            same = status == 200 and is_same(answer, self.expected[seed, attribute, strength])
            self.check(kind, same or status == 503, f"{status} {seed} {attribute} {strength}")
        elif kind == "slide":
            # Two connections of one slider: the later may drop the earlier.
            other = Client(self.server)
            for sequence, sender in enumerate([client, other]):
                sender.connection.request(
                    "POST", path + "/preview", json.dumps(edit(attribute, strength) | {"sequence": sequence}),
                    {"Content-Type": "application/json"})
            for sequence, sender in enumerate([client, other]):
                response = sender.connection.getresponse()
                answer = response.read()
                allowed = {200, 503} if sequence else {200, 409, 503}
                right = response.status != 200 or is_same(answer, self.expected[seed, attribute, strength])
                self.check(f"slide {response.status}", response.status in allowed and right, response.status)
            other.connection.close()
        elif kind == "spectrum":
            status, headers, answer = client.post(path + "/spectrum", {"attribute": attribute, "size": 64})
            self.check(kind, status == 503 or status == 200 and answer[:2] == b"\xff\xd8", status)
        elif kind == "inspect":
            status, _, answer = client.post(path + "/inspect", {"edits": edit(attribute, strength)["edits"]})
            self.check(kind, status == 503 or status == 200 and len(json.loads(answer)["attributes"]) == 40, status)
        elif kind == "render":
            status, _, answer = client.post(path + "/render", {"edits": edit(attribute, strength)["edits"]})
            self.check(kind, status == 503 or status == 200 and answer[1:4] == b"PNG", status)
        elif kind == "upload":
            status, _, answer = client.post("/api/photos", SAMPLE_BYTES)
            self.check(kind, status in (201, 503), status)
            if status == 201:
                client.send("DELETE", f"/api/photos/{json.loads(answer)['id']}")
        elif kind == "morph":
            photo = {"photo": path.rsplit("/", 1)[1]}
            body = {"from": photo, "to": photo, "frames": 4, "size": 64}
            status, _, answer = client.post("/api/morph", body)
            self.check(kind, status == 503 or status == 200 and answer[:4] == b"RIFF", status)
        elif kind == "abort":
            other = Client(self.server)
            other.connection.putrequest("POST", "/api/photos")
            other.connection.putheader("Content-Length", str(len(SAMPLE_BYTES)))
            other.connection.endheaders()
            other.connection.send(SAMPLE_BYTES[: chance.randrange(len(SAMPLE_BYTES))])
            other.connection.close()
            self.answers[kind] += 1
        else:
            method, target, body, headers, allowed = chance.choice(BAD)
            status, _, _ = client.send(method, target.replace("/api/photos/{id}", path), body, headers)
            self.check(kind, status in allowed | {503}, f"{method} {target}: {status}")

    def run(self) -> None:
        start, rows = time.monotonic(), []
        for thread in self.threads:
            thread.start()
        while time.monotonic() < self.end:
            time.sleep(5)
            rows.append((time.monotonic() - start, self.server.memory()))
            assert self.server.process.poll() is None, "the server has ended"
        for thread in self.threads:
            thread.join()
        answers = sum(self.answers.values())
        print(f"{len(self.threads)} clients, {rows[-1][0]:.0f} s: {answers} answers, {len(self.wrong)} wrong")
        print("  " + ", ".join(f"{name} {count}" for name, count in sorted(self.answers.items())))
        for what in self.wrong[:10]:
            print(f"  wrong: {what}")
        print("  memory by minute: " + ", ".join(
            f"{statistics.mean(m for t, m in rows if minute * 60 <= t < minute * 60 + 60):.0f} MB"
            for minute in range(int(rows[-1][0] // 60 + 1)) if any(minute * 60 <= t < minute * 60 + 60 for t, _ in rows)))


def is_same(answer: bytes, expected: bytes) -> bool:
    """The same picture: decoded as one of a batch, a value may be rounded differently."""
    if answer == expected:
        return True
    import cv2
    import numpy

    one, other = (cv2.imdecode(numpy.frombuffer(b, numpy.uint8), 1) for b in (answer, expected))
    return one is not None and one.shape == other.shape and float(cv2.absdiff(one, other).mean()) < 0.05


def load(minutes: float, clients: int = 16) -> None:
    server = Server()
    load = Load(server, clients, minutes)
    load.run()
    assert server.stop() == 0, "the server did not end well"
    if load.wrong:
        raise SystemExit(1)


def studio(options: argparse.Namespace) -> None:
    if options.minutes:
        return load(options.minutes)
    latency(300)
    batching(options.rounds, options.seconds)
