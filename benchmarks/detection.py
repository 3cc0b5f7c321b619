"""Measure how well faces are found: `python -m benchmarks.detection`. Needs `mtcnn`.

Faces are pasted at known places into larger, restless backgrounds; `prepare.py` crops what it
finds. Where the landmarks of a face are known (`attributes.csv`, as in `samples/`), the box it
should have follows from them; else from where boxes lie in all pictures of the folder (median),
which says something about pictures that are all cropped alike only.
"""

import csv
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import prepare
from errors import tell
from imaging.cropping import TEMPLATE, similarity
from imaging.lists import find_faces
from imaging.opencv import cv2
from imaging.pictures import read_pixels

FACES_DIR = Path(__file__).parents[1] / "samples"  # pictures of one face each
FACES = 500  # number of pictures, spread over the folder
BACKGROUND = (480, 640)  # (height, width) in pixels
SCALES = (0.5, 1.5)  # faces are resized by a factor between these
SEED = 0


def background(rng):
    """Return a picture of blurred colours and sharp-edged shapes, uint8 (H, W, 3)."""
    height, width = BACKGROUND
    small = rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8)
    picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(20):
        x, y, size = (int(n) for n in rng.integers((0, 0, 8), (width, height, 80)))
        colour = [int(n) for n in rng.integers(0, 256, 3)]
        if rng.random() < 0.5:
            cv2.rectangle(picture, (x, y), (x + size, y + size), colour, -1)
        else:
            cv2.circle(picture, (x, y), size // 2, colour, -1)
    noise = rng.normal(0, 6, picture.shape)
    return np.uint8(np.clip(picture + noise, 0, 255))


def paste(paths, folder, rng):
    """Paste each face into a background of its own; return (left, top, scale) of each."""
    places = []
    for i, path in enumerate(paths):
        pixels = read_pixels(path)
        scale = rng.uniform(*SCALES)
        size = [round(n * scale) for n in pixels.shape[1::-1]]
        left, top = (int(rng.integers(BACKGROUND[1 - axis] - size[axis])) for axis in (0, 1))
        picture = background(rng)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        face = cv2.resize(pixels, size, interpolation=method)
        picture[top : top + size[1], left : left + size[0]] = face
        Image.fromarray(picture).save(folder / f"{i:05}.jpg", quality=95)
        places.append((left, top, scale))
    return np.array(places)


def known_boxes(paths):
    """Return {(identity, file name): (middle x, middle y, side)} from `attributes.csv`, if any."""
    table, boxes = Path(FACES_DIR) / "attributes.csv", {}
    if table.is_file():
        names = [f"{n}_{axis}" for n in ("right_eye", "left_eye", "nose") for axis in "xy"]
        names += [f"{side}_mouth_{axis}" for side in ("right", "left") for axis in "xy"]
        with open(table, newline="") as file:
            for row in csv.DictReader(file):
                landmarks = np.array([float(row[name]) for name in names]).reshape(5, 2)
                matrix = similarity(TEMPLATE, landmarks)
                middle = matrix @ (0.5, 0.5, 1)
                boxes[row["identity"], row["image"]] = *middle, np.hypot(*matrix[:, 0])
    return [boxes.get((path.parent.name, path.name)) for path in paths]


def main():
    """Paste, detect, print."""
    every = find_faces(FACES_DIR)
    chosen = np.unique(np.linspace(0, len(every) - 1, FACES).astype(int))
    paths = [every[i] for i in chosen]
    with tempfile.TemporaryDirectory() as folder:
        source, crops = Path(folder) / "source", Path(folder) / "crops"
        source.mkdir()
        left, top, scale = paste(paths, source, np.random.default_rng(SEED)).T
        prepare.SOURCE_DIR, prepare.OUTPUT_DIR, prepare.FACES = source, crops, "detect"
        prepare.main()
        with open(crops / "manifest.csv", newline="") as file:
            rows = list(csv.DictReader(file))
    nothing = dict.fromkeys(("left", "top", "width", "height"), "nan")
    boxes = [nothing if row["reason"] else row for row in rows]
    x, y, width, height = (np.array([float(box[key]) for box in boxes]) for key in nothing)
    # Middle and side of the squared box, in pixels of the picture that was pasted.
    found = (
        np.stack([x + width / 2 - left, y + height / 2 - top, np.maximum(width, height)]) / scale
    )
    known = known_boxes(paths)
    if None in known:
        known, truth = [np.nanmedian(found, axis=1)] * len(paths), "the median box"
    else:
        truth = "the box that follows from the landmarks"
    known = np.array(known).T
    distance = np.hypot(*(found - known)[:2]) / known[2]
    is_right = distance < 0.5  # NaN is not
    print(
        f"{len(paths)} faces pasted: {np.isfinite(distance).sum()} found, {is_right.sum()} of them "
        f"({is_right.mean():.1%} of all) at their place, nearer than half a box to {truth}.\n"
        "Of those, as fractions of the side of that box (median, 95 %):"
    )
    for name, error in (("middle", distance), ("side", np.abs(found[2] / known[2] - 1))):
        print(
            f"  {name} off by {np.median(error[is_right]):.3f}, "
            f"{np.quantile(error[is_right], 0.95):.3f}"
        )
    for i in np.flatnonzero(~is_right):
        print(f"  wrong: {paths[i]} at scale {scale[i]:.2f}: {rows[i]['reason'] or 'elsewhere'}")


if __name__ == "__main__":
    tell(main)
