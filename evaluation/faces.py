"""Which faces are measured, and reading them."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
from tqdm import tqdm

from errors import Mistake
from evaluation.pair_lists import read_pairs
from evaluation.pairs import draw_pairs
from imaging.lists import find_faces, fingerprint, hold_out_identities, spread_over_identities
from imaging.pictures import crop_and_resize, read_pixels


@dataclasses.dataclass(frozen=True)
class Faces:
    """The faces that are measured.

    Attributes:
        pixels: uint8 (N, S, S, 3).
        paths: list of N `Path`.
    """

    pixels: np.ndarray
    paths: list

    def __len__(self):
        return len(self.paths)

    @property
    def index(self):
        """{path: its place in `pixels`}."""
        return {path: i for i, path in enumerate(self.paths)}

    @property
    def identities(self):
        """Array of N folders: whom a face shows."""
        return np.array([str(path.parent) for path in self.paths])


def faces_folder(faces_dir, training):
    """Return the folder of identity folders to measure: FACES_DIR, or else the training's."""
    return Path(faces_dir or training["VALIDATION_DIR"] or training["TRAIN_DIR"])


def choose_faces(faces_dir, training, recipe, count):
    """Return a sorted list of the paths of some faces, spread over people not trained on.

    Args:
        faces_dir: folder of identity folders; None takes those that the training held out.
        training: constants of the training.
        recipe: what they resolved to.
        count: most faces.

    Raises:
        Mistake: there are none, or other faces are held out now than in training.
    """
    folder = faces_folder(faces_dir, training)
    paths = find_faces(folder)
    if not (faces_dir or training["VALIDATION_DIR"]):
        trained, paths = hold_out_identities(paths, training["HELD_OUT_IDENTITIES"])
        if fingerprint(trained) != recipe["training faces"]:
            raise Mistake(
                f"{folder} is not what it was when the network was trained, so that faces it was "
                "trained on could count as held out: set FACES_DIR to other people"
            )
    return sorted(itertools.islice(spread_over_identities(paths), count))


def choose_pairs(chosen, training, recipe):
    """Return (list of `Pair`, paths of the faces to measure).

    Args:
        chosen: constants of `evaluate.py`.
        training: constants of the training.
        recipe: what they resolved to.

    Raises:
        Mistake: faces or pairs are missing, or other faces are held out now than in training.
    """
    if chosen.PAIRS is None:
        paths = choose_faces(chosen.FACES_DIR, training, recipe, chosen.FACES)
        return draw_pairs(paths, chosen.DRAWN_PAIRS, chosen.SEED), paths
    pairs = read_pairs(chosen.PAIRS, faces_folder(chosen.FACES_DIR, training))
    return pairs, sorted({path for pair in pairs for path in (pair.image_a, pair.image_b)})


def choose_sizes(sizes, training):
    """Return the low resolutions to measure: `sizes`, or else those of the training.

    Raises:
        Mistake: one is no smaller than the faces.
    """
    sides = training["IMAGE_SIZE"]
    chosen = list(dict.fromkeys(tuple(size) for size in sizes or training["LOW_RESOLUTIONS"]))
    if any(max(size) > sides or min(size) == sides for size in chosen):
        raise Mistake(f"SIZES must be below the faces' {sides}x{sides}, not {sizes}")
    return chosen


def count_trained_on(paths, training):
    """Return how many people of some faces the network was trained on, as far as can be told.

    Args:
        paths: list of `Path` of the faces to measure.
        training: constants of the training; its folders are compared, if they still exist.
    """
    try:
        trained = find_faces(training["TRAIN_DIR"])
        if not training["VALIDATION_DIR"]:
            trained, _ = hold_out_identities(trained, training["HELD_OUT_IDENTITIES"])
    except Mistake:
        return 0
    measured, trained = (
        {folder.resolve() for folder in {path.parent for path in of}} for of in (paths, trained)
    )
    return len(measured & trained)


def load_faces(paths, image_size, central_crop, problems):
    """Read faces.

    Args:
        paths: list of `Path`.
        image_size: height and width of a face in pixels.
        central_crop: side in pixels of the square that is cut out of the middle first, or None.
        problems: `Problems`, which notes each file that cannot be read.

    Returns:
        `Faces`, those that can be read.

    Raises:
        Mistake: not one could be read.
    """
    pixels, readable = [], []
    for path in tqdm(paths, "reading", unit="face", leave=False):
        try:
            picture = read_pixels(path)
        except OSError as error:
            problems.note(" ".join(str(error).split()))
            continue
        if central_crop is not None:
            top, left = (max(0, side - central_crop) // 2 for side in picture.shape[:2])
            picture = picture[top : top + central_crop, left : left + central_crop]
        readable.append(path)
        pixels.append(crop_and_resize(picture, image_size))
    if not pixels:
        reason = problems[0] if problems else "the list is empty"
        raise Mistake(f"none of {len(paths)} faces could be read: {reason}")
    return Faces(np.stack(pixels), readable)
