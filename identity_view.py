"""What FaceNet is shown of a face in training: not much more detail than the input can tell.

A face of 7x6 pixels does not say what the eyes look like. A FaceNet that sees fine detail all the
same rewards strokes that please it, alike on every face. So both the SR and the HR face are reduced
to a multiple of the low resolution that the face came from before FaceNet sees them (ours).
"""

import numpy as np
from keras import ops

from facenet import INPUT_SIZE
from facenet.resizing import bicubic_matrix


class IdentityView:
    """Shows each face of a batch with the detail that belongs to its own low resolution."""

    def __init__(self, image_size, low_resolutions, detail):
        """Compute the matrices of all low resolutions.

        Args:
            image_size: height and width S of the faces in pixels.
            low_resolutions: (height, width) pairs in pixels that may occur.
            detail: positive number; FaceNet sees the face that came from h x w pixels at
                detail * h x detail * w pixels, never at more than S x S.
        """
        sides = {side for size in low_resolutions for side in size}
        self._matrices = np.zeros((max(sides) + 1, INPUT_SIZE, image_size), np.float32)
        for side in sides:
            seen = max(1, round(min(detail * side, image_size)))
            reduce = bicubic_matrix(seen, image_size)
            self._matrices[side] = bicubic_matrix(INPUT_SIZE, seen) @ reduce

    def __call__(self, faces, low_resolutions):
        """Reduce faces and enlarge them to FaceNet's input size.

        Args:
            faces: float32 (B, S, S, 3), SR or HR faces in [-1, 1].
            low_resolutions: int32 (B, 2), height and width in pixels that each came from.

        Returns:
            float32 (B, INPUT_SIZE, INPUT_SIZE, 3); bicubic kernels may leave [-1, 1] a little.
        """
        rows = ops.take(self._matrices, low_resolutions[:, 0], axis=0)
        columns = ops.take(self._matrices, low_resolutions[:, 1], axis=0)
        faces = ops.einsum("boh,bhwc->bowc", rows, faces)
        return ops.einsum("bow,bhwc->bhoc", columns, faces)
