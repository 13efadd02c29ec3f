"""Edits of photos by a program `facet`: which photos there are, who is asked for what, and the edited photos, kept in a folder.

Everything on the way is lossless: photos are read once into PNG, edited as PNG and cut from PNG.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
# Of a large folder every so many photos are for measuring; training leaves them out.
KEPT_OUT = 20
# Every so many photos are for choosing strengths; the others are for the tables.
CHOOSING = 4


@dataclass(frozen=True)
class Row:
    """An edit that is measured: a line of `edits.txt`, whose head explains the fields."""

    name: str
    options: tuple[str, ...]
    asked: tuple[str, ...]
    photos: tuple[str, ...]
    success: float
    leakage: float
    identity: float

    @property
    def states(self) -> list[tuple[str, bool]]:
        """Each attribute that the edit is about, and whether it comes or goes."""
        given = [b for a, b in zip(self.options, self.options[1:]) if a == "--attribute"]
        return [(name, not value.startswith("-")) for name, _, value in (g.partition("=") for g in given)]

    def concerns(self, attributes: dict[str, bool]) -> bool:
        """Whether a face is one of those that the row is about, whatever state it is in."""
        unknown = [c for c in self.asked if c.lstrip("!") not in attributes]
        if unknown:
            raise SystemExit(f"{self.name}: {', '.join(unknown)} in the table of edits is no attribute that the judge knows")
        return all(attributes[c.lstrip("!")] != c.startswith("!") for c in self.asked)

    def asks(self, attributes: dict[str, bool]) -> bool:
        """Whether a face is asked: it is one of those that the row is about and lacks every state that it is asked for."""
        lacks = all(attributes[name] != comes for name, comes in self.states if name in attributes)
        return lacks and self.concerns(attributes)

    def arguments(self, strength: float) -> list[str]:
        """The options with each strength times a factor."""
        def scaled(option: str) -> str:
            match = re.fullmatch(r"(\w+=)([+-]?[0-9.]+)", option)
            return f"{match[1]}{float(match[2]) * strength:g}" if match else option

        return list(self.options) if strength == 1 else [scaled(o) for o in self.options]


def rows(file: Path, only: list[str] | None = None) -> list[Row]:
    """The table of edits, or the named rows of it in its order."""
    found = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, options, asked, photos, aims = (cell.strip() for cell in line.split("|"))
            success, leakage, identity = map(float, aims.split())
        except ValueError:
            raise SystemExit(f"{file}:{number}: not five cells of name, options, who is asked, photos and three figures")
        found.append(Row(name, tuple(shlex.split(options)), tuple(asked.split()), tuple(photos.split()), success, leakage, identity))
    unknown = set(only or []) - {row.name for row in found}
    if unknown:
        raise SystemExit(f"{file}: no row {', '.join(sorted(unknown))}; there are {', '.join(r.name for r in found)}")
    return [row for row in found if not only or row.name in only]


def labels(celeba: Path) -> dict[str, dict[str, bool]]:
    """CelebA's labels by the photos' names without their ending."""
    _, names, *lines = (celeba / "list_attr_celeba.txt").read_text().splitlines()
    split = (line.split() for line in lines if line.strip())
    return {Path(p[0]).stem: dict(zip(names.split(), (v == "1" for v in p[1:]))) for p in split}


def partition(celeba: Path, number: str) -> dict[str, Path]:
    """The photos of a partition of CelebA (0 train, 1 val, 2 test) by name."""
    lines = (line.split() for line in (celeba / "list_eval_partition.txt").read_text().splitlines() if line.strip())
    return {Path(name).stem: celeba / "img_align_celeba" / name for name, part in sorted(lines) if part == number}


def folder(path: Path) -> dict[str, Path]:
    return {f.stem: f for f in sorted(path.iterdir()) if f.suffix.lower() in ENDINGS}


def sources(options: argparse.Namespace) -> dict[str, dict[str, Path]]:
    """The sets of photos whose folders were given; file by name."""
    found = {}
    if options.frames:
        found["frames"] = partition(options.frames, "1")
    if options.portraits:
        found["portraits"] = folder(options.portraits)
    if options.ages:
        found["ages"] = dict(list(folder(options.ages / "images").items())[::KEPT_OUT])
    if not found:
        raise SystemExit("no photos: give --frames, --portraits or --ages")
    return found


def part(names: list[str], which: str) -> list[str]:
    """The photos that strengths are chosen on, or those that are reported, in a fixed division."""
    return [n for i, n in enumerate(names) if which == "all" or (i % CHOOSING == 0) == (which == "choose")]


@dataclass(frozen=True)
class Face:
    """A face of an unedited photo: the model's square window in the photo's pixels, and what the judge sees in it."""

    x: float
    y: float
    width: float
    height: float
    # Variance of the Laplacian of gray levels (0 to 255) in the middle of the window, at the photo's own pixels.
    sharpness: float = 0
    attributes: dict[str, bool] = field(default_factory=dict)

    def square(self, image: np.ndarray) -> np.ndarray:
        """The square around the face, the photo's border repeated where it ends."""
        side = round(max(self.width, self.height))
        left, top = round(self.x + self.width / 2 - side / 2), round(self.y + self.height / 2 - side / 2)
        rows, columns = np.arange(top, top + side), np.arange(left, left + side)
        return image[rows.clip(0, image.shape[0] - 1)[:, None], columns.clip(0, image.shape[1] - 1)]


