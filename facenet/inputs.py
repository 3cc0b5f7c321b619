"""What FaceNet sees: the standardisation of faces, and which one a weight file needs.

Every network was trained on 160x160 RGB faces, but not on the same numbers.
"""

import numpy as np
from keras import ops

AUTO = "auto"


def prewhiten(faces):
    """Subtract each face's mean and divide by its deviation.

    (x - mean) / max(std, 1 / sqrt(H * W * C)) over the 0..255 pixels of one face, as FaceNet's
    2017 networks (128-d, `facenet_keras.h5`) were trained with. The floor keeps flat images
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


def fixed_128(faces):
    """Return (x - 127.5) / 128 of 0..255 pixels: FaceNet's 2018 networks (512-d)."""
    return faces * (127.5 / 128.0)


def fixed_127_5(faces):
    """Return (x - 127.5) / 127.5 of 0..255 pixels: what keras-facenet feeds those of 2018."""
    return faces


def deepface_base(faces):
    """Return x / 255 in BGR order: what deepface feeds by default, unlike the training."""
    return ops.flip((faces + 1.0) * 0.5, axis=-1)


INPUTS = {
    "prewhiten": prewhiten,
    "fixed_128": fixed_128,
    "fixed_127.5": fixed_127_5,
    "deepface": deepface_base,
}
DESCRIPTIONS = {
    "prewhiten": "prewhitened input",
    "fixed_128": "input (x - 127.5) / 128",
    "fixed_127.5": "input (x - 127.5) / 127.5",
    "deepface": "input x / 255, BGR, as deepface feeds it",
}


def choose_input(embedding_size):
    """Return the name of the standardisation that belongs to a weight file.

    The length of the embedding tells Sandberg's 2017 networks (128-d) from those of 2018 (512-d),
    from which all published files were converted.

    Args:
        embedding_size: length of the embedding.

    Returns:
        Key of `INPUTS`; None if no published network has embeddings of this length.
    """
    return {128: "prewhiten", 512: "fixed_128"}.get(embedding_size)
