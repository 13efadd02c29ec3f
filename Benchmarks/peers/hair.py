"""The colours of hair that CelebA's labels name: means over the hair of training photos, red, green and blue of 255.

Hair is what the label maps call so, two pixels inside its border; photos with too little of it are left out.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

COLOURS = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]
HAIR = 17
SIDE = 144
LEAST = 400


def crop(picture: np.ndarray) -> np.ndarray:
    """The training crop of a whole frame."""
    picture = picture[39:209, 4:174] if picture.shape[:2] == (218, 178) else picture
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="CelebA, with label maps of its crops in mask_faceparsing")
    parser.add_argument("--photos", type=int, default=6000)
    options = parser.parse_args()
    lines = (options.data / "list_attr_celeba.txt").read_text().splitlines()
    names = lines[1].split()
    parts = dict(l.split() for l in (options.data / "list_eval_partition.txt").read_text().splitlines() if l)
    rows = [l.split() for l in lines[2:] if l and parts[l.split()[0]] == "0"]
    colours, labels = [], []
    for i in np.random.default_rng(0).permutation(len(rows)):
        name = rows[i][0]
        photo = cv2.imread(str(options.data / "img_align_celeba" / name))
        classes = cv2.imread(str(options.data / "mask_faceparsing" / Path(name).with_suffix(".png")), 0)
        if photo is None or classes is None:
            continue
        classes = cv2.resize(classes, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        hair = cv2.erode((classes == HAIR).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if hair.sum() < LEAST:
            continue
        colours.append(crop(photo)[hair].mean(0)[::-1])
        labels.append([int(v) == 1 for v in rows[i][1:]])
        if len(labels) == options.photos:
            break
    colours, labels = np.array(colours), np.array(labels)
    print(f"mean colour of hair, {len(labels)} photos\n| label | photos | with it | without it |\n|---|---|---|---|")
    for name in COLOURS:
        has = labels[:, names.index(name)]
        means = [" ".join(f"{v:.0f}" for v in colours[part].mean(0)) for part in (has, ~has)]
        print(f"| {name} | {has.sum()} | {means[0]} | {means[1]} |")


main()
