#!/usr/bin/env python3
"""Long commands that are killed, and disks that are full, over and over: `make kills`.

Training, sharpening a decoder, writing label maps and finding directions are killed (SIGKILL) at chance moments, or find
a full disk there, and are started again until they end. What they leave must be, to the bit, what a run without a break
leaves, and nothing half-written. Works on drawn faces; needs Python with Pillow, and as root mounts small file systems
for the full disks, else limits the size of files.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from facet import PROGRAM, draw_faces, run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def tensors(path: Path) -> str:
    """A hash of a safetensors file's tensors; its metadata may tell the time."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + data[8 + length :]).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """What a command leaves, by file; logs tell times and are left out."""
    return {
        str(path.relative_to(folder)): tensors(path) if path.suffix == ".safetensors" else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "logs" not in path.parts and path.name not in ("previous.safetensors", ".facet.lock")
    }


def leftovers(folder: Path) -> list[str]:
    return [str(p) for p in folder.rglob(".*") if p.name.endswith(".tmp")]


class Work:
    """A command, how it is taken up again, and where its result lies."""

    def __init__(self, name: str, begin: list, again: list, output: Path, prepare=lambda folder: None):
        self.name, self.begin, self.again, self.output, self.prepare = name, begin, again, output, prepare

    def command(self, arguments: list, output: Path) -> list[str]:
        return [str(PROGRAM), *(str(a).replace("OUTPUT", str(output)) for a in arguments)]

    def whole(self) -> tuple[dict, float]:
        self.prepare(self.output)
        start = time.monotonic()
        subprocess.run(self.command(self.begin, self.output), env=ENVIRONMENT, check=True, capture_output=True)
        return contents(self.output), time.monotonic() - start

    def until_done(self, output: Path, interrupt) -> tuple[int, str]:
        """Starts it again until it ends by itself; how often it was interrupted, and what it said then."""
        count = 0
        for attempt in range(1000):
            arguments = self.begin if attempt == 0 else self.again
            process = subprocess.Popen(
                self.command(arguments, output), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            was_interrupted = interrupt(process)
            errors = process.communicate()[1]
            if process.returncode == 0:
                return count, errors
            if not was_interrupted:
                raise SystemExit(f"{self.name}: ended with {process.returncode}: {errors[-500:]}")
            count += 1
        raise SystemExit(f"{self.name}: never ended")


def kills(work: Work, times: int, chance: random.Random) -> str:
    expected, seconds = work.whole()
    killed, rounds = 0, 0
    while killed < times:
        output = work.output.parent / f"{work.output.name}-killed-{rounds}"
        work.prepare(output)
        budget = min(times - killed, 5)
        state = {"left": budget}

        def interrupt(process) -> bool:
            if state["left"] == 0:
                return False
            try:
                process.wait(chance.uniform(0.05, 1) * seconds)
                return False
            except subprocess.TimeoutExpired:
                process.kill()
                state["left"] -= 1
                return True

        count, _ = work.until_done(output, interrupt)
        killed += count
        rounds += 1
        found = contents(output)
        if found != expected:
            changed = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
            raise SystemExit(f"{work.name}: after {count} kills these differ: {changed}; see {output}")
        if left := leftovers(output):
            raise SystemExit(f"{work.name}: left {left}")
        shutil.rmtree(output)
        if count == 0 and rounds > 50:
            raise SystemExit(f"{work.name}: too quick to be killed")
    return f"| {work.name} | {killed} kills in {rounds} runs | the same to the bit, nothing left |"


def full_disks(work: Work, times: int, chance: random.Random) -> str:
    expected = contents(work.output)
    size = sum(p.stat().st_size for p in work.output.rglob("*") if p.is_file())
    can_mount = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    said = 0
    for number in range(times):
        output = work.output.parent / f"{work.output.name}-full-{number}"
        work.prepare(output)
        output.mkdir(exist_ok=True)
        command = work.command(work.begin, output)
        least = sum(p.stat().st_size for p in output.rglob("*") if p.is_file())
        limit = least + int(chance.uniform(0.02, 0.95) * max(1, size - least))
        if can_mount:
            # A file system of its own, in which the rest is what the run before left.
            script = (
                'set -e; mkdir "$1.disk"; mount -t tmpfs -o size="$2" tmpfs "$1.disk"; cp -a "$1/." "$1.disk/"; '
                'shift 2; set +e; "$@"; code=$?; cp -a "$DISK.disk/." "$DISK/"; umount "$DISK.disk"; exit $code'
            )
            arguments = [str(a) if str(a) != str(output) else f"{output}.disk" for a in command]
            ended = subprocess.run(
                ["unshare", "-m", "bash", "-c", script, "bash", str(output), str(limit), *arguments],
                env={**ENVIRONMENT, "DISK": str(output)}, capture_output=True, text=True)
        else:
            ended = subprocess.run(
                ["bash", "-c", f"trap '' XFSZ; ulimit -f {max(1, limit // 1024)}; exec \"$0\" \"$@\"", *command],
                env=ENVIRONMENT, capture_output=True, text=True)
        if ended.returncode not in (0, 1):
            raise SystemExit(f"{work.name}: on a full disk it ended with {ended.returncode}: {ended.stderr[-300:]}")
        if ended.returncode == 1:
            said += 1
            if "No space left" not in ended.stderr and "File too large" not in ended.stderr:
                raise SystemExit(f"{work.name}: on a full disk it said {ended.stderr[-300:]}")
        if left := leftovers(output):
            raise SystemExit(f"{work.name}: on a full disk it left {left}")
        if ended.returncode == 1:
            again = work.again if any(output.iterdir()) or work.again == work.begin else work.begin
            more = subprocess.run(work.command(again, output), env=ENVIRONMENT, capture_output=True, text=True)
            if more.returncode:
                raise SystemExit(f"{work.name}: after a full disk it ended with {more.returncode}: {more.stderr[-300:]}")
        if contents(output) != expected:
            raise SystemExit(f"{work.name}: after a full disk the result differs; see {output}")
        shutil.rmtree(output)
        shutil.rmtree(f"{output}.disk", ignore_errors=True)
    return f"| {work.name} | {times} full disks, {said} of them noticed | the same to the bit, nothing left |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="kills, and full disks, of each command (default 20)")
    parser.add_argument("--images", type=int, default=640, help="length of the trainings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=["train", "sharpen", "parse", "attributes"])
    options = parser.parse_args()
    chance = random.Random(options.seed)
    folder = Path(tempfile.mkdtemp(prefix="facet-kills-"))
    ENVIRONMENT["XDG_CACHE_HOME"] = str(folder / "cache")
    os.environ["XDG_CACHE_HOME"] = ENVIRONMENT["XDG_CACHE_HOME"]
    data = folder / "data"
    draw_faces(data, 64)
    length = ["--images", options.images, "--batch", 8, "--threads", 1, "--checkpoint-minutes", 0]
    start = folder / "start"
    for command in (
        ["train", "--data", data, "--output", start, "--image-size", 32, "--latent-size", 8, "--images", 80, "--batch", 8, "--threads", 1],
        ["attributes", "--model", start, "--data", data, "--scale", 1, "--threads", 1],
    ):
        if (ended := run(command, timeout=1800)).status:
            raise SystemExit(str(ended))

    def copy(target: Path) -> None:
        shutil.copytree(start, target)
        for name in ("attributes.safetensors",):
            (target / name).unlink(missing_ok=True)
        shutil.rmtree(target / "checkpoints", ignore_errors=True)

    train = ["train", "--data", data, "--output", "OUTPUT", "--image-size", 32, "--latent-size", 8, "--validate-every", 160, *length]
    sharpen = ["sharpen", "--model", start, "--data", data, "--output", "OUTPUT", "--attribute", "Smiling", *length]
    parse = ["parse", data / "img_align_celeba", "-o", "OUTPUT", "--batch", 2, "--threads", 1]
    attributes = ["attributes", "--model", "OUTPUT", "--data", data, "--photos", 8, "--threads", 1]
    works = [
        Work("train", train, [*train, "--resume"], folder / "train"),
        Work("sharpen", sharpen, [*sharpen, "--resume"], folder / "sharpen"),
        Work("parse", parse, [*parse, "--resume"], folder / "parse"),
        Work("attributes", attributes, attributes, folder / "attributes", copy),
    ]
    print("| command | what befell it | result |\n|---|---|---|")
    for work in works:
        if options.only in (None, work.name):
            print(kills(work, options.times, chance), flush=True)
            print(full_disks(work, options.times, chance), flush=True)
    shutil.rmtree(folder)


main()
