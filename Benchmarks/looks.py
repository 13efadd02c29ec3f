"""Edits to look at: crops of faces, blind sheets, pairs, and contact sheets.

Pictures are cut from the edited photo where the unedited photo has the face, with hair and chin, at the photo's own pixels.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from edits import Face, Judge, Program, Row, opened, part

# Of a crop, in pixels: no wider than readers' sheets show without shrinking.
NARROW, WIDE = 300, 400
# How much of the square window around the face is added at either side, and over it.
BESIDE, ABOVE = 0.08, 0.14
SHAPE = 5 / 4
# Readers learn nothing from photos that are less sharp than this (`Face.sharpness`).
SHARP = 20


def crop(photo: Path, face: Face) -> Image.Image:
    """The face with hair and chin, at the photo's own pixels."""
    image = Image.open(photo)
    side = max(face.width, face.height)
    width = min(max(round(side * (1 + 2 * BESIDE)), NARROW), WIDE, image.width)
    height = min(round(width * SHAPE), image.height)
    middle = face.x + face.width / 2
    spare = max(0, height - side * (1 + ABOVE)) / 2
    left = min(max(round(middle - width / 2), 0), image.width - width)
    top = min(max(round(face.y - side * ABOVE - spare), 0), image.height - height)
    return image.crop((left, top, left + width, top + height))


