"""The hairs of beards, learned from photos of men: the file Sources/Facet/Resources/beard.safetensors.

A generator is given a lower face without detail, a Gaussian blur of the photo, and draws it with its detail. Bearded faces of the
sets are chosen by the detail of their chins and lips beside that of their cheeks, and by what Facet sees in them.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path

import adversarial
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from adversarial import leaky
from torch import Tensor, nn

# The classes of skin and neck; rows of a crop that are left out, its side, and that of a window that is learned from.
SKIN, NECK, UNKNOWN = 1, 14, 255
TOP, SIDE, WINDOW = 120, 288, 64
# In pixels of a crop: the deviation of the blur; the least side of a face in its photo.
SIGMA, LEAST = 9.0, 190
# How much more detail chins and upper lips have than cheeks, and the least detail of a chin in parts of its light.
CHIN, LIP, DETAIL = 1.7, 1.3, 0.03


def isBearded(crop: np.ndarray, skin: np.ndarray, points: np.ndarray) -> bool:
    light = crop.mean(2)
    detail = abs(light - cv2.GaussianBlur(light, (0, 0), 1.5))
    width = np.linalg.norm(points[54] - points[48])
    left, right = points[48:68, 0].mean() + width * np.array([-0.5, 0.5])

    def part(left: float, right: float, top: float, bottom: float):
        place = tuple(slice(max(0, int(a)), max(0, int(b))) for a, b in ((top, bottom), (left, right)))
        return light[place][skin[place]], detail[place][skin[place]]

    cheeks = part(points[36, 0], points[45, 0], points[40, 1] + width * 0.25, points[33, 1] - width * 0.05)
    chin = part(left, right, points[57, 1] + width * 0.12, points[8, 1] - width * 0.05)
    lip = part(left, right, points[33, 1] + width * 0.05, points[51, 1] - width * 0.04)
    if min(len(cheeks[0]), len(chin[0]), len(lip[0])) < 60:
        return False
    plain = max(1e-3, cheeks[1].mean())
    return bool(
        chin[1].mean() > CHIN * plain and lip[1].mean() > LIP * plain and chin[1].mean() > DETAIL * max(0.05, np.median(chin[0])))


def beards(folder: Path, facet: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lower faces and where they show skin or beard."""
    found = {}
    for faces, photos in adversarial.shards(folder):
        for crop, labels, points, side, photo in zip(*(faces[name] for name in ("crops", "labels", "landmarks", "sides")), photos):
            labels = cv2.resize(labels, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
            if side >= LEAST and isBearded(crop.astype(np.float32) / 255, labels == SKIN, points):
                shown = cv2.erode(((labels == SKIN) | (labels == NECK)).astype(np.uint8), np.ones((3, 3), np.uint8))
                found[os.path.realpath(photo)] = crop[TOP:], shown[TOP:]
    if not found:
        return []
    seen = subprocess.run([facet, "inspect", "--json", "--skip", *found], capture_output=True, text=True).stdout
    men = set()
    for line in seen.splitlines():
        face = json.loads(line)
        if face["attributes"]["Male"] > 0.5 and face["attributes"]["No_Beard"] < 0.7:
            men.add(os.path.realpath(face["file"]))
    return [found[photo] for photo in found if photo in men]


def blurred(pictures: Tensor) -> Tensor:
    pictures = pictures.permute(0, 2, 3, 1).numpy()
    return torch.tensor(np.stack([cv2.GaussianBlur(x, (0, 0), SIGMA) for x in pictures])).permute(0, 3, 1, 2)


class Generator(nn.Module):
    channels, finest = 48, 16

    def __init__(self) -> None:
        super().__init__()
        c = self.channels
        self.start = nn.Conv2d(4 * 6 + 2, c, 3, padding=1)
        self.stages = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1) for _ in range(4)])
        self.fine = nn.Conv2d(c, self.finest * 4, 3, padding=1)
        self.last = nn.Conv2d(self.finest + 2, self.finest, 3, padding=1)
        self.output = nn.Conv2d(self.finest, 3, 3, padding=1)

    def forward(self, smooth: Tensor, place: Tensor, noise: Tensor) -> Tensor:
        coarse = F.avg_pool2d(noise[:, :2], 2) * 2
        x = F.pixel_unshuffle(torch.cat([(smooth - 0.4) * 2, place, noise[:, 2:3]], 1), 2)
        x = leaky(self.start(torch.cat([x, coarse], 1)))
        for k in (0, 2):
            x = x + self.stages[k + 1](leaky(self.stages[k](x)))
        x = leaky(F.pixel_shuffle(self.fine(leaky(x)), 2))
        x = leaky(self.last(torch.cat([x, noise[:, 3:4], smooth.mean(1, keepdim=True)], 1)))
        return smooth * (1 + self.output(x)).clamp(min=0)


