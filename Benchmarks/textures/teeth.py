"""What an open mouth shows, learned from photos of smiles: the file Sources/Facet/Resources/teeth.safetensors.

The mouths of sets of faces are laid straight: columns from corner to corner, rows down from the edge of the upper lip, both from
landmarks. A generator draws them from random codes, told how the lips are apart, the colour of the skin and how sharp the photo is.
"""

import argparse
from pathlib import Path

import adversarial
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from adversarial import leaky
from scipy.interpolate import PchipInterpolator
from torch import Tensor, nn

# The classes of the inside of a mouth and of skin; the pixels of a mouth, its corners so far apart, and rows above the lip's edge.
SKIN = 1
ROWS, COLUMNS, WIDTH, ABOVE = 40, 80, 72, 3
CODE = 24
# In widths of a mouth, or pixels of the set's crops: the least opening and width, and the least side of a face in its photo.
OPENING, NARROWEST, SIDE = 0.055, 30, 190
# A mouth shows teeth where enough of its upper half is light beside the skin and not red; the least and the middle sharpness.
SHOWN, LIGHT, RED, BLURRED, SHARP = 0.3, 0.72, 0.42, 0.055, 0.1


def straight(crop: np.ndarray, labels: np.ndarray, points: np.ndarray):
    """A mouth laid straight, ROWS × COLUMNS × 3, how much of each pixel lies between the lips, and the colour of the skin."""
    middle, way = (points[51] + points[62]) / 2, points[64] - points[60]
    way = way / np.linalg.norm(way)

    def own(p: np.ndarray) -> np.ndarray:
        p = p - middle
        return np.stack([p @ way, p[..., 1] * way[0] - p[..., 0] * way[1]], -1)

    upper, lower = own(points[[60, 61, 62, 63, 64]]), own(points[[60, 67, 66, 65, 64]])
    left, right = upper[0, 0], upper[4, 0]
    if not ((np.diff(upper[:, 0]) > 0).all() and (np.diff(lower[:, 0]) > 0).all()) or right - left < NARROWEST:
        return None
    # Of a profile one half is hidden, and landmarks guess.
    if min(-left, right) < 0.35 * max(-left, right) or (lower - upper)[1:4, 1].mean() < OPENING * (right - left):
        return None
    pixel = (right - left) / WIDTH
    across = (np.arange(COLUMNS) + 0.5 - COLUMNS / 2) / (WIDTH / 2)
    x = np.where(across < 0, across * -left, across * right)
    within = x.clip(left, right)
    top, bottom = (PchipInterpolator(line[:, 0], line[:, 1])(within) for line in (upper, lower))
    down = (np.arange(ROWS)[:, None] + 0.5 - ABOVE) * pixel
    y = top + down
    places = [middle[i] + x * way[i] + (y * way[0] if i else -y * way[1]) for i in (0, 1)]
    found = cv2.remap(crop, *((p - 0.5).astype(np.float32) for p in places), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    opened = ((bottom - top - down) / pixel + 0.5).clip(0, 1) * (down / pixel + 0.5).clip(0, 1) * (abs(across) <= 1)
    around = [slice(max(0, int(c - 0.6 * (right - left))), max(0, int(c + 0.6 * (right - left)))) for c in middle[::-1]]
    labels = cv2.resize(labels, crop.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    skin = crop[tuple(around)][labels[tuple(around)] == SKIN]
    return (found.clip(0, 1), opened.astype(np.float32), np.median(skin, 0)) if len(skin) >= 200 else None


def sharpness(picture: np.ndarray, opened: np.ndarray, skin: np.ndarray) -> float:
    """The mean absolute Laplacian between the lips, beside the light of the skin."""
    return float((abs(cv2.Laplacian(picture.mean(2), cv2.CV_32F)) * opened).sum() / max(1, opened.sum()) / skin.mean())


def mouths(folder: Path) -> list:
    found = []
    for faces, _ in adversarial.shards(folder):
        for crop, labels, points, side in zip(*(faces[name] for name in ("crops", "labels", "landmarks", "sides"))):
            if side < SIDE or (mouth := straight(crop.astype(np.float32) / 255, labels, points.astype(np.float64))) is None:
                continue
            picture, opened, skin = mouth
            upper = opened * (np.arange(ROWS) < ABOVE + 14)[:, None] * (abs(np.arange(COLUMNS) + 0.5 - COLUMNS / 2) < 22)
            red = (picture[..., 0] - picture[..., 2]) / picture[..., 0].clip(0.05)
            teeth = (picture.mean(2) > LIGHT * skin.mean()) & (red < RED)
            # Gray photos have no colours to learn.
            if (teeth * upper).sum() > SHOWN * upper.sum() and abs(skin[0] - skin[2]) > 0.02:
                if (sharp := sharpness(picture, opened, skin)) > BLURRED:
                    found.append((picture, opened, skin, np.log(sharp / SHARP)))
    return found


def planes(told: dict, rows: int) -> Tensor:
    """Beside features: the opening, the place, the light of the skin, and the photo's sharpness."""
    count, columns = len(told["opened"]), rows * COLUMNS // ROWS
    across = ((torch.arange(columns) + 0.5) / columns * 2 - 1).expand(count, 1, rows, columns)
    down = ((torch.arange(rows) + 0.5) / rows * 2 - 1)[:, None].expand(count, 1, rows, columns)
    opened = F.adaptive_avg_pool2d(told["opened"], (rows, columns))
    light, sharp = (v.view(count, 1, 1, 1).expand(count, 1, rows, columns) for v in (told["skin"].log().mean(1), told["sharp"]))
    return torch.cat([opened, across, across.square(), down, light, sharp], 1)


class Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(inputs + 6, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, planes: Tensor) -> Tensor:
        return leaky(self.second(leaky(self.first(torch.cat([x, planes], 1)))))


class Generator(nn.Module):
    channels, finest = (64, 64, 48), 16

    def __init__(self) -> None:
        super().__init__()
        c = self.channels
        self.start = nn.Linear(CODE + 3, c[0] * 5 * 10)
        self.stages = nn.ModuleList([Stage(a, b) for a, b in zip((c[0],) + c[:-1], c)])
        self.fine = nn.Conv2d(c[-1], self.finest * 4, 3, padding=1)
        self.last = nn.Conv2d(self.finest + 6, self.finest, 3, padding=1)
        self.output = nn.Conv2d(self.finest, 3, 3, padding=1)

    def forward(self, code: Tensor, told: dict) -> Tensor:
        colour = told["skin"].log()
        x = self.start(torch.cat([code, colour], 1)).view(-1, self.channels[0], 5, 10)
        for index, stage in enumerate(self.stages):
            if index:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = stage(x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt(), planes(told, 5 << index))
        x = leaky(F.pixel_shuffle(self.fine(x), 2))
        x = leaky(self.last(torch.cat([x, planes(told, ROWS)], 1)))
        return torch.sigmoid(self.output(x) + colour.mean(1).view(-1, 1, 1, 1))


class Critic(nn.Module):
    """Judges mouths as a whole and place by place."""

    def __init__(self, a: int = 48, b: int = 64, c: int = 96) -> None:
        super().__init__()
        self.near = nn.ModuleList([nn.Conv2d(4 * 12, a, 3, padding=1), nn.Conv2d(a, a, 3, padding=1)])
        self.wide = nn.ModuleList([nn.Conv2d(a, b, 4, stride=2, padding=1), nn.Conv2d(b, b, 3, padding=1)])
        self.whole = nn.ModuleList([nn.Conv2d(b, c, 4, stride=2, padding=1), nn.Conv2d(c + 1, c, 3, padding=1)])
        self.places = nn.ModuleList([nn.Conv2d(a, 1, 1), nn.Conv2d(b, 1, 1)])
        self.output = nn.Linear(c * 5 * 10, 1)

    def forward(self, picture: Tensor, told: dict) -> Tensor:
        count = len(picture)
        skin = told["skin"].view(count, 3, 1, 1)
        relative = 4 * (picture / skin - 0.8) * told["opened"]
        x = F.pixel_unshuffle(torch.cat([relative, planes(told, ROWS), skin.log().expand(count, 3, ROWS, COLUMNS)], 1), 2)
        total = 0
        for layers, place, scale in zip((self.near, self.wide), self.places, (2, 4)):
            for layer in layers:
                x = leaky(layer(x))
            weight = F.avg_pool2d(told["opened"], scale)
            total = total + (place(x) * weight).sum((2, 3)) / (weight.sum((2, 3)) + 1)
        x = leaky(self.whole[0](x))
        # How different the mouths of a batch are (Karras et al. 2018).
        apart = (x.view(min(count, 8), -1, *x.shape[1:]).var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
        apart = apart.view(-1, 1, 1, 1).repeat(min(count, 8), 1, *x.shape[2:])
        return 2 * (total + self.output(leaky(self.whole[1](torch.cat([x, apart], 1))).flatten(1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    adversarial.options(parser, "teeth")
    options = parser.parse_args()
    sets = [mouths(folder) for folder in options.faces]
    print("mouths with teeth:", ", ".join(f"{len(found)} of {folder}" for found, folder in zip(sets, options.faces)))
    # The first set counts twice: it is the sharper one.
    picture, opened, skin, sharp = (
        torch.tensor(np.stack(values)).float() for values in zip(*(sets[0] + [mouth for found in sets for mouth in found])))
    picture, opened, skin = picture.permute(0, 3, 1, 2).contiguous(), opened[:, None], skin.clamp(0.03, 1)
    if len(picture) < 200:
        parser.error(f"only {len(picture)} mouths with teeth")

    def batch() -> tuple[Tensor, dict]:
        chosen = torch.randint(len(picture), (adversarial.BATCH,))
        x, m, s = picture[chosen], opened[chosen], skin[chosen]
        mirrored = (torch.rand(len(x)) < 0.5).view(-1, 1, 1, 1)
        x, m = torch.where(mirrored, x.flip(3), x), torch.where(mirrored, m.flip(3), m)
        gain = torch.exp(torch.randn(len(x), 1) * 0.12 + torch.randn(len(x), 3) * 0.03)
        gain = torch.minimum(gain, 1 / torch.maximum(x.amax((1, 2, 3)), s.amax(1)).view(-1, 1).clamp(min=0.5))
        return x * gain.view(-1, 3, 1, 1), {"opened": m, "skin": s * gain, "sharp": sharp[chosen]}

    fixed = torch.Generator().manual_seed(0)
    shown = torch.randint(len(picture), (24,), generator=fixed)
    codes = [torch.randn(24, CODE, generator=fixed) for _ in range(2)]

    def sheet(generator: nn.Module) -> Tensor:
        told = {"opened": opened[shown], "skin": skin[shown], "sharp": sharp[shown]}
        columns = [picture[shown]] + [generator(code, told) for code in codes]
        columns = [x * told["opened"] + told["skin"].view(-1, 3, 1, 1) * (1 - told["opened"]) for x in columns]
        return torch.cat([torch.cat([torch.cat([x[i] for x in columns], 2) for i in range(k, k + 4)], 2) for k in range(0, 24, 4)], 1)

    adversarial.train(
        Generator(), Critic(), adversarial.Hinge, batch, lambda g, told: g(torch.randn(len(told["skin"]), CODE), told), sheet, options,
        options.teeth, "facet-teeth-2")


if __name__ == "__main__":
    main()
