"""The colours of hair and skin that CelebA's labels name.

Of skin: means over training photos, red, green and blue of 255; and what lips are beside skin, as the logarithm of their mean colour less
that of skin's. Of hair, with --hair: the file Sources/Facet/Resources/hair-colours.json, for each label the colour that hair has at each
quantile of its luma, and that of the skin beside it, 0…1. Each is a median over photos with the label alone: where luma tells the label from others,
over the half of them whose hair is farther from other hair: of the other half many who look are in doubt.

Hair and skin are what the label maps call so, two pixels inside the border; photos with too little of it are left out.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

# The labels, and the classes of the maps that they are about: hair; skin and nose.
TINTS = {"skin": (["Pale_Skin"], [1, 10])}
HAIR, COLOURS = 17, ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]
QUANTILES = np.linspace(0.02, 0.98, 13)
LUMA = np.array([0.2126, 0.7152, 0.0722])
SIDE = 144
LEAST = 400
LIPS, LEAST_LIPS = [12, 13], 40


def crop(picture: np.ndarray) -> np.ndarray:
    """The training crop of a whole frame."""
    picture = picture[39:209, 4:174] if picture.shape[:2] == (218, 178) else picture
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def curve(pixels: np.ndarray) -> np.ndarray:
    """The mean colour of hair about each quantile of its luma, 13 × 3."""
    pixels = pixels[np.argsort(pixels @ LUMA)]
    return np.stack([pixels[int(max(0, q - 0.02) * len(pixels)):int((q + 0.02) * len(pixels)) + 1].mean(0) for q in QUANTILES])


def hair_colours(curves: np.ndarray, labels: np.ndarray) -> dict:
    """What each label names. `curves` has the skin's colour in its last row."""
    def rounded(values: np.ndarray) -> list:
        return np.round(values / 255, 4).tolist()

    colours = {}
    for index, name in enumerate(COLOURS):
        having, lacking = curves[labels[:, index]], curves[~labels[:, index]]
        luma, others = having[:, :-1].mean(1) @ LUMA, (lacking[:, :-1].mean(1) @ LUMA).mean()
        away = (luma - others) * np.sign(luma.mean() - others)
        # Brown is no matter of luma: there all photos count.
        is_far = abs(luma.mean() - others) > luma.std()
        median = np.median(having[away >= np.median(away)] if is_far else having, 0)
        colours[name] = {
            "having": rounded(median[:-1]), "lacking": rounded(np.median(lacking, 0)[:-1]), "skin": rounded(np.median(curves, 0)[-1])}
    return {"quantiles": np.round(QUANTILES, 4).tolist(), "colours": colours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="CelebA, with label maps of its crops in mask_faceparsing")
    parser.add_argument("--photos", type=int, default=6000)
    parser.add_argument("--hair", type=Path, help="where the colours of hair are written")
    options = parser.parse_args()
    lines = (options.data / "list_attr_celeba.txt").read_text().splitlines()
    names = lines[1].split()
    parts = dict(l.split() for l in (options.data / "list_eval_partition.txt").read_text().splitlines() if l)
    rows = [l.split() for l in lines[2:] if l and parts[l.split()[0]] == "0"]
    found = {part: ([], []) for part in TINTS}
    lips, hair = ([], []), ([], [])
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
        strands = cv2.erode((classes == HAIR).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        named = [int(rows[i][1 + names.index(colour)]) == 1 for colour in COLOURS]
        hidden = any(int(rows[i][1 + names.index(label)]) == 1 for label in ("Wearing_Hat", "Blurry"))
        if sum(named) == 1 and not hidden and strands.sum() >= 3 * LEAST and skin.sum() >= 3 * LEAST:
            hair[0].append(np.vstack([curve(photo[strands][:, ::-1].astype(float)), photo[skin].mean(0)[::-1]]))
            hair[1].append(named)
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
    if options.hair:
        options.hair.write_text(json.dumps(hair_colours(*map(np.array, hair))) + "\n")
        print(f"hair of {len(hair[0])} photos in {options.hair}")
    beside, labels = map(np.array, lips)
    male, lipstick = labels[:, names.index("Male")], labels[:, names.index("Wearing_Lipstick")]
    print("lips beside skin\n| who | photos | red | green | blue |\n|---|---|---|---|---|")
    for who, rows in (("women with lipstick", ~male & lipstick), ("women without", ~male & ~lipstick), ("men", male)):
        print(f"| {who} | {rows.sum()} | " + " | ".join(f"{v:.2f}" for v in beside[rows].mean(0)) + " |")


main()
