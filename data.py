"""From folders of photographs to batches of low- and high-resolution faces.

A face is float32 RGB (H, W, 3) in [-1, 1]; pixels are uint8 RGB (H, W, 3) in [0, 255].
Every random choice is a pure function of (seed, epoch, image), so a batch depends on its
position in training alone: a resumed run sees what an uninterrupted one would have seen.
"""

import functools

import numpy as np
import tensorflow as tf
from keras import ops

from errors import Mistake
from imaging.pictures import crop_and_resize, read_pixels
from imaging.resampling import bicubic_matrix
from imaging.unreadable import Unreadable

# Of the correction. One leaves a face 1 level of 255 from its input on average, two half a level;
# the exact projection leaves nothing, but does worse where pictures were not reduced bicubically.
BACK_PROJECTIONS = 2

# (height, width) in pixels of the low-resolution faces, each as likely as the others (original).
LOW_RESOLUTIONS = (
    (7, 6),
    (11, 8),
    (14, 12),
    (16, 12),
    (16, 14),
    (16, 16),
    (18, 16),
    (21, 15),
    (32, 32),
    (112, 96),
)


# --- Value ranges ----------------------------------------------------------------------------


def to_faces(pixels):
    """Scale uint8 pixels in [0, 255] to float32 faces in [-1, 1]."""
    return ops.cast(pixels, "float32") / 127.5 - 1.0


def to_pixels(faces):
    """Round float32 faces in [-1, 1] to uint8 pixels in [0, 255]: the inverse of `to_faces`."""
    return ops.cast(ops.round((ops.clip(faces, -1.0, 1.0) + 1.0) * 127.5), "uint8")


# --- Degradation and its other half, the correction ------------------------------------------


class Degradation:
    """The one degradation of this repository: training, evaluation and inference all call it.

    Bicubic reduction and enlargement and the correction are matrix products, an axis at a time, so
    that every face of a batch can have its own low resolution, on every device and backend.
    """

    def __init__(
        self, image_size, low_resolutions, antialias=True, eight_bits=True, consistent=True
    ):
        """Compute the matrices of all low resolutions.

        Args:
            image_size: height and width S of the faces in pixels.
            low_resolutions: (height, width) pairs in pixels that may occur; for others, all that
                is returned is NaN.
            antialias: whether the reduction averages over the pixels it drops, as a camera does.
                False restores the original code.
            eight_bits: whether low-resolution faces are rounded to 8 bits, as pictures are. False
                restores the original code.
            consistent: whether `correct` does anything. False restores the original code.
        """
        self.consistent = consistent
        self._eight_bits = eight_bits
        sides = sorted({side for size in low_resolutions for side in size})
        longest = sides[-1]
        self._place = np.full(longest + 1, len(sides), np.int32)  # of a side in the tables
        self._place[sides] = range(len(sides))
        # Padded with zeros to the longest side; the last place is that of sides not foreseen.
        self._reducing = np.zeros((len(sides) + 1, longest, image_size), np.float32)
        self._enlarging = np.zeros((len(sides) + 1, image_size, longest), np.float32)
        for place, side in enumerate(sides):
            self._reducing[place, :side] = bicubic_matrix(side, image_size, antialias)
            self._enlarging[place, :, :side] = bicubic_matrix(image_size, side)
        self._reducing[-1] = self._enlarging[-1] = np.nan
        self._blurring = self._enlarging @ self._reducing

    def __call__(self, hr_faces, low_resolutions):
        """Reduce faces bicubically to low resolutions and enlarge them again.

        Bicubic kernels overshoot at edges, so both results are clipped to the range of a picture.

        Args:
            hr_faces: float32 (B, S, S, 3) in [-1, 1].
            low_resolutions: int32 (B, 2), height and width in pixels for each face.

        Returns:
            lr_faces, float32 (B, S, S, 3) in [-1, 1].
        """
        small = self._resized(self._reducing, hr_faces, low_resolutions)
        small = ops.clip(small, -1.0, 1.0)
        if self._eight_bits:
            small = ops.round((small + 1.0) * 127.5) / 127.5 - 1.0
        return ops.clip(self._resized(self._enlarging, small, low_resolutions), -1.0, 1.0)

    def correct(self, sr_faces, lr_faces, low_resolutions):
        """Add to SR faces what their own reduction lacks of the low-resolution faces (ours).

        `BACK_PROJECTIONS` steps of back-projection (Irani and Peleg 1991): what the input says of
        a face is kept; the network decides what it leaves open.

        Args:
            sr_faces: float32 (B, S, S, 3) in [-1, 1], what a network made of `lr_faces`.
            lr_faces: float32 (B, S, S, 3) in [-1, 1], enlarged from the low resolution.
            low_resolutions: int32 (B, 2), height and width in pixels that those came from.

        Returns:
            sr_faces, float32 (B, S, S, 3) in [-1, 1].
        """
        if not self.consistent:
            return sr_faces
        return back_projected(sr_faces, lr_faces, *self._axes(self._blurring, low_resolutions))

    def _resized(self, matrices, faces, low_resolutions):
        return resized(faces, *self._axes(matrices, low_resolutions))

    def _axes(self, matrices, low_resolutions):
        """Return the matrices of each face for its rows and for its columns."""
        places = ops.take(self._place, low_resolutions)
        return [ops.take(matrices, places[:, axis], axis=0) for axis in range(2)]


