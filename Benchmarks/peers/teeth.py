"""The teeth that a smile shows, learned from photos: the file Sources/Facet/Resources/teeth.safetensors.

Mouths of a set of photos with label maps are laid over each other along the edge of the upper lip. Each is moved and stretched across
until its teeth lie over those of the mean, which so becomes sharp (congealing: Learned-Miller 2006). The teeth are the median of the
mouths that agree with the mean best, mirrored as often as not, so no mouth of a person is in it.

How light teeth are beside the skin around them, and of which hue, are fits of logarithms over the same photos.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

# CelebAMask-HQ's classes of the inside of a mouth and of skin.
MOUTH, SKIN = 10, 1
# The picture of the teeth: its columns between the corners of the mouth, and beyond; rows above the edge of the lip, and in all.
ACROSS, MARGIN, ABOVE, HEIGHT = 88, 4, 2, 32
WIDTH = ACROSS + 2 * MARGIN
# Rows by which mouths are compared, and columns whose teeth give its light.
COMPARED, BRIGHT = slice(ABOVE, ABOVE + 12), (slice(ABOVE + 3, ABOVE + 9), slice(20, 76))
# In columns of the picture: how high the middle of a mouth is open, and how narrow a mouth may be in the photo.
OPENING, NARROWEST = (9, 22), 38
LIGHT, REDDEST = 0.3, 0.45


def mouth(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The mouth below the edge of its upper lip, HEIGHT × WIDTH × 3 in 0…1, and the colour of the skin around; none where it shows no teeth."""
    count, parts, sizes, _ = cv2.connectedComponentsWithStats((labels == MOUTH).astype(np.uint8))
    if count < 2:
        return None
    inside = parts == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax()
    rows, columns = np.nonzero(inside)
    left, right = columns.min(), columns.max()
    corners = np.array([[x, rows[abs(columns - x) <= 1].mean()] for x in (left, right)])
    way = corners[1] - corners[0]
    if np.linalg.norm(way) < NARROWEST:
        return None
    turn = ACROSS / (way @ way) * np.array([way, [-way[1], way[0]]])
    place = np.c_[turn, np.array([WIDTH / 2, HEIGHT / 2]) - turn @ corners.mean(0)]
    size = (WIDTH, 2 * HEIGHT)
    picture = cv2.warpAffine(image, place, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(inside.astype(np.float32), place, size) > 0.5
    known = inside.any(0)
    if known.sum() < 0.9 * ACROSS:
        return None
    x = np.arange(WIDTH)
    top = np.interp(x, x[known], inside.argmax(0)[known])
    bottom = np.interp(x, x[known], (len(inside) - inside[::-1].argmax(0))[known])
    opening = (bottom - top)[WIDTH // 4:3 * WIDTH // 4].mean()
    top = smooth(top, 2)
    across, down = np.meshgrid(x.astype(np.float32), np.arange(HEIGHT, dtype=np.float32) - ABOVE)
    found = cv2.remap(picture, across, (down + top).astype(np.float32), cv2.INTER_CUBIC)
    teeth = found[BRIGHT].reshape(-1, 3).mean(0)
    around = [slice(max(0, v.min() - 30), v.max() + 30) for v in (rows, columns)]
    skin = image[tuple(around)][labels[tuple(around)] == SKIN]
    isTeeth = teeth.mean() > LIGHT and teeth[0] - teeth[2] < REDDEST * teeth.mean()
    if not (OPENING[0] <= opening <= OPENING[1] and isTeeth and len(skin) > 200):
        return None
    return found, np.median(skin, axis=0)


def smooth(row: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(row.astype(np.float64)[None], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0]


def fineness(picture: np.ndarray) -> np.ndarray:
    """The logarithm of what stands out of its surroundings."""
    light = np.log(picture.mean(2).clip(0.03, 1.2)).astype(np.float32)
    return light - cv2.GaussianBlur(light, (0, 0), 4, sigmaY=3)


def unevenness(picture: np.ndarray) -> float:
    return fineness(picture)[BRIGHT].std()


def relief(picture: np.ndarray) -> np.ndarray:
    """The same in rows that are compared, with a deviation of 1."""
    fine = fineness(picture)[COMPARED]
    return fine / fine.std()


def moved(planes: np.ndarray, sources: np.ndarray) -> np.ndarray:
    """Planes whose columns come from other places."""
    low = np.clip(np.floor(sources).astype(int), 0, WIDTH - 2)
    part = np.clip(sources - low, 0, 1)
    return planes[..., low] * (1 - part) + planes[..., low + 1] * part


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).mean() / np.sqrt((a**2).mean() * (b**2).mean() + 1e-9))


def stretched(fine: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Where the columns of a mouth come from, moved and stretched as one."""
    ways = [
        (np.arange(WIDTH) - WIDTH / 2) * scale + WIDTH / 2 + shift
        for scale in np.linspace(0.85, 1.18, 12) for shift in np.arange(-7, 7.1, 0.5)]

    def fit(way: np.ndarray) -> float:
        known = (way >= 0) & (way <= WIDTH - 1)
        return agreement(moved(fine, way)[:, known], mean[:, known])

    return max(ways, key=fit)


def followed(fine: np.ndarray, mean: np.ndarray, start: np.ndarray, stiffness: float = 0.3) -> np.ndarray:
    """The same, each column for itself but near its neighbours (dynamic programming)."""
    steps = np.arange(-4, 4.1, 0.5)
    mean = mean / mean.std()
    costs = np.stack([((moved(fine, start + step) - mean)**2).mean(0) for step in steps], 1)
    apart = abs(np.subtract.outer(np.arange(len(steps)), np.arange(len(steps))))
    change = np.where(apart > 1, 1e6, stiffness * apart**2)
    least, back = costs[0], []
    for cost in costs[1:]:
        total = least + change
        back.append(total.argmin(1))
        least = total.min(1) + cost
    way = [least.argmin()]
    for step in reversed(back):
        way.append(step[way[-1]])
    return start + smooth(steps[way[::-1]], 1.5)


def congealed(mouths: list[np.ndarray]) -> np.ndarray:
    """The teeth that most mouths have, in parts of their light."""
    mouths = np.stack(mouths + [picture[:, ::-1] for picture in mouths])
    fine = np.stack([relief(picture) for picture in mouths])
    mean = fine.mean(0)
    mean = fine[int(np.argmax([agreement(one, mean) for one in fine]))]
    for _ in range(2):
        mean = np.stack([moved(one, stretched(one, mean)) for one in fine]).mean(0)
    starts = [stretched(one, mean) for one in fine]
    for _ in range(4):
        sources = [followed(one, mean, start) for one, start in zip(fine, starts)]
        laid = np.stack([moved(one, source) for one, source in zip(fine, sources)])
        fits = np.array([agreement(one, mean) for one in laid])
        best = fits >= np.percentile(fits, 40)
        mean = laid[best].mean(0)
    print(f"{best.sum() // 2} mouths; agreement with their mean {fits[best].mean():.3f}")
    laid = np.stack([
        np.moveaxis(moved(np.moveaxis(picture, 2, 1), source), 1, 2)
        for picture, source, isBest in zip(mouths, sources, best) if isBest])
    light = np.percentile(laid[:, *BRIGHT].reshape(len(laid), -1, 3), 80, axis=1)
    teeth = np.median(laid / light[:, None, None], axis=0)
    # The middle of many has less relief than each of them, above all than those that are sharp.
    lost = np.percentile([unevenness(picture) for picture in laid], 75) / unevenness(teeth)
    print(f"contrast of each over that of their median {lost:.2f}")
    return teeth * np.exp((lost - 1) * fineness(teeth))[..., None]


def ends(teeth: np.ndarray) -> np.ndarray:
    """How much of each pixel is teeth, HEIGHT × WIDTH in 0…1: below their edges is the lower lip, which is redder."""
    red = (teeth[..., 0] - teeth[..., 2]) / teeth[..., 0].clip(0.05)
    first = ABOVE + 5
    edges = first + (red[first:] > 0.16).argmax(0)
    edges = smooth(np.minimum(edges, smooth(edges, 3) + 0.5), 1.5)
    return (1 - (np.arange(HEIGHT)[:, None] - edges + 1) / 2.5).clip(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, type=Path, help="a folder laid out as CelebAMask-HQ: images, masks")
    parser.add_argument("--teeth", required=True, type=Path, help="the file that is written")
    options = parser.parse_args()
    mouths, skins = [], []
    for path in sorted((options.photos / "images").glob("*.jpg")):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
        labels = cv2.imread(str(options.photos / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
        if (found := mouth(image, labels)) is not None:
            mouths.append(found[0])
            skins.append(found[1])
    if len(mouths) < 20:
        parser.error(f"{options.photos} has only {len(mouths)} mouths with teeth")
    teeth = congealed(mouths)
    light = np.array([np.percentile(picture[BRIGHT].reshape(-1, 3), 80, axis=0) for picture in mouths])
    skin = np.array(skins)
    slope, offset = np.polyfit(np.log(skin.mean(1)), np.log(light.mean(1)), 1)
    hues = [
        np.polyfit(np.log(skin[:, c] / skin.mean(1)), np.log(light[:, c] / light.mean(1)), 1) for c in range(3)]
    picture = np.concatenate([teeth, ends(teeth)[..., None]], axis=2).clip(0, 1.25)
    save_file({
        "teeth": np.ascontiguousarray(picture.transpose(2, 0, 1)[None]).astype(np.float16),
        "light": np.array([slope, offset], np.float32),
        "hue": np.array(hues, np.float32),
    }, str(options.teeth), {"format": "facet-teeth"})
    print(f"light {slope:.3f} {offset:.3f}; hue {np.round(hues, 3).tolist()}")


if __name__ == "__main__":
    main()
