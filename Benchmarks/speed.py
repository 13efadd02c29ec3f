"""Time and memory of Facet beside its peers, taking turns."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FACET = HERE.parent / ".build/release/facet"
STEP = HERE / ".build/release/facet-step"
DATA = HERE / ".build/release/facet-data"
PYTHON = os.environ.get("PEER_PYTHON", "python3")


class Server:
    """A program that runs K steps for each K and says how long they took."""

    def __init__(self, command: list[str]):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.read()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[0]} ended early")
        return json.loads(line)

    def ask(self, line: str) -> dict:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def steps(self, count: int) -> float:
        return self.ask(str(count))["seconds"]

    def peak_megabytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(l.split()[1]) / 1024 for l in status.splitlines() if l.startswith("VmHWM"))


def step(options: argparse.Namespace) -> None:
    threads = options.threads or os.cpu_count()
    peer = [PYTHON, str(HERE / "peers/step.py"), "--serve", "--preset", options.preset, "--batch", str(options.batch)]
    peer += ["--threads", str(threads)]
    if options.precision == "bfloat16":
        peer.append("--bf16")
    servers = {
        "facet": Server([str(STEP), options.preset, str(options.batch), str(threads), options.precision]),
        "torch eager": Server(peer),
    }
    if not options.no_compile:
        servers["torch.compile"] = Server(peer + ["--compile"])
    seconds = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, server in servers.items():
            seconds[name].append(server.steps(options.steps) / options.steps)
    print(f"training step, {options.preset}, batch {options.batch}, {threads} threads, {options.precision}")
    ours = statistics.median(seconds["facet"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"  {name:14} {options.batch / median:7.1f} images/s   {median * 1000:7.1f} ms a step   "
            f"peak {servers[name].peak_megabytes():6.0f} MB   facet is {median / ours:.2f} x"
        )


def ranks(options: argparse.Namespace) -> None:
    """One process with all threads against one process a thread, at the same global batch."""
    threads = options.threads or os.cpu_count()
    arguments = [options.preset, str(options.batch)]
    torchrun = [str(Path(PYTHON).parent / "torchrun") if "/" in PYTHON else "torchrun", "--standalone"]
    torchrun += ["--nproc-per-node", str(threads), "--no-python"]
    servers = {
        "one process": Server([str(STEP), *arguments, str(threads), options.precision]),
        f"{threads} processes": Server([*torchrun, str(STEP), *arguments, "1", options.precision]),
    }
    seconds = {name: [] for name in servers}
    for _ in range(options.rounds):
        for name, server in servers.items():
            seconds[name].append(server.steps(options.steps) / options.steps)
    print(f"training step, {options.preset}, batch {options.batch}, {threads} threads, {options.precision}")
    alone = statistics.median(seconds["one process"])
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"  {name:14} {options.batch / median:7.1f} images/s   {alone / median:.2f} x one process")


def celeba(folder: Path, frames: Path, copies: int, validation: int = 0) -> Path:
    """A folder laid out as CelebA with each of the frames under `copies` names; returns that of its photos."""
    header, names, *rows = (frames / "list_attr_celeba.txt").read_text().splitlines()
    rows = [row.split(maxsplit=1) for row in rows if row.strip()]
    photos = folder / "img_align_celeba"
    photos.mkdir(parents=True)
    attributes, partitions = [], []
    for copy in range(copies):
        for position, (name, labels) in enumerate(rows):
            link = f"{copy:02}{name}"
            (photos / link).symlink_to(frames / "img_align_celeba" / name)
            attributes.append(f"{link} {labels}")
            partitions.append(f"{link} {1 if position < validation else 0}")
    (folder / "list_attr_celeba.txt").write_text("\n".join([str(len(attributes)), names, *attributes]) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(partitions) + "\n")
    return photos


def load(options: argparse.Namespace) -> None:
    """The first pass over whole frames: decode, crop, resize; Facet writes its cache, too."""
    with tempfile.TemporaryDirectory() as folder:
        photos = celeba(Path(folder) / "celeba", Path(options.frames).resolve(), options.copies)
        servers = {
            "facet": Server([str(DATA), "load", str(photos.parent), str(options.size), f"{folder}/caches"]),
            "torchvision": Server(
                [PYTHON, str(HERE / "peers/load.py"), str(photos.parent), "--size", str(options.size)]
                + ["--workers", str(os.cpu_count())]
            ),
        }
        rates = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, server in servers.items():
                found = server.ask("pass")
                rates[name].append(found["images"] / found["seconds"])
    print(f"first pass over {found['images']:.0f} frames to {options.size}x{options.size}, {os.cpu_count()} cores")
    ours = statistics.median(rates["facet"])
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"  {name:14} {median:7.0f} images/s   facet is {ours / median:.2f} x")


def waiting(options: argparse.Namespace) -> None:
    """The share of training's time in which steps wait for batches, from the second epoch on."""
    import numpy
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "celeba"
        photos = celeba(data, Path(options.frames).resolve(), options.copies, validation=64)
        masks = data / "mask_faceparsing"
        masks.mkdir()
        for photo in photos.iterdir():
            source = Path(options.masks) / (photo.resolve().stem + ".png")
            if not source.exists():  # an empty mask: what is measured does not look at it
                label_map = numpy.zeros((218, 178), numpy.uint8)
            else:
                label_map = numpy.asarray(Image.open(source))
            if label_map.shape != (218, 178):  # of the window; the frame around it is background
                label_map = numpy.zeros((218, 178), numpy.uint8)
                label_map[39:209, 4:174] = numpy.asarray(Image.open(source).resize((170, 170), Image.Resampling.NEAREST))
            Image.fromarray(label_map).save(masks / (photo.stem + ".png"))
        command = [str(DATA), "waiting", str(data), options.preset, str(options.epochs), f"{folder}/caches"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        f"training {options.preset} from whole frames, {found['steps']:.0f} steps from the second epoch on: "
        f"{found['images_per_second']:.1f} images/s, waited {found['waited']:.3f} of {found['seconds']:.1f} s, "
        f"{100 * found['waited'] / found['seconds']:.2f} %"
    )