def back_projected(sr_faces, lr_faces, rows, columns):
    """Correct SR faces, see `Degradation.correct`.

    Args:
        sr_faces: float32 (B, S, S, 3).
        lr_faces: float32 (B, S, S, 3).
        rows: float32 (B, S, S), matrices that reduce and enlarge again, for the rows of each face.
        columns: the same for its columns.
    """
    for _ in range(BACK_PROJECTIONS):
        sr_faces = sr_faces + lr_faces - resized(sr_faces, rows, columns)
    return ops.clip(sr_faces, -1.0, 1.0)


def resized(faces, rows, columns):
    """Resize faces (B, H, W, C) by matrices (B, H', H) and (B, W', W) of their own."""
    faces = ops.einsum("boh,bhwc->bowc", rows, faces)
    return ops.einsum("bow,bhwc->bhoc", columns, faces)


def degrade(hr_faces, low_resolution, antialias=True, eight_bits=True):
    """Degrade faces to one low resolution, as `Degradation` does.

    Args:
        hr_faces: float32 (S, S, 3) or (B, S, S, 3) in [-1, 1].
        low_resolution: (height, width) in pixels.
        antialias: see `Degradation`.
        eight_bits: see `Degradation`.

    Returns:
        lr_faces, float32 in [-1, 1], of the shape of `hr_faces`.
    """
    degradation = Degradation(hr_faces.shape[-2], [low_resolution], antialias, eight_bits)
    faces = ops.reshape(hr_faces, (-1, *hr_faces.shape[-3:]))
    lr_faces = degradation(faces, np.tile(np.int32([low_resolution]), (len(faces), 1)))
    return ops.reshape(lr_faces, hr_faces.shape)


def enlarge(pixels, size=128):
    """Make pictures of any size the input of the network.

    Pictures that are not square are padded to one by repeating their edges, so that faces keep
    their proportions. Smaller ones are enlarged by the bicubic kernel that training enlarges with,
    larger ones reduced by the antialiased one that it reduces with. Works in graphs as well.

    Args:
        pixels: uint8 RGB (B, H, W, 3), of any H and W from 1.
        size: height and width of the network's faces.

    Returns:
        lr_faces, float32 (B, size, size, 3) in [-1, 1].
    """
    height, width = tf.unstack(tf.shape(pixels)[1:3])
    side = tf.maximum(height, width)
    for axis, length in ((1, height), (2, width)):
        positions = tf.range(side) - (side - length) // 2
        pixels = tf.gather(pixels, tf.clip_by_value(positions, 0, length - 1), axis=axis)
    faces = to_faces(pixels)
    faces = tf.cond(
        side > size,
        lambda: tf.image.resize(faces, (size, size), "bicubic", antialias=True),
        lambda: tf.image.resize(faces, (size, size), "bicubic"),
    )
    return tf.clip_by_value(tf.ensure_shape(faces, (None, size, size, 3)), -1.0, 1.0)


# --- Batches ---------------------------------------------------------------------------------


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
                f"set BATCH_SIZE to at most {len(paths)} or add faces to TRAIN_DIR"
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
        self._order = functools.lru_cache(maxsize=2)(self._new_order)

    def dataset(self, first_step=0, part=0, parts=1):
        """Return the stream from a step on.

        Args:
            first_step: number of batches to leave out, in no time: their files are not read.
            part: which part of each batch to return, from 0; the others' files are not read.
            parts: number of equal parts; it divides the batch size.

        Returns:
            `tf.data.Dataset` of (hr_pixels, low_resolutions): uint8 (B, size, size, 3), and int32
            (B, 2), the height and width in pixels that each face is to be reduced to; B is the
            batch size divided by `parts`.
        """
        size = self.image_size

        def face(position):
            # stateful=False: the same position always gives the same face.
            pixels, low_resolution = tf.numpy_function(
                self._draw, [position], (tf.uint8, tf.int32), stateful=False
            )
            return tf.ensure_shape(pixels, (size, size, 3)), tf.ensure_shape(low_resolution, (2,))

        count = self.batch_size // parts

        def positions(step):
            first = step * self.batch_size + part * count
            return tf.data.Dataset.range(first, first + count)

        return (
            tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
            .flat_map(positions)
            .map(face, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(count, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

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

    def _new_order(self, epoch):
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.paths))

    def locate(self, position, skip=0):
        """Return (epoch, index of the path) of a position in the stream of faces.

        Args:
            position: number of the face since the start of the training, from 0.
            skip: how many faces further on in the epoch's order to look.
        """
        epoch, slot = divmod(int(position), self.steps_per_epoch * self.batch_size)
        return epoch, int(self._order(epoch)[(slot + skip) % len(self.paths)])

    def _draw(self, position):
        """Return the pixels (size, size, 3) and the low resolution (2,) at a position."""
        for skip in range(min(len(self.paths), self.UNREADABLE_IN_A_ROW)):
            epoch, index = self.locate(position, skip)
            path = self.paths[index]
            if path in self.unreadable:
                continue
            try:
                pixels = read_pixels(path)
            except OSError as error:
                self.unreadable.note(path, error)
                continue
            rng = np.random.default_rng((self.seed, epoch, index))
            low_resolution = self.low_resolutions[rng.integers(len(self.low_resolutions))]
            pixels = crop_and_resize(pixels, self.image_size, rng, self.smallest_crop, self.mirror)
            return pixels, low_resolution
        # TensorFlow would bury this message in its own: `batches` raises it anew.
        last = self.unreadable.reasons[path]
        self._failure = f"{skip + 1} images in a row could not be read, the last one: {last}"
        raise Mistake(self._failure)
