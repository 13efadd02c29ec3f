"""What the scripts here share: the program, its server, drawn faces, and how a process ended."""

import http.client
import json
import os
import random
import re
import resource
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("FACET_PROGRAM", ROOT / ".build/release/facet"))
RESOURCES = ROOT / "Sources/Facet/Resources"
SAMPLE = RESOURCES / "astronaut.jpg"
MODEL = RESOURCES / "default.facet"
PARSER = RESOURCES / "default.parser"

SECONDS = 10  # what nothing may take longer than, on a machine that is not busy (see Clock)
MEGABYTES = 1500  # what no process may take more than


class Clock:
    """The seconds that a process takes, less those in which it waits for a processor that others have."""

    def __init__(self, pid: int):
        self.pid, self.threads, self.waited = pid, {}, 0.0
        self.start, self.ran = time.monotonic(), self.processor()
        self.look()
        self.waited, self.ended = 0.0, threading.Event()
        # Threads that decode come and go.
        self.looking = threading.Thread(target=self.look_on, daemon=True)
        self.looking.start()

    def look_on(self) -> None:
        while not self.ended.wait(0.02):
            self.look()

    def look(self) -> None:
        """Adds what its threads have waited since the last look."""
        for path in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            try:
                waited = int(path.read_text().split()[1]) / 1e9
            except (OSError, IndexError):
                continue  # the thread has ended
            self.waited += waited - self.threads.get(path, 0)
            self.threads[path] = waited

    def processor(self) -> float:
        """What all its threads have run."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def seconds(self) -> float:
        """To be asked once, while the process is there, be it only as one that has ended."""
        self.ended.set()
        self.looking.join()
        self.look()
        whole, ran = time.monotonic() - self.start, self.processor() - self.ran
        return min(whole, ran + max(0, whole - ran - self.waited))


class Ended:
    """A process that has ended."""

    def __init__(self, status: int, seconds: float, megabytes: float, output: str, errors: str):
        self.status, self.seconds, self.megabytes, self.output, self.errors = status, seconds, megabytes, output, errors

    @property
    def has_crashed(self) -> bool:
        """Codes of a command are 0, 1, 64 and 130; signals and traps have others."""
        return self.status not in (0, 1, 64, 130)

    def __str__(self) -> str:
        return f"code {self.status}, {self.seconds:.1f} s, {self.megabytes:.0f} MB: {self.errors.strip()[-200:]}"


def run(arguments: list, timeout: float = 120, environment: dict = {}, cwd=None) -> Ended:
    """Runs the program to its end, or kills it after the time (code -9)."""
    command = [str(PROGRAM), *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    ) as process:
        clock, parts = Clock(process.pid), {}

        def read(name, stream):
            parts[name] = stream.read()

        readers = [
            threading.Thread(target=read, args=pair)
            for pair in (("out", process.stdout), ("err", process.stderr))
        ]
        for reader in readers:
            reader.start()
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        seconds = clock.seconds()
        _, status, usage = os.wait4(process.pid, 0)
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        for reader in readers:
            reader.join()
    return Ended(
        process.returncode, seconds, usage.ru_maxrss / 1024,
        parts["out"].decode(errors="replace"), parts["err"].decode(errors="replace"))


class Server:
    """`facet serve` on a free port."""

    def __init__(self, *options: str, token: str | None = None):
        self.token = token
        self.process = subprocess.Popen(
            [str(PROGRAM), "serve", "--port", "0", *options], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"})
        found = re.search(r"http://[^:]+:(\d+)/", self.process.stdout.readline())
        if not found:
            raise SystemExit("the server did not start")
        self.port = int(found.group(1))

    def clock(self) -> Clock:
        return Clock(self.process.pid)

    def is_running(self) -> bool:
        return self.process.poll() is None

    def megabytes(self, field: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(field))

    def connection(self, timeout: float = 60) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def send(self, method: str, path: str, body=None, headers: dict = {}, timeout: float = 60, connection=None):
        """Status, headers and body of an answer."""
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}", **headers}
        own = connection or self.connection(timeout)
        try:
            own.request(method, path, body, headers)
            answer = own.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            if connection is None:
                own.close()

    def health(self, timeout: float = 10) -> float | None:
        """The seconds that an answer takes; None without one."""
        start = time.monotonic()
        try:
            status, _, _ = self.send("GET", "/health", timeout=timeout)
        except (OSError, http.client.HTTPException):
            return None
        return time.monotonic() - start if status == 200 else None

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def reset(connection: socket.socket) -> None:
    """Ends a connection as a machine does that has lost its power."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def quantile(values: list, share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def draw_faces(folder: Path, count: int, side: int = 64, seed: int = 5) -> None:
    """A data set in CelebA's layout, of faces drawn from ellipses, with their label maps."""
    from PIL import Image, ImageDraw

    chance = random.Random(seed)
    for name in ("img_align_celeba", "mask_faceparsing"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, partitions = [], []
    for i in range(count):
        name = f"{i + 1:06d}"
        photo = Image.new("RGB", (side, side), tuple(chance.randrange(256) for _ in range(3)))
        labels = Image.new("L", (side, side), 0)

        def ellipse(x, y, w, h, colour, label):
            box = [(x - w) * side, (y - h) * side, (x + w) * side, (y + h) * side]
            ImageDraw.Draw(photo).ellipse(box, fill=colour)
            ImageDraw.Draw(labels).ellipse(box, fill=label)

        middle = 0.5 + chance.uniform(-0.03, 0.03)
        ellipse(middle, 0.5, 0.3, 0.4, (220, 180, 120 + i % 60), 1)
        smiles, wears = i % 2 == 0, i % 3 == 0
        for x in (middle - 0.12, middle + 0.12):
            if wears:
                ellipse(x, 0.42, 0.09, 0.08, (20, 20, 20), 6)
            ellipse(x, 0.42, 0.05, 0.04, (40, 40, 60), 4)
        ellipse(middle, 0.68, 0.17 if smiles else 0.1, 0.04, (180, 60, 60), 12)
        photo.save(folder / "img_align_celeba" / f"{name}.jpg", quality=95)
        labels.save(folder / "mask_faceparsing" / f"{name}.png")
        rows.append(f"{name}.jpg {1 if smiles else -1} {1 if wears else -1}")
        partitions.append(f"{name}.jpg {1 if i % 4 == 3 else 0}")
    (folder / "list_attr_celeba.txt").write_text(f"{count}\nSmiling Eyeglasses\n" + "\n".join(rows) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(partitions) + "\n")
