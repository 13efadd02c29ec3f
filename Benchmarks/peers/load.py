"""Reads, crops and resizes photos as torchvision's users do: ImageFolder with PIL, transforms, and a DataLoader of workers.

    python load.py FOLDER --size 128 --workers 2

FOLDER holds one folder of photos. Prints a line when ready; then for each line on standard input it runs one pass over
all photos, and prints its seconds.
"""

import argparse
import json
import sys
import time

import torch
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.transforms.functional import crop

# The square window of CelebA's 178 x 218 frame that the model sees.
TOP, LEFT, SIDE = 39, 4, 170


def window(photo):
    return crop(photo, TOP, LEFT, SIDE, SIDE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    transform = transforms.Compose([window, transforms.Resize(options.size), transforms.ToTensor()])
    photos = datasets.ImageFolder(options.folder, transform)
    loader = DataLoader(photos, batch_size=32, num_workers=options.workers, persistent_workers=True)
    sum(len(labels) for _, labels in loader)  # starts the workers
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        count = sum(len(labels) for _, labels in loader)
        print(json.dumps({"seconds": time.perf_counter() - start, "images": count}), flush=True)


if __name__ == "__main__":
    main()
