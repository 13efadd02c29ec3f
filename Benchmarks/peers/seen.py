"""What the judge of edits says of photos that nobody edited, for each row of the table of quality.

*seen*: of photos that have the asked state by CelebA's labels, the share in which the judge sees it; in the last column as much for the
men and women, young and old, who are asked in the table: what edits would come to that look as such photos do.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort

LEAST = 10


def labels(data: Path, partition: str | None) -> tuple[list[str], dict[str, np.ndarray]]:
    lines = (data / "list_attr_celeba.txt").read_text().splitlines()
    parts = dict(l.split() for l in (data / "list_eval_partition.txt").read_text().splitlines() if l.strip())
    rows = (l.split() for l in lines[2:] if l.strip())
    return lines[1].split(), {
        r[0]: np.array([v == "1" for v in r[1:]]) for r in rows if partition is None or parts[r[0]] == partition}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="CelebA, whose train partition says what is seen")
    parser.add_argument("frames", type=Path, help="CelebA, whose first whole frames are those of the table")
    parser.add_argument("judge", type=Path)
    parser.add_argument("rows", help="JSON: attribute, strength, and the label of who is in the row, or null")
    parser.add_argument("--photos", type=int, default=300)
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("judge", options.judge)
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 3
    session = ort.InferenceSession(str(options.judge.parent / "attributes.onnx"), quiet, providers=["CPUExecutionProvider"])
    order = json.loads((options.judge.parent / "attributes.json").read_text())["attributes"]

    def seen(data: Path, names: list[str]) -> np.ndarray:
        found = []
        for i in range(0, len(names), 64):
            crops = [judge.crop(judge.read(str(data / "img_align_celeba" / n))) for n in names[i:i + 64]]
            found.append(session.run(None, {"image": judge.rgb(crops, 96)})[0])
        return np.concatenate(found) > 0.5

    columns, train = labels(options.data, "0")
    names = sorted(train)
    known, judged = np.stack([train[n] for n in names]), seen(options.data, names)
    _, val = labels(options.frames, None)
    frames = sorted(val)
    print("| edit | photos with it | seen | among who is asked |\n|---|---|---|---|")
    male, young = columns.index("Male"), columns.index("Young")
    for attribute, strength, label in json.loads(options.rows):
        column, place, state = columns.index(attribute), order.index(attribute), strength > 0
        has = (known[:, column] == state) & (known[:, male] if label else True)
        right = judged[:, place] == state
        row = [n for n in frames if label is None or val[n][columns.index(label)]][:options.photos]
        asked = np.array(row)[seen(options.frames, row)[:, place] != state]
        total, groups = 0.0, 0
        for man in (False, True):
            for is_young in (False, True):
                # Who changes gender or age is asked as who has the other already.
                alike = has & ((known[:, male] == man) | (attribute == "Male")) & ((known[:, young] == is_young) | (attribute == "Young"))
                share = sum(val[n][male] == man and val[n][young] == is_young for n in asked)
                if share and alike.sum() >= LEAST:
                    total, groups = total + share * right[alike].mean(), groups + share
        among = f"{total / groups:.3f}" + (f" ({len(asked) - groups} of {len(asked)} have none like them)" if groups < len(asked) else "")
        sign = "+" if state else "−"
        print(f"| {attribute} {sign}{', men' if label == 'Male' else ''} | {has.sum()} | {right[has].mean():.3f} | {among} |", flush=True)


main()