class Looks:
    """The people that rows are looked at on, each "SET/NAME", and their edits, made where they are asked for."""

    def __init__(self, options: argparse.Namespace):
        self.store, self.rows, self.programs = opened(options)
        self.options, self.faces = options, {}
        for of in self.store.sources:
            if any(of in self.sets(row) for row in self.rows):
                found = self.store.faces(self.programs[-1], of).items()
                self.faces |= {f"{of}/{name}": face for name, face in found if face.sharpness >= SHARP}
        self.asked = {}
        for row in self.rows:
            people = [f"{of}/{n}" for of in self.sets(row) for n in part(list(self.store.sources.get(of, [])), options.part)]
            people = [p for p in people if p in self.faces and row.asks(self.faces[p].attributes)]
            if people:
                self.asked[row] = people
            else:
                print(f"{row.name}: left out, for nobody is asked on {', '.join(self.sets(row))}")
        if not self.asked:
            raise SystemExit("no edit is left to look at; were the folders given that the rows name?")

    def sets(self, row: Row) -> tuple[str, ...]:
        return (self.options.set,) if self.options.set else row.photos

    def photos(self, people: list[str]) -> dict[str, Path]:
        return self.each(people, self.store.photos)

    def edits(self, program: Program, row: Row, people: list[str]) -> dict[str, Path]:
        return self.each(people, lambda of, names: self.store.edits(program, row, of, names))

    @staticmethod
    def each(people: list[str], files: Callable[[str, list[str]], dict[str, Path]]) -> dict[str, Path]:
        """The files of each set's people, in their order."""
        found = {}
        for of in {Path(p).parent.name for p in people}:
            names = [Path(p).name for p in people if p.startswith(f"{of}/")]
            found |= {f"{of}/{name}": file for name, file in files(of, names).items()}
        return {p: found[p] for p in people if p in found}

    def write(self, folder: Path, photos: dict[str, Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for person, photo in photos.items():
            crop(photo, self.faces[person]).save(folder / f"{person.replace('/', '-')}.png", compress_level=1)


def fresh(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def crops(options: argparse.Namespace) -> None:
    """OUT/ROW/SET-NAME.png of everybody who is asked, and OUT/unedited/SET-NAME.png of everybody."""
    looks, out = Looks(options), fresh(options.out)
    looks.write(out / "unedited", looks.photos(list(looks.faces)))
    for row, people in looks.asked.items():
        found = looks.edits(looks.programs[0], row, people)
        looks.write(out / row.name, found)
        print(f"{out / row.name}: {len(found)} crops", flush=True)


def deal(slots: list[list[str]]) -> list[str | None]:
    """Somebody for each slot out of those it names, the first ones before others, and nobody twice.

    As many slots as can be are filled, earlier ones first (augmenting paths in a bipartite graph).
    """
    owner: dict[str, int] = {}

    def place(slot: int, tried: set[str]) -> bool:
        for person in slots[slot]:
            if person not in tried:
                tried.add(person)
                if person not in owner or place(owner[person], tried):
                    owner[person] = slot
                    return True
        return False

    for slot in range(len(slots)):
        place(slot, set())
    people = {slot: person for person, slot in owner.items()}
    return [people.get(slot) for slot in range(len(slots))]


def readings(people: dict[str, list[str]], counts: dict[str, int], options: argparse.Namespace) -> list[dict[str, list[str]]]:
    """Who is shown to each reader under each heading: nobody twice to one reader, others to the next where there are any.

    Photos of the set that a heading names first come first.
    """
    rng = random.Random(options.seed)
    shown = {heading: set() for heading in people}
    # Where people are too few for all, every heading goes short by the same part.
    headings = [h for _, h in sorted(((i + 0.5) / count, h) for h, count in counts.items() for i in range(count))]
    found = []
    for reader in range(1, options.readers + 1):
        order = []
        for heading in headings:
            sets = list(dict.fromkeys(Path(p).parent.name for p in people[heading]))
            some = rng.sample(people[heading], len(people[heading]))
            order.append(sorted(some, key=lambda p: (sets.index(Path(p).parent.name), p in shown[heading])))
        reading = {h: [] for h in people}
        for heading, person in zip(headings, deal(order)):
            if person:
                reading[heading].append(person)
                shown[heading].add(person)
        for heading, count in counts.items():
            if len(reading[heading]) < count:
                print(f"reader {reader}: {heading}: {len(reading[heading])} of {count}, for nobody is left who is asked and not shown")
        found.append(reading)
    return found


def groups(options: argparse.Namespace) -> dict[str, str]:
    """The group that the list of `ages` names for each of its photos."""
    file = options.ages / "list.csv"
    if not file.exists():
        raise SystemExit(f"--by-group: {file} is not there, which would name the groups")
    names, *lines = (line.split(",") for line in file.read_text().splitlines())
    return {f"ages/{Path(line[0]).stem}": line[names.index("group")] for line in lines}


def blind(options: argparse.Namespace) -> None:
    """OUT/reader-N: sheets of edited faces among half as many real ones, in the same shares of sets."""
    looks, out = Looks(options), fresh(options.out)
    known = groups(options) if options.by_group else {}
    row_of, people = {}, {}
    for row, asked in looks.asked.items():
        for person in asked:
            heading = f"{row.name}-{known[person]}" if person in known else row.name
            row_of[heading] = row
            people.setdefault(heading, []).append(person)
    counts = dict.fromkeys(people, options.each)
    drawn = readings(people, counts, options)
    for row in looks.asked:  # a program started once a row
        looks.edits(looks.programs[0], row, [p for r in drawn for h, shown in r.items() if row_of[h] == row for p in shown])
    for number, reading in enumerate(drawn, 1):
        edited = {h: looks.edits(looks.programs[0], row_of[h], shown) for h, shown in reading.items()}
        used = {p for found in edited.values() for p in found}
        real = []
        for of in looks.store.sources:
            free = [p for p in looks.faces if p.startswith(f"{of}/") and p not in used]
            count = sum(p.startswith(f"{of}/") for p in used) // 2
            real += random.Random(f"{options.seed} {number}").sample(free, min(count, len(free)))
        with tempfile.TemporaryDirectory() as folder:
            looks.write(Path(folder) / "real", looks.photos(real))
            for heading, found in edited.items():
                looks.write(Path(folder) / heading, found)
            print(sheets(looks.store.judge, "blind.py", Path(folder), out / f"reader-{number}", options.seed + number,
                         "--real", f"{folder}/real", "--edited", *(f"{h}={folder}/{h}" for h, found in edited.items() if found),
                         "--each", options.each, "--per-sheet", options.per_sheet), end="")


def pairs(options: argparse.Namespace) -> None:
    """OUT/reader-N/ROW: sheets of the same photo edited by two programs; the first is --facet."""
    if not options.against:
        raise SystemExit("pairs: name the other program with --against")
    looks, out = Looks(options), fresh(options.out)
    people = {row.name: asked for row, asked in looks.asked.items()}
    drawn = readings(people, dict.fromkeys(people, options.each), options)
    for row in looks.asked:
        for program in looks.programs:  # started once a row
            looks.edits(program, row, [p for reading in drawn for p in reading[row.name]])
    for number, reading in enumerate(drawn, 1):
        for row in looks.asked:
            with tempfile.TemporaryDirectory() as folder:
                for side, program in zip(("first", "second"), looks.programs):
                    looks.write(Path(folder) / side, looks.edits(program, row, reading[row.name]))
                print(sheets(looks.store.judge, "pairs.py", Path(folder), out / f"reader-{number}" / row.name, options.seed + number,
                             "--first", f"{folder}/first", "--second", f"{folder}/second", "--count", options.each), end="")


def sheets(judge: Judge, program: str, pictures: Path, out: Path, seed: int, *arguments) -> str:
    """Sheets of the pictures in a folder's folders, in cells of the widest of them, so that nothing is shrunk."""
    sizes = [Image.open(f).size for f in pictures.rglob("*.png")]
    cell = max((max(w, -(-h * 4 // 5)) for w, h in sizes), default=WIDE)
    return judge.run(program, "make", out, "--seed", seed, "--size", cell, *arguments)


def score(options: argparse.Namespace) -> None:
    """What readers answered in OUT/reader-N/answers.txt (pairs: OUT/reader-N/ROW/answers.txt), all readers together."""
    judge = Judge(options.judge)
    answered = sorted(options.out.rglob("answers.txt"))
    if not answered:
        raise SystemExit(f"{options.out}: no answers.txt beside a key.json")
    together: dict[str, list[Path]] = {}
    for file in answered:
        together.setdefault("" if file.parent.parent == options.out else file.parent.name, []).append(file)
    for row, files in together.items():
        with tempfile.TemporaryDirectory() as folder:
            key, lines = {}, []
            for reader, file in enumerate(files):
                key |= {f"{reader}-{n}": shown for n, shown in json.loads((file.parent / "key.json").read_text()).items()}
                lines += [f"{reader}-{line}" for line in file.read_text().splitlines() if line.strip()]
            (Path(folder) / "key.json").write_text(json.dumps(key))
            (Path(folder) / "answers.txt").write_text("\n".join(lines))
            found = judge.run("pairs.py" if row else "blind.py", "score", folder, f"{folder}/answers.txt")
            print((f"{row:14} " if row else "") + found, end="")


def sheet(options: argparse.Namespace) -> None:
    """OUT/ROW-NN.png: a line of pictures a face, the photo first, then its edit by each program and strength."""
    looks, out = Looks(options), fresh(options.out)
    captions = [f"{p.path.parent.name}/{p.path.name}" + (f" x {p.strength:g}" if p.strength != 1 else "") for p in looks.programs]
    for row, asked in looks.asked.items():
        rng = random.Random(options.seed)
        people = sorted(rng.sample(asked, min(options.photos, len(asked))))
        columns = [looks.photos(people), *(looks.edits(p, row, people) for p in looks.programs)]
        for number, start in enumerate(range(0, len(people), options.per_sheet), 1):
            lines = people[start:start + options.per_sheet]
            pictures = {(p, c): crop(photos[p], looks.faces[p]) for p in lines for c, photos in enumerate(columns) if p in photos}
            contact(pictures, lines, captions, row.name).save(out / f"{row.name}-{number:02}.png")
        print(f"{out / row.name}: {len(people)} photos", flush=True)


def contact(pictures: dict[tuple[str, int], Image.Image], lines: list[str], captions: list[str], title: str) -> Image.Image:
    """A page of pictures by line and column, each with what it is under it."""
    text, gap = 24, 6
    width = max(p.width for p in pictures.values()) + gap
    heights = {n: max(p.height for (m, _), p in pictures.items() if m == n) + text for n in lines}
    page = Image.new("RGB", (width * (len(captions) + 1), sum(heights.values())), "white")
    draw, top = ImageDraw.Draw(page), 0
    for name in lines:
        for column, caption in enumerate([f"{name}, photo", *(f"{title}, {c}" for c in captions)]):
            picture = pictures.get((name, column))
            if picture:
                page.paste(picture, (column * width, top))
            words = caption if picture else f"{caption}: no face found"
            draw.text((column * width + 4, top + heights[name] - text + 2), words, fill="black", font_size=15)
        top += heights[name]
    return page
