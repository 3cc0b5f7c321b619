"""The losses of IPU-Net: L1 between pixels, L2 between face embeddings, and their weighted sum.

Pure formulas on tensors: the networks, the weights and the schedule are the caller's.
"""

import numpy as np
from keras import ops

TINY = 1e-12  # keeps the gradient of an embedding of zeros finite


def pixel_loss(sr_faces, hr_faces):
    """Return the L1 reconstruction loss: mean of |sr - hr| over batch, pixels and channels.

    Source: ours; the original code has the mean squared error.

    Args:
        sr_faces: float32 (B, H, W, 3), super-resolved RGB faces in [-1, 1].
        hr_faces: float32 (B, H, W, 3), the high-resolution faces in [-1, 1].

    Returns:
        float32 scalar in [0, 2].
    """
    return ops.mean(ops.abs(sr_faces - hr_faces))


def embedding_loss(sr_embeddings, hr_embeddings, unit_length=True, parts=None):
    """Return the L2 identity loss: mean of (sr - hr)^2 over batch and embedding.

    No gradient flows into the HR embeddings: they are the target.

    Args:
        sr_embeddings: float32 (B, E), raw embeddings of the super-resolved faces.
        hr_embeddings: float32 (B, E), those of the high-resolution faces.
        unit_length: whether embeddings are brought to one length first (ours), so that the loss
            is the same for every recogniser: 2 - 2 cos of the angle between them. False compares
            them as they are, as the original code does.
        parts: float32 (B,), how much each face counts (ours), see `identity_parts`; None counts
            all of them in full, as the original code does.

    Returns:
        float32 scalar, at least 0; about 2 for unrelated faces (raw: if their embeddings have
        unit deviation per dimension).
    """
    if unit_length:
        sr_embeddings, hr_embeddings = _directions(sr_embeddings), _directions(hr_embeddings)
    squares = ops.square(sr_embeddings - ops.stop_gradient(hr_embeddings))
    return ops.mean(squares if parts is None else parts[:, None] * squares)


def identity_parts(low_resolutions, parts):
    """Return how much the identity loss of each face counts: float32 (B,).

    Args:
        low_resolutions: int32 (B, 2), height and width in pixels of each face.
        parts: ((height, width), part) pairs; faces of other low resolutions count in full.
    """
    sizes = np.int32([size for size, _ in parts]).reshape(-1, 2)
    missing = np.float32([1.0 - part for _, part in parts])
    is_size = ops.all(ops.equal(low_resolutions[:, None], sizes), axis=-1)
    return 1.0 - ops.sum(ops.cast(is_size, "float32") * missing, axis=1)


def _directions(embeddings):
    """Bring embeddings (B, E) to a mean square of 1: unit length, times the root of E."""
    squares = ops.mean(ops.square(embeddings), axis=1, keepdims=True)
    return embeddings * ops.rsqrt(squares + TINY)


def total_loss(pixel, embedding, pixel_weight, embedding_weight):
    """Return pixel_weight * pixel + embedding_weight * embedding, all of them scalars."""
    return pixel_weight * pixel + embedding_weight * embedding