class Critic(nn.Module):
    """Judges each place at three scales."""

    def __init__(self, channels: tuple[int, int, int] = (40, 64, 96)) -> None:
        super().__init__()
        inputs, layers = 4 * 9, []
        for index, count in enumerate(channels):
            layers += [
                nn.Conv2d(inputs, count, 4, stride=2, padding=1) if index else nn.Conv2d(inputs, count, 3, padding=1),
                nn.Conv2d(count, count, 3, padding=1)]
            inputs = count
        self.layers = nn.ModuleList(layers)
        self.places = nn.ModuleList([nn.Conv2d(count, 1, 1) for count in channels])

    def forward(self, picture: Tensor, told: dict) -> list[tuple[Tensor, Tensor]]:
        smooth, weight = told["smooth"], told["shown"]
        relative = 3 * (picture / smooth.clamp(min=0.04) - 1) * weight
        x = F.pixel_unshuffle(torch.cat([relative, (smooth - 0.4) * 2 * weight, told["place"], weight], 1), 2)
        maps = []
        for index, place in enumerate(self.places):
            x = leaky(self.layers[2 * index + 1](leaky(self.layers[2 * index](x))))
            weight = F.avg_pool2d(weight, 2)
            maps.append((place(x), weight))
        return maps


def energy(picture: Tensor) -> Tensor:
    """How much detail each block of 8 × 8 pixels has."""
    fine = picture - F.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)
    return (F.avg_pool2d(fine.square().mean(1, keepdim=True), 8) + 1e-5).sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    adversarial.options(parser, "beards")
    parser.add_argument("--facet", required=True, type=Path, help="the program, which says who is a man with a beard")
    options = parser.parse_args()
    sets = [beards(folder, options.facet) for folder in options.faces]
    print("beards:", ", ".join(f"{len(found)} of {folder}" for found, folder in zip(sets, options.faces)))
    crops, shown = (np.stack(values) for values in zip(*(beard for found in sets for beard in found)))
    picture, shown = torch.tensor(crops).permute(0, 3, 1, 2).float() / 255, torch.tensor(shown)[:, None].float()
    smooth = blurred(picture)
    height, width = picture.shape[2:]
    across = ((torch.arange(width) + 0.5) / width * 2 - 1).expand(1, height, width)
    down = ((torch.arange(height) + 0.5 + TOP - 204) / 84)[:, None].expand(1, height, width)
    place = torch.cat([across, down])
    # Windows below the nose that are mostly skin.
    windows = (F.avg_pool2d(shown, WINDOW, stride=8)[:, 0] > 0.55).nonzero()
    windows = windows[windows[:, 1] * 8 + TOP + WINDOW > 195]

    def batch() -> tuple[Tensor, dict]:
        chosen = []
        for face, row, column in windows[torch.randint(len(windows), (adversarial.BATCH,))].tolist():
            y, x = (min(limit - WINDOW, k * 8 + int(torch.randint(8, ()))) for limit, k in ((height, row), (width, column)))
            cut = [plane[..., y:y + WINDOW, x:x + WINDOW] for plane in (picture[face], smooth[face], shown[face], place)]
            if torch.rand(()) < 0.5:
                cut = [plane.flip(-1) for plane in cut]
                cut[3] = cut[3] * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
            gain = torch.exp(torch.randn(()) * 0.15 + torch.randn(3, 1, 1) * 0.03)
            chosen.append([cut[0] * gain, cut[1] * gain, cut[2], cut[3]])
        real, soft, weight, at = (torch.stack(planes) for planes in zip(*chosen))
        return real, {"smooth": soft, "shown": weight, "place": at}

    def kept(drawn: Tensor, real: Tensor, told: dict) -> Tensor:
        """Light and colour, and how much detail there is."""
        light = F.avg_pool2d(drawn - real, 8).abs().mean()
        return 10 * light + 10 * ((energy(drawn) - energy(real)).abs() * F.avg_pool2d(told["shown"], 8)).mean()

    def draw(generator: nn.Module, told: dict) -> Tensor:
        return generator(told["smooth"], told["place"], torch.randn(len(told["smooth"]), 4, *told["smooth"].shape[2:]))

    fixed = torch.Generator().manual_seed(0)
    seen, noise = torch.randint(len(picture), (12,), generator=fixed), torch.randn(12, 4, height, width, generator=fixed)

    def sheet(generator: nn.Module) -> Tensor:
        drawn = generator(smooth[seen], place.expand(12, -1, -1, -1), noise) * shown[seen] + picture[seen] * (1 - shown[seen])
        columns = (picture[seen], smooth[seen], drawn)
        return torch.cat([torch.cat([torch.cat([x[i] for x in columns], 2) for i in range(k, k + 2)], 2) for k in range(0, 12, 2)], 1)

    adversarial.train(
        Generator(), Critic(), adversarial.Squares, batch, draw, sheet, options, options.beards, "facet-beard", kept)


if __name__ == "__main__":
    main()
