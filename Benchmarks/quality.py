"""Edits judged by another program: success, leakage, identity; and whether edited photos can be told from real ones."""

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np

from edits import Judge, Program, Row, Store, labels, linked, opened, part, partition, rows, write

# A group of real photos says nothing with fewer.
LEAST = 10
# Fewer edited photos say nothing of realism.
LEAST_REALISM = 150
COLUMNS = "set | edit | program | photos | success | leakage | identity | sharpness | background | realism, unedited | realism, edited"


def headline(row: Row, state: tuple[str, bool]) -> str:
    name, comes = state
    return f"{name} {'+' if comes else '−'}" + (f" of {row.name}" if len(row.states) > 1 else "")


def quality(options: argparse.Namespace) -> None:
    """Edits who is asked and prints the judge's figures as a table in Markdown; bold where they miss the row's aims."""
    store, table, programs = opened(options)
    results = []
    print(f"| {COLUMNS} |\n{'|---' * (COLUMNS.count('|') + 1)}|", flush=True)
    for row in table:
        states = [s for s in row.states if s[0] in store.judge.attributes]
        for of in store.sources:
            faces = store.faces(programs[-1], of)
            names = [n for n in part(list(store.sources[of]), options.part) if n in faces]
            names = [n for n in names if (row.concerns if options.everyone else row.asks)(faces[n].attributes)][:options.photos]
            for program in programs if names else []:
                edits = store.edits(program, row, of, names)
                with tempfile.TemporaryDirectory() as folder:
                    before, after = Path(folder) / "before", Path(folder) / "after"
                    for place, photos in ((before, store.photos(of, list(edits))), (after, edits)):
                        place.mkdir()
                        for name, photo in photos.items():
                            if of == "frames":
                                (place / f"{name}.png").symlink_to(photo)
                            else:
                                cv2.imwrite(str(place / f"{name}.png"), faces[name].square(cv2.imread(str(photo))))
                    for attribute, comes in states if edits else []:
                        found = judged(store.judge, before, after, attribute, comes, options.labels if of == "frames" else None)
                        if of == "frames" and options.crops:
                            found |= realism(store, program, row, (attribute, comes), options.crops)
                        found |= {"set": of, "row": row.name, "program": str(program.path), "options": row.arguments(program.strength)
                                  + list(program.options), "aims": [row.success, row.leakage, row.identity]}
                        results.append(found)
                        print(line(found, row, (attribute, comes), program), flush=True)
                        if options.json:
                            write(options.json, json.dumps(results, indent=1))


def judged(judge: Judge, before: Path, after: Path, attribute: str, comes: bool, maps: Path | None) -> dict:
    options = ["--attribute", attribute, "--json"] + ([] if comes else ["--remove"]) + (["--labels", maps] if maps else [])
    return json.loads(judge.run("judge.py", "--before", before, "--after", after, *options))


def realism(store: Store, program: Program, row: Row, state: tuple[str, bool], celeba: Path) -> dict:
    """Of CelebA's crops of `val` whose labels lack the state: areas under the ROC curve before and after the edit."""
    known = labels(celeba)
    store.sources["crops"] = partition(celeba, "1")
    names = [n for n in store.sources["crops"] if n in known and row.asks(known[n])]
    if len(names) < LEAST_REALISM:
        return {}
    edits = store.edits(program, row, "crops", names, aligned=True)
    with linked(store.photos("crops", list(edits))) as before, linked(edits) as after:
        found = json.loads(store.judge.run(
            "realism.py", "--before", before, "--after", after, "--attribute", state[0], "--json", *([] if state[1] else ["--remove"]),
            "--labels", celeba / "list_attr_celeba.txt", "--celeba", celeba))
    return {"realism": {k: found[k] for k in ("asked", "real", "edited", "unedited", "split")}}


def line(found: dict, row: Row, state: tuple[str, bool], program: Program) -> str:
    def cell(name: str, holds: bool) -> str:
        value = found.get(name)
        return "" if value is None else f"{value:.3f}" if holds else f"**{value:.3f}**"

    asked = f"{found['photos']}" if found["asked"] == found["photos"] else f"{found['photos']} ({found['asked']} asked)"
    seen = found.get("realism")
    cells = [
        found["set"],
        headline(row, state),
        f"{program.path.parent.name}/{program.path.name}" + ("" if program.strength == 1 else f" × {program.strength:g}"),
        asked,
        cell("success", (found["success"] or 0) >= row.success),
        cell("leakage", found["leakage"] <= row.leakage),
        cell("identity", found["identity"] >= row.identity),
        cell("sharpness", 0.8 <= found["sharpness"] <= 1.25),
        cell("background", (found.get("background") or 0) <= 0.5),
        f"{seen['unedited']:.3f}" if seen else "",
        "" if not seen else f"{seen['edited']:.3f}" if seen["edited"] <= seen["unedited"] - 0.03 else f"**{seen['edited']:.3f}**",
    ]
    return f"| {' | '.join(cells)} |"


def seen(options: argparse.Namespace) -> None:
    """What the judge says of photos that nobody edited, for each row of the table of edits.

    *seen*: of photos that have the asked state by CelebA's labels, the share in which the judge sees it; in the last column as much for
    the men and women, young and old, who are asked: what edits would come to that look as such photos do.
    """
    judge, known, frames = Judge(options.judge), labels(options.data), labels(options.frames)

    def judged(celeba: Path, names: list[str]) -> dict[str, dict[str, bool]]:
        files, found = celeba / "img_align_celeba", {}
        for i in range(0, len(names), 64):
            some = names[i:i + 64]
            found |= zip(some, judge.seen([judge.module.read(str(files / f"{n}.jpg")) for n in some]))
        return found

    train = judged(options.data, sorted(partition(options.data, "0")))
    val = judged(options.frames, sorted(partition(options.frames, "1")))
    print("| edit | photos with it | seen | among who is asked |\n|---|---|---|---|")
    for row in rows(options.edits, options.only):
        for attribute, comes in row.states:
            if attribute not in judge.attributes or len(row.states) > 1:
                continue
            has = [n for n in train if known[n][attribute] == comes and row.concerns(known[n])]
            asked = [n for n in val if row.asks(val[n])][:options.photos]
            # Who changes gender or age is asked as who has the other already.
            kinds = [k for k in ("Male", "Young") if k != attribute]
            total, counted = 0.0, 0
            for kind in sorted({tuple(frames[n][k] for k in kinds) for n in asked}):
                alike = [n for n in has if tuple(known[n][k] for k in kinds) == kind]
                share = sum(tuple(frames[n][k] for k in kinds) == kind for n in asked)
                if len(alike) >= LEAST:
                    total, counted = total + share * np.mean([train[n][attribute] == comes for n in alike]), counted + share
            among = f"{total / counted:.3f}" if counted else ""
            among += f" ({len(asked) - counted} of {len(asked)} have none like them)" if counted < len(asked) else ""
            share = f"{np.mean([train[n][attribute] == comes for n in has]):.3f}" if has else ""
            print(f"| {headline(row, (attribute, comes))} | {len(has)} | {share} | {among} |", flush=True)
