"""Edits the face in a photo the way one would script it with torch, dlib and OpenCV.

    pip install torch safetensors numpy pillow opencv-python-headless dlib-bin
    python edit.py photo.jpg --bundle BUNDLE --attribute Smiling=1 -o edited.jpg

The difference of the decoded pictures after and before, inside the decoded mask, is added to the photo.
"""

import argparse
import json
from pathlib import Path

import cv2
import dlib
import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import safe_open

from compact import FaceVAE

LANDMARKS = "/usr/share/dlib/shape_predictor_68_face_landmarks.dat"
# Eye centres in CelebA's 178 x 218 frame, and the square window of that frame that the model sees.
LEFT_EYE, RIGHT_EYE = np.array([69.5, 112.7]), np.array([107.7, 112.6])
WINDOW_X, WINDOW_Y, WINDOW = 4, 39, 170


def eyes(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the two eyes of the largest face, in pixels."""
    detector = dlib.get_frontal_face_detector()
    faces = detector(photo, 0) or detector(photo, 1)
    if not faces:
        raise SystemExit("no face found")
    face = max(faces, key=lambda rectangle: rectangle.area())
    shape = dlib.shape_predictor(LANDMARKS)(photo, face)
    points = np.array([(p.x, p.y) for p in shape.parts()], float)
    return points[36:42].mean(0), points[42:48].mean(0)


def crop_to_photo(left: np.ndarray, right: np.ndarray, size: int) -> np.ndarray:
    """The 2 x 3 affine map from pixels of the size x size crop to pixels of the photo."""
    # As complex numbers, the similarity is a * z + b.
    source, target = (complex(*LEFT_EYE), complex(*RIGHT_EYE)), (complex(*left), complex(*right))
    a = (target[1] - target[0]) / (source[1] - source[0])
    b = target[0] - a * source[0]
    frame = np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0, 0, 1]])
    scale = WINDOW / size  # pixel centres: frame x = window x + (crop x + ½) scale - ½
    window = np.array([[scale, 0, WINDOW_X + scale / 2 - 0.5], [0, scale, WINDOW_Y + scale / 2 - 0.5], [0, 0, 1]])
    return (frame @ window)[:2]


def direction(bundle: Path, edits: list[str]) -> torch.Tensor:
    """The sum of strength x factor x direction over edits like `Smiling=1`."""
    with safe_open(bundle / "attributes.safetensors", "pt") as file:
        names = json.loads(file.metadata()["names"])
        vectors, factors = file.get_tensor("directions.isolated").float(), file.get_tensor("factors.isolated")
    step = torch.zeros(vectors.shape[1])
    for edit in edits:
        name, strength = edit.split("=")
        index, strength = names.index(name), float(strength)
        step += strength * factors[index, 0 if strength > 0 else 1] * vectors[index]
    return step


@torch.inference_mode()
def difference(model: FaceVAE, crop: np.ndarray, step: torch.Tensor) -> np.ndarray:
    """(decoded after - decoded before) x mask, size x size x 3, for a crop with values in [0, 1]."""
    image = torch.from_numpy(crop).permute(2, 0, 1)[None]
    mean, _ = model.encode(image)
    pictures, mask_logits = model.decode(torch.cat([mean, mean + step]))
    change = (pictures[1] - pictures[0]) * torch.sigmoid(mask_logits[0])
    return change.permute(1, 2, 0).contiguous().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--attribute", action="append", required=True, metavar="NAME=STRENGTH")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()

    photo = np.asarray(ImageOps.exif_transpose(Image.open(options.photo)).convert("RGB"))
    model = FaceVAE.load(options.bundle)
    size = model.configuration.image_size
    affine = crop_to_photo(*eyes(photo), size)
    crop = cv2.warpAffine(
        photo, affine, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    change = difference(model, np.float32(crop) / 255, direction(options.bundle, options.attribute))
    change = cv2.warpAffine(change, affine, (photo.shape[1], photo.shape[0]), flags=cv2.INTER_LINEAR)
    edited = np.clip(np.rint(photo + 255 * change), 0, 255).astype(np.uint8)
    Image.fromarray(edited).save(options.output, quality=95)


if __name__ == "__main__":
    main()
