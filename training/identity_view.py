"""What FaceNet is shown of a face in training: not much more detail than the input can tell.

A face of 7x6 pixels does not say what the eyes look like. A FaceNet that sees fine detail all the
same rewards strokes that please it, alike on every face. So both the SR and the HR face are blurred
by a fraction of the low-resolution pixels that the face came from before FaceNet sees them (ours).
"""

import math

import numpy as np
from keras import ops

from facenet import INPUT_SIZE
from imaging.opencv import cv2
from imaging.resampling import bicubic_matrix

REACH = 4.0  # deviations at which the Gaussian kernel is cut off


class IdentityView:
    """Embeds faces, each blurred by a fraction of its own low-resolution pixels."""

    def __init__(self, facenet, image_size, low_resolutions, blur):
        """Compute the matrices of all low resolutions.

        Args:
            facenet: function from faces to embeddings, differentiable and frozen.
            image_size: height and width S of the faces in pixels.
            low_resolutions: (height, width) pairs in pixels that may occur.
            blur: deviation of the Gaussian, from 0, in pixels of the low resolution: one of h x w
                has pixels of S / h x S / w. 0 shows faces as they are.
        """
        self._facenet = facenet
        sides = {side for size in low_resolutions for side in size}
        self._matrices = np.zeros((max(sides) + 1, INPUT_SIZE, image_size), np.float32)
        for side in sides:
            blurred = _gaussian_matrix(image_size, blur * image_size / side)
            self._matrices[side] = bicubic_matrix(INPUT_SIZE, image_size) @ blurred

    def __call__(self, faces, low_resolutions):
        """Return the embeddings of faces as `view` shows them, float32 (B, E); same arguments."""
        return self._facenet(self.view(faces, low_resolutions))

    def view(self, faces, low_resolutions):
        """Blur faces and resize them to FaceNet's input size.

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


def _gaussian_matrix(size, deviation):
    """Return the float32 matrix (size, size) that blurs one axis, edges repeated."""
    identity = np.eye(size, dtype=np.float32)
    if deviation == 0.0:
        return identity
    length = 2 * math.ceil(REACH * deviation) + 1
    return cv2.GaussianBlur(identity, (1, length), deviation, borderType=cv2.BORDER_REPLICATE)
