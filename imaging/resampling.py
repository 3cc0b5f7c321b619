"""Bicubic resizing as small matrices, one per axis.

It is linear and separable, so a picture is resized by a matrix product per axis, which has a
gradient and runs on every device; `tf.image.resize` has no bicubic kernel for GPUs.
"""

import functools

import numpy as np


@functools.lru_cache(maxsize=256)  # of all sides to 128 in both directions; 130 MB for 512
def bicubic_matrix(size_out, size_in, antialias=True):
    """Return the float32 matrix (size_out, size_in) that resizes one axis.

    Keys' kernel with a = -0.5, as of Pillow, `tf.image.resize` and MATLAB; pixels beyond an edge
    do not count.

    Args:
        size_out: pixels after.
        size_in: pixels before.
        antialias: whether a reduction averages over the pixels that it drops.
    """
    scale = size_in / size_out
    centres = (np.arange(size_out) + 0.5) * scale
    distances = np.abs(centres[:, None] - (np.arange(size_in) + 0.5))
    weights = _keys(distances / (max(1.0, scale) if antialias else 1.0))
    return np.float32(weights / weights.sum(axis=1, keepdims=True))


def _keys(x):
    """Return Keys' cubic kernel of distances in pixels."""
    near = (1.5 * x - 2.5) * x**2 + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
