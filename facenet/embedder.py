"""From faces to embeddings: resizing, standardisation and the frozen network, sealed together."""

import functools
import hashlib
from pathlib import Path

import numpy as np
from keras import ops
from PIL import Image

from facenet.inception_resnet_v1 import INPUT_SIZE
from facenet.weights import load_network

EMBEDDED_WEIGHTS = Path(__file__).parent / "inception_resnet_v1_half.npz"


class FaceNet:
    """A frozen, differentiable face recogniser.

    Attributes:
        network: the `keras.Model` from standardised faces to embeddings; never trained.
        embedding_size: length E of an embedding.
        description: one line for the user: file, network, input standardisation.
        fingerprint: start of the file's SHA-256, to tell weights apart.
    """

    def __init__(self, weights_path=EMBEDDED_WEIGHTS):
        """Build the network that a weight file holds and load it.

        Args:
            weights_path: the embedded half-width network (default) or `facenet_keras.h5`.

        Raises:
            WeightsError: the file is missing, damaged or not a FaceNet; the message says which.
        """
        self.network = load_network(weights_path)
        self.network.trainable = False
        self.embedding_size = self.network.output_shape[-1]
        self.fingerprint = hashlib.sha256(Path(weights_path).read_bytes()).hexdigest()[:16]
        self.description = (
            f"{Path(weights_path).name}: Inception-ResNet-v1, {self.network.count_params():,} "
            f"parameters, {self.embedding_size}-d, prewhitened input"
        )

    def __call__(self, faces):
        """Embed faces. Gradients flow back to the faces, never into the network.

        Args:
            faces: float32 (B, H, W, 3), RGB in [-1, 1], H and W known and at least 1. They are
                resized bicubically to 160x160; at 160x160 nothing is resampled.

        Returns:
            float32 (B, E) raw embeddings, not scaled to unit length.
        """
        faces = resize_bicubic(ops.cast(faces, "float32"), INPUT_SIZE)
        return self.network(standardize(faces), training=False)


def standardize(faces):
    """Prewhiten each face: subtract its mean, divide by its deviation.

    (x - mean) / max(std, 1 / sqrt(H * W * C)) over the 0..255 pixels of one face, as FaceNet
    (Sandberg's 2017 weights, `facenet_keras.h5`) was trained with. The floor keeps flat images
    finite; it stands under the root, so that their gradient is finite too.

    Args:
        faces: float32 (B, H, W, 3) in [-1, 1].

    Returns:
        float32 (B, H, W, 3) with zero mean and unit deviation per face.
    """
    pixels = (faces + 1.0) * 127.5
    size = int(np.prod(pixels.shape[1:]))
    mean = ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
    variance = ops.mean(ops.square(pixels - mean), axis=(1, 2, 3), keepdims=True)
    return (pixels - mean) / ops.sqrt(ops.maximum(variance, 1.0 / size))


def resize_bicubic(images, size):
    """Resize square-wise to (B, size, size, C) by one matrix product per axis.

    Bicubic resizing is linear and separable. As matrix products it has a kernel, a gradient and
    an XLA lowering on every device, all of which `tf.image.resize(..., "bicubic")` lacks on GPUs.
    """
    height, width = images.shape[1:3]
    if (height, width) == (size, size):
        return images
    images = ops.einsum("oh,bhwc->bowc", _bicubic_matrix(size, height), images)
    return ops.einsum("ow,bhwc->bhoc", _bicubic_matrix(size, width), images)


@functools.cache
def _bicubic_matrix(size_out, size_in):
    """Return the float32 matrix (size_out, size_in) that resizes one axis, with antialiasing."""
    identity = Image.fromarray(np.eye(size_in, dtype=np.float32))
    return np.asarray(identity.resize((size_in, size_out), Image.Resampling.BICUBIC))
