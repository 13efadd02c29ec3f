"""The colours of hair and skin that CelebA's labels name: means over training photos, red, green and blue of 255; and what lips are
beside skin, as the logarithm of their mean colour less that of skin's.

Hair and skin are what the label maps call so, two pixels inside the border; photos with too little of it are left out.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

# The labels, and the classes of the maps that they are about: hair; skin and nose.
TINTS = {"hair": (["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"], [17]), "skin": (["Pale_Skin"], [1, 10])}
SIDE = 144
LEAST = 400
LIPS, LEAST_LIPS = [12, 13], 40


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
    found = {part: ([], []) for part in TINTS}
    lips = ([], [])
    for i in np.random.default_rng(0).permutation(len(rows)):
        name = rows[i][0]
        photo = cv2.imread(str(options.data / "img_align_celeba" / name))
        classes = cv2.imread(str(options.data / "mask_faceparsing" / Path(name).with_suffix(".png")), 0)
        if photo is None or classes is None:
            continue
        classes = cv2.resize(classes, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        photo = crop(photo)
        for part, (_, wanted) in TINTS.items():
            colours, labels = found[part]
            region = cv2.erode(np.isin(classes, wanted).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            if region.sum() >= LEAST and len(labels) < options.photos:
                colours.append(photo[region].mean(0)[::-1])
                labels.append([int(v) == 1 for v in rows[i][1:]])
        mouth = cv2.erode(np.isin(classes, LIPS).astype(np.uint8), np.ones((2, 2), np.uint8)) > 0
        skin = cv2.erode((classes == 1).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        if mouth.sum() >= LEAST_LIPS and skin.sum() >= LEAST:
            lips[0].append(np.log(photo[mouth].mean(0)[::-1] + 2) - np.log(photo[skin].mean(0)[::-1] + 2))
            lips[1].append([int(v) == 1 for v in rows[i][1:]])
        if all(len(labels) == options.photos for _, labels in found.values()):
            break
    for part, (wanted, _) in TINTS.items():
        colours, labels = map(np.array, found[part])
        print(f"mean colour of {part}, {len(labels)} photos\n| label | photos | with it | without it |\n|---|---|---|---|")
        for name in wanted:
            has = labels[:, names.index(name)]
            means = [" ".join(f"{v:.0f}" for v in colours[side].mean(0)) for side in (has, ~has)]
            print(f"| {name} | {has.sum()} | {means[0]} | {means[1]} |")
    beside, labels = map(np.array, lips)
    male, lipstick = labels[:, names.index("Male")], labels[:, names.index("Wearing_Lipstick")]
    print("lips beside skin\n| who | photos | red | green | blue |\n|---|---|---|---|---|")
    for who, rows in (("women with lipstick", ~male & lipstick), ("women without", ~male & ~lipstick), ("men", male)):
        print(f"| {who} | {rows.sum()} | " + " | ".join(f"{v:.2f}" for v in beside[rows].mean(0)) + " |")


main()
