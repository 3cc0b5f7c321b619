"""One face in every version: its few pixels, bicubic, SR, original; what `demo.py` shows."""

import dataclasses
import functools

import numpy as np
from PIL import Image, UnidentifiedImageError

from data import LOW_RESOLUTIONS, to_faces, to_pixels
from errors import Mistake, shown
from imaging.cropping import cut_out, main_face
from imaging.detection import LONGEST_SIDE
from imaging.pictures import crop_and_resize, read_reduced
from inference.resolution import AUTO, undo_enlargement
from inference.restoration import READ_SIZE, TELLING_SIZE
from inference.super_resolver import cut_pixels
from metrics import BICUBIC, SR, similarity
from trained_networks import read_config

FIND, WHOLE = "find", "whole"  # the face in a photograph, or all there is
KEPT = 8  # faces last cut out, so that another size of the same need not search again


@dataclasses.dataclass(frozen=True)
class Versions:
    """A face as it is shown.

    Attributes:
        pixels: uint8 RGB (h, w, 3), what the network knows of it; stands for the same area as
            the others, also if its proportions are not theirs.
        bicubic: uint8 RGB (H, W, 3), enlarged.
        sr: uint8 RGB (H, W, 3), super-resolved.
        original: uint8 RGB (H, W, 3), or None if the pixels are all there is.
        similarities: {metrics.BICUBIC, metrics.SR: cosine in [-1, 1] of its embedding and the
            original's}; {} without original.
        notes: sentences about how it came about.
    """

    pixels: np.ndarray
    bicubic: np.ndarray
    sr: np.ndarray
    original: np.ndarray | None
    similarities: dict
    notes: tuple


def sizes_of(network, image_size):
    """Return the low resolutions that a network was trained on, or else the usual ones.

    Args:
        network: `Path` of a trained network.
        image_size: height and width of its faces in pixels.

    Returns:
        List of (height, width) in pixels.
    """
    try:
        constants, _ = read_config(network.absolute())
        sizes = [(height, width) for height, width in constants["LOW_RESOLUTIONS"]]
    except (Mistake, KeyError, ValueError, TypeError):  # a file that came alone
        sizes = LOW_RESOLUTIONS
    return [size for size in sizes if max(size) <= image_size]


class Demonstration:
    """Cuts the face out of a picture and super-resolves it from as many pixels as is wished."""

    def __init__(self, super_resolve, embed, detector):
        """Keep what works on faces.

        Args:
            super_resolve: `SuperResolver`.
            embed: function from faces, float32 (B, S, S, 3), to embeddings, (B, E).
            detector: function from a photograph, uint8 RGB (H, W, 3), to squares, see
                `FaceDetector`.
        """
        self._super_resolve = super_resolve
        self._embed = embed
        self._detector = detector
        self._cut = functools.lru_cache(KEPT)(self._cut_face)

    def __call__(self, path, framing, resolution):
        """Make every version of a face.

        Args:
            path: picture file.
            framing: `FIND` or `WHOLE`.
            resolution: (height, width) in pixels to reduce the face to, or "auto" to take it as
                it is, see `resolution.undo_enlargement`.

        Returns:
            `Versions`.

        Raises:
            Mistake: a sentence that says why there are none.
        """
        face, notes = self._cut(path, framing)
        if resolution == AUTO:
            return self._as_it_is(face, notes)
        return self._reduced(face, tuple(resolution), notes)

    def _cut_face(self, path, framing):
        """Return (uint8 RGB (H, W, 3), sentences), see `__call__`."""
        most = READ_SIZE * self._super_resolve.size
        picture = _read(path, LONGEST_SIDE if framing == FIND else most)
        notes = ()
        if framing == FIND:
            squares = self._detector(picture)
            if not squares:
                raise Mistake(
                    "No face was found. If the picture shows one, take the whole picture."
                )
            boxes = [(left, top, side, side) for top, left, side in squares]
            picture = cut_out(picture, squares[main_face(boxes, *picture.shape[:2])])
            if len(squares) > 1:
                notes = (f"{len(squares)} faces were found; this is the largest, most central.",)
            if len(picture) > most:
                picture = crop_and_resize(picture, most)
        return picture, notes

    def _as_it_is(self, face, notes):
        small = undo_enlargement(face)
        lr_faces, sr_faces = self._super_resolve([small])
        size = self._super_resolve.size
        if small.shape != face.shape:
            was, taken = _text(face), _text(small)
            notes += (f"It looks enlarged: its {was} pixels are taken for {taken}.",)
        if max(small.shape[:2]) >= size:
            notes += (
                f"It has {_text(small)} pixels, the network gives {size}x{size}: there is nothing "
                "to gain. Reduce it to a low resolution first.",
            )
        notes += _telling(small)
        versions = cut_pixels(lr_faces[0], small), cut_pixels(sr_faces[0], small)
        return Versions(small, *versions, original=None, similarities={}, notes=notes)

    def _reduced(self, face, resolution, notes):
        if min(face.shape[:2]) < max(resolution):
            raise Mistake(
                f"This face has {_text(face)} pixels itself: choose a lower resolution, or take "
                "it as it is."
            )
        original = crop_and_resize(face, self._super_resolve.size)
        if face.shape[0] != face.shape[1]:
            notes += ("Faces are square: this is the middle of the picture.",)
        hr_faces = to_faces(original[None])
        lr_faces, sr_faces = self._super_resolve([original], resolution)
        height, width = resolution
        degradation = self._super_resolve.degradation([resolution])
        reduced = degradation.reduce(hr_faces, np.int32([resolution]))
        small = to_pixels(reduced[0, :height, :width]).numpy()
        hr, *others = (self._embed(faces) for faces in (hr_faces, lr_faces, sr_faces))
        return Versions(
            small,
            *(cut_pixels(faces[0], original) for faces in (lr_faces, sr_faces)),
            original,
            {name: similarity(e, hr).item() for name, e in zip((BICUBIC, SR), others, strict=True)},
            notes + _telling(small),
        )


def _read(path, longest):
    """Return the pixels of a picture, see `read_reduced`; its problems become sentences."""
    try:
        return read_reduced(path, longest)[0]
    except OSError as error:
        match error.__cause__:
            case UnidentifiedImageError():
                reason = "This file is no picture, or none of a kind that can be read here."
            case Image.DecompressionBombError():
                most = 2 * Image.MAX_IMAGE_PIXELS / 1e6
                reason = f"This picture is too large: it has more than {most:.0f} million pixels."
            case FileNotFoundError():
                reason = "This picture is not kept any more: choose it again."
            case cause:
                reason = f"This picture cannot be read: {shown(cause)}."
        raise Mistake(reason) from error


def _telling(pixels):
    """Return a sentence about what so few pixels cannot tell, if they are so few."""
    if all(a >= b for a, b in zip(pixels.shape, TELLING_SIZE, strict=False)):
        return ()
    return ("So few pixels hardly tell who a person is.",)


def _text(pixels):
    return f"{pixels.shape[0]}x{pixels.shape[1]}"