def directions(options: argparse.Namespace) -> None:
    """Images that the encoder sees for all attribute directions: once each, and the article's two passes an attribute."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(DATA), "directions", options.data, str(options.photos), folder]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(
        f"directions of {found['photos']:.0f} photos: {found['photos']:.0f} images encoded, "
        f"{found['article_images']:.0f} as the article does with its limit of 10 000 a pass, "
        f"{found['article_images'] / found['photos']:.1f} x"
    )
    ratio = found["article_encoder"] / found["compact_encoder"]
    print(
        f"  a photo costs the article's encoder {1000 * found['article_encoder']:.1f} ms and the default model's "
        f"{1000 * found['compact_encoder']:.1f} ms, {ratio:.1f} x: {ratio * found['article_images'] / found['photos']:.0f} x together"
    )
    print(
        f"  both run on {found['verified_photos']:.0f} photos with the article's encoder: {found['verified_images']:.0f} "
        f"images in {found['seconds']:.1f} s, {found['verified_article_images']:.0f} in {found['article_seconds']:.1f} s, "
        f"{found['verified_article_images'] / found['verified_images']:.1f} x; vectors differ by {found['difference']:.1e} at most"
    )


def timed(command: list[str], quiet: bool = False) -> tuple[float, float, float]:
    """Seconds, peak memory in MB, and processor time in seconds of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if quiet else None)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime


def edit(options: argparse.Namespace) -> None:
    photo = HERE.parent / "Sources/Facet/Resources/astronaut.jpg"
    bundle = HERE.parent / "Sources/Facet/Resources/default.facet"
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "facet": [str(FACET), "edit", str(photo), "--attribute", "Smiling=1", "-o", f"{folder}/a.jpg", "--force"],
            "torch script": [PYTHON, str(HERE / "peers/edit.py"), str(photo), "--bundle", str(bundle)]
            + ["--attribute", "Smiling=1", "-o", f"{folder}/b.jpg"],
        }
        results = {name: [] for name in commands}
        for command in commands.values():
            timed(command)  # warms the file cache
        for _ in range(options.rounds):
            for name, command in commands.items():
                results[name].append(timed(command))
    print("edit of the astronaut's portrait, 512x512, whole process")
    ours = statistics.median(s for s, _, _ in results["facet"])
    for name, values in results.items():
        median = statistics.median(s for s, _, _ in values)
        peak = max(m for _, m, _ in values)
        print(f"  {name:14} {median:6.2f} s   peak {peak:5.0f} MB   facet is {median / ours:.1f} x")


def folder(options: argparse.Namespace) -> None:
    """Many photos in one process: at once against one after the other, and on a busy machine against a quiet one."""
    photos = sorted(str(p) for p in options.photos.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))[:options.count]
    programs = {"facet": options.facet} | ({"against": options.against} if options.against else {})
    with tempfile.TemporaryDirectory() as out:
        def command(program: Path, count: int, *more: str) -> list[str]:
            return [str(program), "edit", *photos[:count], "--attribute", "Smiling=1", "--skip", "-o", out, "--force", *more]

        turns = {name: command(program, len(photos)) for name, program in programs.items()}
        turns["one thread"] = command(options.facet, len(photos), "--threads", "1")
        few = {name: command(program, 10) for name, program in programs.items()}
        results: dict[str, list[tuple[float, float, float]]] = {}
        for name, words in few.items():
            timed(words, quiet=True)  # warms the file cache
        for _ in range(options.rounds):
            for name, words in turns.items():
                results.setdefault(name, []).append(timed(words, quiet=True))
            for name, words in few.items():
                results.setdefault(f"{name}, ten", []).append(timed(words, quiet=True))
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
        try:
            for _ in range(options.rounds):
                for name, words in few.items():
                    results.setdefault(f"{name}, ten, busy", []).append(timed(words, quiet=True))
        finally:
            for other in others:
                other.kill()

    def median(name: str, place: int) -> float:
        return statistics.median(values[place] for values in results[name])

    cores = os.cpu_count() or 1
    print(f"{len(photos)} photos, {cores} cores")
    for name in turns:
        seconds = median(name, 0)
        print(f"  {name:12} {seconds:7.2f} s   {len(photos) / seconds:5.1f} photos/s   {median(name, 2):7.2f} s of processor time")
    print(f"  time of one thread over that of {cores} cores: {median('one thread', 0) / median('facet', 0) / cores:.2f}")
    print("ten photos beside a program on each core, over a quiet machine")
    for name in few:
        (wall, processor) = (median(f"{name}, ten, busy", p) / median(f"{name}, ten", p) for p in (0, 2))
        print(f"  {name:12} {wall:5.2f} x the time   {processor:5.2f} x the processor time")


def tints(options: argparse.Namespace) -> None:
    hair = ["--hair", options.hair] if options.hair else []
    subprocess.run([PYTHON, str(HERE / "peers/tints.py"), options.data, *hair], check=True)


def teeth(options: argparse.Namespace) -> None:
    subprocess.run([PYTHON, str(HERE / "peers/teeth.py"), "--photos", options.photos, "--teeth", options.teeth], check=True)
