"""An endless stream of training batches, each of which depends on its position alone.

A face's square, mirroring and low resolution are pure functions of (seed, epoch, image): a resumed
run sees what an uninterrupted one would have seen.
"""

import functools
import os

import numpy as np
import tensorflow as tf

from data import LOW_RESOLUTIONS
from errors import Mistake
from imaging.lists import FaceList
from imaging.pictures import crop_and_resize, read_pixels
from imaging.unreadable import Unreadable
from training.reading import read_face


class TrainingFaces:
    """An endless, seeded stream of training batches that can start at any step.

    Every epoch visits the faces once in a new order, leaving out the last incomplete batch. An
    unreadable file is noted and replaced by the next readable one of the epoch's order, so that
    batches stay full and their positions do not move.

    Attributes:
        steps_per_epoch: full batches per epoch.
        unreadable: `Unreadable`, the files that could not be read so far.
    """

    # This many unreadable files in a row mean that something else is wrong: a disk that went
    # away, a folder of other files.
    UNREADABLE_IN_A_ROW = 100
    PLANNED = 1024  # faces whose files Python looks up at once
    UNIT = 16  # most faces that a thread reads in one go

    def __init__(
        self,
        paths,
        batch_size,
        image_size=128,
        low_resolutions=LOW_RESOLUTIONS,
        smallest_crop=1.0,
        mirror=False,
        seed=0,
    ):
        """Keep what defines the stream; nothing is read yet.

        Args:
            paths: `FaceList`, or another sequence of image files.
            batch_size: faces per batch.
            image_size: height and width of a face in pixels.
            low_resolutions: (height, width) pairs, drawn uniformly, one per face and epoch.
            smallest_crop: see `crop_and_resize`.
            mirror: see `crop_and_resize`.
            seed: integer at least 0 that fixes every random choice.

        Raises:
            Mistake: fewer faces than one batch needs.
        """
        if len(paths) < batch_size:
            raise Mistake(
                f"{len(paths)} training faces do not fill one batch of {batch_size}: "
                + (f"set BATCH_SIZE to at most {len(paths)} or " if len(paths) > 1 else "")
                + "add faces to TRAIN_DIR"
            )
        self.paths = paths
        self.batch_size = batch_size
        self.image_size = image_size
        self.low_resolutions = np.array(low_resolutions, np.int32)
        self.smallest_crop = smallest_crop
        self.mirror = mirror
        self.seed = seed
        self.steps_per_epoch = len(paths) // batch_size
        self.unreadable = Unreadable()
        self._failure = None
        self._epoch = functools.lru_cache(maxsize=2)(self._new_epoch)

    def dataset(self, first_step=0, part=0, parts=1):
        """Return the stream from a step on.

        Python, which one thread at a time can run, only plans which files come when; reading and
        resizing them is left to TensorFlow's threads, but for files that only Python can read.

        Args:
            first_step: number of batches to leave out, in no time: their files are not read.
            part: which part of each batch to return, from 0; the others' files are not read.
            parts: number of equal parts; it divides the batch size.

        Returns:
            `tf.data.Dataset` of (hr_pixels, low_resolutions): uint8 (B, size, size, 3), and int32
            (B, 2), the height and width in pixels that each face is to be reduced to; B is the
            batch size divided by `parts`.
        """
        count = self.batch_size // parts
        steps = max(1, self.PLANNED // count)
        unit = max(n for n in range(1, self.UNIT + 1) if count % n == 0)

        def plan(step):
            positions = np.arange(step, step + steps)[:, None] * self.batch_size
            positions = (positions + part * count + np.arange(count)).reshape(-1, unit)
            return positions, *self._plan(positions)

        def planned(step):
            types = tf.int64, tf.string, tf.float64, tf.int32
            plans = tf.numpy_function(plan, [step], types, stateful=False)
            shapes = (None, unit), (None, unit), (None, unit, 4), (None, unit, 2)
            return tuple(map(tf.ensure_shape, plans, shapes))

        def put_together(hr_pixels, low_resolutions):
            size = self.image_size
            return (
                tf.reshape(hr_pixels, (count, size, size, 3)),
                tf.reshape(low_resolutions, (count, 2)),
            )

        return (
            tf.data.Dataset.range(first_step, np.iinfo(np.int64).max, steps)
            .map(planned)
            .prefetch(1)
            .unbatch()
            .map(self._read_unit, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(count // unit, drop_remainder=True)
            .map(put_together)
            .prefetch(tf.data.AUTOTUNE)
        )

    def _read_unit(self, positions, paths, draws, low_resolutions):
        """Read a few faces; if TensorFlow fails on one of them, Python reads that one."""
        faces = tf.data.Dataset.from_tensor_slices((positions, paths, draws))

        def alone(*face):
            face = tf.data.Dataset.from_tensors(face)
            return face.map(self._read).ignore_errors().concatenate(face.map(otherwise)).take(1)

        def otherwise(position, _, draws):
            return self._read_by_python(position, draws)

        together = faces.map(self._read).batch(len(positions)).ignore_errors()
        apart = faces.flat_map(alone).batch(len(positions))
        return together.concatenate(apart).take(1).get_single_element(), low_resolutions

    def _read(self, position, path, draws):
        options = self.image_size, self.smallest_crop, self.mirror
        return read_face(path, draws, *options, lambda: self._read_by_python(position, draws))

    def _read_by_python(self, position, draws):
        # stateful=False: the same position always gives the same face.
        pixels = tf.numpy_function(self._draw, [position, draws], tf.uint8, stateful=False)
        return tf.ensure_shape(pixels, (self.image_size, self.image_size, 3))

    def batches(self, first_step=0, part=0, parts=1):
        """Yield the batches of `dataset`, of the same arguments, without end.

        Raises:
            Mistake: `UNREADABLE_IN_A_ROW` files, or all there are, could not be read.
        """
        try:
            yield from self.dataset(first_step, part, parts)
        except tf.errors.OpError:
            if self._failure is None:
                raise
            raise Mistake(self._failure) from None

    def _new_epoch(self, epoch):
        """Return (order of the paths, numbers in [0, 1) that are drawn for each path)."""
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self.paths))
        return order, rng.random((len(self.paths), 5), np.float32)

    def locate(self, position, skip=0):
        """Return (epoch, index of the path) of a position in the stream of faces.

        Args:
            position: number of the face since the start of the training, from 0.
            skip: how many faces further on in the epoch's order to look.
        """
        epoch, slot = divmod(int(position), self.steps_per_epoch * self.batch_size)
        order, _ = self._epoch(epoch)
        return epoch, int(order[(slot + skip) % len(self.paths)])

    def _plan(self, positions):
        """Return what is to be read at positions (N, U).

        Returns:
            (paths, draws, low_resolutions): bytes (N, U), float64 (N, U, 4) for `crop_and_resize`
            and int32 (N, U, 2).
        """
        epochs, slots = np.divmod(positions, self.steps_per_epoch * self.batch_size)
        indices, draws = np.empty_like(slots), np.empty((*slots.shape, 5))
        for number in np.unique(epochs):
            order, drawn = self._epoch(int(number))
            here = epochs == number
            indices[here] = order[slots[here]]
            draws[here] = drawn[indices[here]]
        chosen = np.int64(draws[..., 0] * len(self.low_resolutions))
        paths = np.array(self._encoded(indices.ravel()), object).reshape(indices.shape)
        return paths, draws[..., 1:], self.low_resolutions[chosen]

    def _encoded(self, indices):
        """Return the paths of some indices as a list of bytes."""
        if isinstance(self.paths, FaceList):
            return self.paths.encoded(indices)
        return [os.fsencode(self.paths[i]) for i in indices]

    def _draw(self, position, draws):
        """Return the pixels (size, size, 3) at a position as Python reads them."""
        for skip in range(min(len(self.paths), self.UNREADABLE_IN_A_ROW)):
            path = self.paths[self.locate(position, skip)[1]]
            if path in self.unreadable:
                continue
            try:
                pixels = read_pixels(path)
            except OSError as error:
                self.unreadable.note(path, error)
                continue
            return crop_and_resize(pixels, self.image_size, draws, self.smallest_crop, self.mirror)
        # TensorFlow would bury this message in its own: `batches` raises it anew.
        last = self.unreadable.reasons[path]
        self._failure = f"{skip + 1} images in a row could not be read, the last one: {last}"
        raise Mistake(self._failure)
