"""Value ranges, and the one degradation from high- to low-resolution faces.

A face is float32 RGB (H, W, 3) in [-1, 1]; pixels are uint8 RGB (H, W, 3) in [0, 255].
"""

import numpy as np
import tensorflow as tf
from keras import ops

from imaging.resampling import bicubic_matrix

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
            low_resolutions: (height, width) pairs in pixels that may occur; for others of sides
                up to S, all that is returned is NaN.
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
        # Of a side in the tables.
        self._place = np.full(max(longest, image_size) + 1, len(sides), np.int32)
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
        small = self.reduce(hr_faces, low_resolutions)
        return ops.clip(self._resized(self._enlarging, small, low_resolutions), -1.0, 1.0)

    def reduce(self, hr_faces, low_resolutions):
        """Reduce faces, the first half of `__call__`; same arguments.

        Returns:
            float32 (B, L, L, 3) in [-1, 1], L the longest side that was foreseen: a face of
            (h, w) is in the first h rows and w columns; the rest means nothing.
        """
        small = self._resized(self._reducing, hr_faces, low_resolutions)
        small = ops.clip(small, -1.0, 1.0)
        if self._eight_bits:
            small = ops.round((small + 1.0) * 127.5) / 127.5 - 1.0
        return small

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
