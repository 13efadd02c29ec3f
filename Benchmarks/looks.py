"""Edits to look at: crops of faces, blind sheets, pairs, and contact sheets.

Pictures are cut from the edited photo where the unedited photo has the face, with hair and chin, at the photo's own pixels.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from edits import Face, Judge, Row, opened, part

# Of a crop, in pixels: no wider than readers' sheets show without shrinking.
NARROW, WIDE = 300, 400
# How much of the square window around the face is added at either side, and over it.
BESIDE, ABOVE = 0.08, 0.14
SHAPE = 5 / 4


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
    """The crops of some rows' edits by some programs, made where they are asked for."""

    def __init__(self, options: argparse.Namespace):
        self.store, self.rows, self.programs = opened(options)
        self.options = options
        self.people = {}  # faces of each set of photos
        rows = []
        for row in self.rows:
            of = options.set or row.photos
            if of in self.store.sources:
                self.people.setdefault(of, self.store.faces(self.programs[-1], of))
                rows.append((row, of))
            elif not options.set:
                print(f"{row.name}: left out, for it is looked at on {of}; give --{of}")
        self.rows = rows
        if not rows:
            raise SystemExit("no edit is left to look at")

    def asked(self, row: Row, of: str) -> list[str]:
        faces = self.people[of]
        return [n for n in part(list(self.store.sources[of]), self.options.part) if n in faces and row.asks(faces[n].attributes)]

    def write(self, folder: Path, of: str, photos: dict[str, Path], prefix: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, photo in photos.items():
            crop(photo, self.people[of][name]).save(folder / f"{prefix}{name}.png", compress_level=1)


def fresh(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def crops(options: argparse.Namespace) -> None:
    """OUT/SET/ROW/NAME.png of everybody who is asked, and OUT/SET/unedited/NAME.png of everybody."""
    looks = Looks(options)
    out = fresh(options.out)
    for of, faces in looks.people.items():
        looks.write(out / of / "unedited", of, looks.store.photos(of, list(faces)))
    for row, of in looks.rows:
        found = looks.store.edits(looks.programs[0], row, of, looks.asked(row, of))
        looks.write(out / of / row.name, of, found)
        print(f"{out / of / row.name}: {len(found)} crops", flush=True)


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
    """Who is shown to each reader under each heading: nobody twice to one reader, and others to the next where there are any."""
    rng = random.Random(options.seed)
    shown = {heading: set() for heading in people}
    # Where people are too few for all, every heading goes short by the same part.
    headings = [h for _, h in sorted(((i + 0.5) / count, h) for h, count in counts.items() for i in range(count))]
    found = []
    for _ in range(options.readers):
        order = [sorted(rng.sample(people[h], len(people[h])), key=lambda p: p in shown[h]) for h in headings]
        reading = {h: [] for h in people}
        for heading, person in zip(headings, deal(order)):
            if person:
                reading[heading].append(person)
                shown[heading].add(person)
        found.append(reading)
    return found


def group(options: argparse.Namespace, of: str) -> dict[str, str]:
    """The group that the list beside a set's photos names for each of them."""
    file = getattr(options, of) / "list.csv"
    if not file.exists():
        raise SystemExit(f"--by-group: {file} is not there, which would name the groups")
    names, *lines = (line.split(",") for line in file.read_text().splitlines())
    return {Path(line[0]).stem: line[names.index("group")] for line in lines}


def blind(options: argparse.Namespace) -> None:
    """OUT/reader-N: sheets of edited faces among half as many real ones, of the same sets of photos."""
    looks, out = Looks(options), fresh(options.out)
    edited, people = {}, {}
    for row, of in looks.rows:
        found = looks.store.edits(looks.programs[0], row, of, looks.asked(row, of))
        groups = group(options, of) if options.by_group else {}
        for name in found:
            heading = f"{row.name}-{groups[name]}" if groups else row.name
            edited.setdefault(heading, (row, of))
            people.setdefault(heading, []).append(f"{of}/{name}")
    counts = dict.fromkeys(edited, options.each)
    for of, faces in looks.people.items():
        people[f"real {of}"] = [f"{of}/{name}" for name in faces]
        counts[f"real {of}"] = sum(o == of for _, o in edited.values()) * options.each // 2
    for number, reading in enumerate(readings(people, counts, options), 1):
        with tempfile.TemporaryDirectory() as folder:
            real, folders = Path(folder) / "real", []
            for of in looks.people:
                half = sum(len(reading[h]) for h in edited if edited[h][1] == of) // 2
                names = [Path(p).name for p in reading[f"real {of}"][:half]]
                looks.write(real, of, looks.store.photos(of, names), f"{of}-")
            for heading, (row, of) in edited.items():
                names = [Path(p).name for p in reading[heading]]
                if len(names) < options.each:
                    print(f"reader {number}: {heading}: {len(names)} people, for no more are asked who are not shown already")
                if names:
                    looks.write(Path(folder) / heading, of, looks.store.edits(looks.programs[0], row, of, names), f"{of}-")
                    folders.append(f"{heading}={Path(folder) / heading}")
            print(sheets(looks.store.judge, "blind.py", Path(folder), out / f"reader-{number}", options.seed + number,
                         "--real", real, "--edited", *folders, "--each", options.each, "--per-sheet", options.per_sheet), end="")


def pairs(options: argparse.Namespace) -> None:
    """OUT/reader-N/ROW: sheets of the same photo edited by two programs; the first is --facet."""
    if not options.against:
        raise SystemExit("pairs: name the other program with --against")
    looks, out = Looks(options), fresh(options.out)
    people, edited = {}, {}
    for row, of in looks.rows:
        names = looks.asked(row, of)
        edited[row.name] = of, [looks.store.edits(program, row, of, names) for program in looks.programs]
        first, second = edited[row.name][1]
        people[row.name] = [f"{of}/{name}" for name in first if name in second]
    for number, reading in enumerate(readings(people, dict.fromkeys(people, options.each), options), 1):
        for row, shown in reading.items():
            of, (first, second) = edited[row]
            names = [Path(p).name for p in shown]
            if len(names) < options.each:
                print(f"reader {number}: {row}: {len(names)} people, for no more are asked who are not shown already")
            with tempfile.TemporaryDirectory() as folder:
                for side, photos in (("first", first), ("second", second)):
                    looks.write(Path(folder) / side, of, {n: photos[n] for n in names})
                print(sheets(looks.store.judge, "pairs.py", Path(folder), out / f"reader-{number}" / row, options.seed + number,
                             "--first", f"{folder}/first", "--second", f"{folder}/second", "--count", len(names)), end="")


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
    for row, of in looks.rows:
        names = looks.asked(row, of)
        rng = random.Random(options.seed)
        names = sorted(rng.sample(names, min(options.photos, len(names))))
        columns = [looks.store.photos(of, names), *(looks.store.edits(p, row, of, names) for p in looks.programs)]
        for number, start in enumerate(range(0, len(names), options.per_sheet), 1):
            lines = names[start:start + options.per_sheet]
            pictures = {(n, c): crop(photos[n], looks.people[of][n]) for n in lines for c, photos in enumerate(columns) if n in photos}
            page = contact(pictures, lines, captions, row.name)
            page.save(out / f"{row.name}-{number:02}.png")
        print(f"{out / row.name}: {len(names)} photos", flush=True)


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
            draw.text((column * width + 4, top + heights[name] - text + 2), caption if picture else f"{caption}: no face found", fill="black", font_size=15)
        top += heights[name]
    return page