def sharpness(square: np.ndarray) -> float:
    quarter = len(square) // 4
    gray = cv2.cvtColor(square[quarter:-quarter, quarter:-quarter], cv2.COLOR_BGR2GRAY)
    return round(float(cv2.Laplacian(gray, cv2.CV_64F).var()), 1)


class Judge:
    """The programs that judge edits, in a folder of their own: a classifier of attributes, and readers' sheets."""

    def __init__(self, folder: Path):
        self.folder = folder.resolve()

    @cached_property
    def module(self):
        spec = importlib.util.spec_from_file_location("judge", self.folder / "judge.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @cached_property
    def attributes(self) -> list[str]:
        return json.loads((self.folder / "attributes.json").read_text())["attributes"]

    @cached_property
    def classifier(self) -> ort.InferenceSession:
        quiet = ort.SessionOptions()
        quiet.log_severity_level = 3
        quiet.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
        return ort.InferenceSession(str(self.folder / "attributes.onnx"), quiet, providers=["CPUExecutionProvider"])

    def seen(self, images: list[np.ndarray]) -> list[dict[str, bool]]:
        """The attributes of each picture: CelebA's frames or squares around faces, in blue, green and red."""
        found = []
        for i in range(0, len(images), 64):
            crops = self.module.rgb([self.module.crop(image) for image in images[i:i + 64]], 96)
            found += [dict(zip(self.attributes, (p > 0.5).tolist())) for p in self.classifier.run(None, {"image": crops})[0]]
        return found

    def run(self, program: str, *arguments: str | Path) -> str:
        command = [sys.executable, str(self.folder / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr}")
        return done.stdout


@dataclass(frozen=True)
class Program:
    """A `facet` with the options that all its edits get, and a factor of all strengths."""

    path: Path
    options: tuple[str, ...] = ()
    strength: float = 1

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run([str(self.path), *map(str, arguments)], capture_output=True, text=True)

    @cached_property
    def key(self) -> str:
        """Of the program's and its bundles' bytes: edits by another build are other edits."""
        files = [self.path, *sorted(f for d in self.path.parent.glob("*.resources") for f in d.rglob("*") if f.is_file())]
        files += [f for o in self.options for f in sorted([Path(o), *Path(o).rglob("*")]) if f.is_file()]
        digest = hashlib.sha256()
        for file in files:
            with open(file, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()[:12]


class Store:
    """A folder that keeps photos as PNG, the faces in them and their edits, so that nothing is made twice.

    Faces are those that the first program found: boxes and who is asked stay the same for all that come later.
    """

    def __init__(self, folder: Path, judge: Judge, sources: dict[str, dict[str, Path]]):
        self.folder, self.judge, self.sources = folder.resolve(), judge, sources

    def photos(self, of: str, names: list[str]) -> dict[str, Path]:
        """Photos as PNG, upright."""
        place = self.folder / "photos" / of
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not (place / f"{name}.png").exists():
                image = ImageOps.exif_transpose(Image.open(self.sources[of][name]))
                image.convert("RGB").save(place / f".{name}.png", compress_level=1)
                (place / f".{name}.png").rename(place / f"{name}.png")
        return {name: place / f"{name}.png" for name in names}

    def faces(self, program: Program, of: str) -> dict[str, Face]:
        """The largest face of each photo; photos without one are left out."""
        file = self.folder / "faces" / f"{of}.json"
        names = list(self.sources[of])
        known = json.loads(file.read_text()) if file.exists() else {}
        new = [n for n in names if n not in known]
        if new:
            print(f"{of}: finding faces in {len(new)} photos", file=sys.stderr, flush=True)
            photos = self.photos(of, new)
            with linked(photos) as links:
                done = program.run("inspect", links, "--skip", "--json")
            if done.returncode:
                raise SystemExit(f"{program.path} inspect failed:\n{done.stderr}")
            boxes = {Path(f["file"]).stem: Face(**f["face"]) for f in map(json.loads, done.stdout.splitlines())}
            images = {n: cv2.imread(str(photos[n])) for n in boxes}
            squares = {n: face.square(images[n]) for n, face in boxes.items()}
            # A frame's crop is where CelebA has it, as for the judge.
            seen = self.judge.seen(list((images if of == "frames" else squares).values()))
            known |= {n: None for n in new}
            for (name, face), attributes in zip(boxes.items(), seen):
                known[name] = asdict(replace(face, sharpness=sharpness(squares[name]), attributes=attributes))
            write(file, json.dumps(known))
        return {n: Face(**known[n]) for n in names if known[n]}

    def edits(self, program: Program, row: Row, of: str, names: list[str], aligned: bool = False) -> dict[str, Path]:
        """The edited photos; those in which the program finds no face are left out."""
        arguments = [*row.arguments(program.strength), *program.options, *(["--aligned"] if aligned else [])]
        what = hashlib.sha256(shlex.join(arguments).encode()).hexdigest()[:8]
        place = self.folder / "edits" / program.key / of / f"{row.name}-{what}"
        place.mkdir(parents=True, exist_ok=True)
        without = place / "skipped.json"
        skipped = set(json.loads(without.read_text())) if without.exists() else set()
        new = [n for n in names if n not in skipped and not (place / f"{n}.png").exists()]
        if new:
            print(f"{of}: {row.name}, {len(new)} edits by {program.path} {shlex.join(arguments)}", file=sys.stderr, flush=True)
            with linked(self.photos(of, new)) as links, tempfile.TemporaryDirectory(dir=place) as made:
                done = program.run("edit", links, *arguments, "--skip", "-o", made)
                if done.returncode and "could be used" not in done.stderr:
                    raise SystemExit(f"{program.path} edit {shlex.join(arguments)} failed:\n{done.stderr}")
                for picture in Path(made).glob("*.png"):
                    picture.rename(place / picture.name)
            write(without, json.dumps(sorted(skipped | {n for n in new if not (place / f"{n}.png").exists()})))
        return {n: place / f"{n}.png" for n in names if (place / f"{n}.png").exists()}


class linked:
    """A temporary folder of links to files."""

    def __init__(self, files: dict[str, Path]):
        self.files = files

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp())
        for name, file in self.files.items():
            (self.path / f"{name}{file.suffix}").symlink_to(file)
        return self.path

    def __exit__(self, *_) -> None:
        shutil.rmtree(self.path)


def write(file: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text(text)
    partial.rename(file)


def programs(options: argparse.Namespace) -> list[Program]:
    """What is measured, and what it is compared with."""
    found = [Program(options.facet.resolve(), tuple(shlex.split(options.options)), s) for s in options.strength]
    if options.against:
        found.append(Program(options.against.resolve(), tuple(shlex.split(options.against_options))))
    for program in found:
        if not program.path.is_file():
            raise SystemExit(f"{program.path}: no such program; build it, or name another with --facet")
    return found


def opened(options: argparse.Namespace) -> tuple[Store, list[Row], list[Program]]:
    """What the commands on edits begin with."""
    return Store(options.store, Judge(options.judge), sources(options)), rows(options.edits, options.only), programs(options)
