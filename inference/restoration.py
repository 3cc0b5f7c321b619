"""A stream of pictures in, a stream of results out: read, super-resolved, written, told."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.metrics.pairwise import paired_cosine_distances

from files import whole
from imaging.cropping import cut_out, put_back
from imaging.pictures import read_pixels, read_reduced
from inference.plan import earlier_faces
from inference.resolution import AUTO, OWN, undo_enlargement
from inference.super_resolver import cut_pixels

READ_SIZE = 4  # larger pictures are reduced to this many times the network's size on reading
TELLING_SIZE = (11, 8)  # (height, width) in pixels below which a face hardly tells who it is


@dataclasses.dataclass(frozen=True)
class Face:
    """A face before and after.

    Attributes:
        picture: uint8 RGB (H, W, 3) as it came.
        bicubic: uint8 RGB of the network's size, enlarged.
        sr: uint8 RGB of the same shape, super-resolved.
        resolution: (height, width) that the picture was taken for, see `SuperResolver.taken_for`,
            or that it had before it was enlarged.
        similarity: identity similarity of bicubic and sr in [-1, 1], NaN if not measured.
    """

    picture: np.ndarray
    bicubic: np.ndarray
    sr: np.ndarray
    resolution: tuple
    similarity: float

    @property
    def taken_for_another(self):
        """Whether the picture was taken for another than it is."""
        return self.resolution != self.picture.shape[:2]

    @property
    def is_telling(self):
        """Whether the picture has enough pixels to tell who it shows."""
        return all(a >= b for a, b in zip(self.resolution, TELLING_SIZE, strict=True))


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a picture, or of one face in a photograph.

    Attributes:
        source: `Path` of the picture.
        path: `Path` of what was written, None if nothing was.
        name: what to call it on a sheet.
        size: (height, width) of what came in, None if nothing was done.
        face: `Face`; None for a photograph with its faces put back, or if nothing was done.
        problem: one line that says why nothing was done, "" if something was.
        left: number of faces in a photograph that are large already, and left as they are.
        settles: whether its source is done with; not so after a face, as its photograph follows.
    """

    source: Path
    path: Path | None = None
    name: str = ""
    size: tuple | None = None
    face: Face | None = None
    problem: str = ""
    left: int = 0
    settles: bool = True


def failed(source, reason):
    """Return the `Result` of a picture with which nothing was done."""
    return Result(source, problem=" ".join(str(reason).split()))


class Restoration:
    """Super-resolves the pictures of a plan one after the other, a few in memory at a time."""

    def __init__(self, super_resolve, embed=None, batch_size=16, resolution=OWN):
        """Keep what works on faces.

        Args:
            super_resolve: `SuperResolver`.
            embed: function from faces, float32 (B, H, W, 3), to embeddings, (B, E), or None not
                to measure similarity.
            batch_size: most faces computed at a time; it changes memory and speed alone.
            resolution: what pictures are taken for, see `resolution.parse_resolution`.
        """
        self._super_resolve = super_resolve
        self._embed = embed
        self._batch_size = batch_size
        self._resolution = resolution

    def pictures(self, tasks):
        """Do pictures that show one face each.

        Args:
            tasks: list of `Task`.

        Yields:
            A `Result` for each.
        """
        for batch in _batches(tasks, self._batch_size):
            read = []
            for task in batch:
                try:
                    pair = read_reduced(task.source, READ_SIZE * self._super_resolve.size)
                    read.append((task, *pair))
                except OSError as error:
                    yield failed(task.source, error)
            faces = self._faces([pixels for _, pixels, _ in read])
            for (task, _, size), face in zip(read, faces, strict=True):
                try:
                    write_picture(task.result, face.sr)
                except OSError as error:
                    yield failed(task.source, error)
                else:
                    yield Result(task.source, task.result, task.name, size, face)

    def photographs(self, tasks, detector):
        """Do the small faces of photographs and put them back.

        Args:
            tasks: list of `Task`.
            detector: `FaceDetector`.

        Yields:
            A `Result` for each face, and one for each photograph after its faces.
        """
        for task in tasks:
            try:
                yield from self._photograph(task, detector)
            except OSError as error:
                yield failed(task.source, error)

    def _photograph(self, task, detector):
        photograph = read_pixels(task.source)
        found, size = detector(photograph), self._super_resolve.size
        squares = [square for square in found if square[-1] < size]
        if not squares:
            larger = f"; the {len(found)} found have {size} or more pixels already"
            raise OSError(f"{task.source}: no small face{larger if found else ' was found'}")
        for path in earlier_faces(task.faces):
            path.unlink()
        restored, numbers = photograph.copy(), itertools.count(1)
        for batch in _batches(squares, self._batch_size):
            faces = self._faces([cut_out(photograph, square) for square in batch])
            for square, face, number in zip(batch, faces, numbers, strict=False):
                put_back(restored, square, face.sr)
                path = task.faces / f"{number}_sr.png"
                write_picture(path, face.sr)
                name = f"{task.name}, face {number}"
                before = face.picture.shape[:2]
                yield Result(task.source, path, name, before, face, settles=False)
        write_picture(task.result, restored)
        left = len(found) - len(squares)
        yield Result(task.source, task.result, task.name, restored.shape[:2], left=left)

    def _faces(self, pictures):
        """Return a list of `Face` of a list of uint8 RGB (H, W, 3)."""
        if not pictures:
            return []
        is_auto = self._resolution == AUTO
        taken = [undo_enlargement(picture) for picture in pictures] if is_auto else pictures
        reduced_to = None if self._resolution in (AUTO, OWN) else self._resolution
        lr_faces, sr_faces = self._super_resolve(taken, reduced_to)
        similarities = [float("nan")] * len(pictures)
        if self._embed:
            embeddings = [self._embed(tf.constant(faces)) for faces in (lr_faces, sr_faces)]
            similarities = 1.0 - paired_cosine_distances(*embeddings)
        return [
            Face(
                picture,
                cut_pixels(lr_face, small),
                cut_pixels(sr_face, small),
                self._super_resolve.taken_for(small, reduced_to),
                float(value),
            )
            for picture, small, lr_face, sr_face, value in zip(
                pictures, taken, lr_faces, sr_faces, similarities, strict=True
            )
        ]


def write_picture(path, pixels):
    """Write pixels as a lossless PNG, whole or not at all.

    Args:
        path: `Path`; missing folders are made.
        pixels: uint8 RGB (H, W, 3).

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as unfinished:
            Image.fromarray(np.ascontiguousarray(pixels)).save(unfinished)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


def _batches(items, count):
    return (items[start : start + count] for start in range(0, len(items), count))
