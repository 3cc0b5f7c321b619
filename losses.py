"""The losses of IPU-Net: L1 between pixels, L2 between face embeddings, and their weighted sum.

Pure formulas on tensors: the networks, the weights and the schedule are the caller's.
"""

from keras import ops


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


def embedding_loss(sr_embeddings, hr_embeddings):
    """Return the L2 identity loss: mean of (sr - hr)^2 over batch and embedding.

    The raw embeddings are compared, as in the original code, not their unit-length directions.
    No gradient flows into the HR embeddings: they are the target.

    Args:
        sr_embeddings: float32 (B, E), embeddings of the super-resolved faces.
        hr_embeddings: float32 (B, E), embeddings of the high-resolution faces.

    Returns:
        float32 scalar, at least 0; about 2 for unrelated faces (unit deviation per dimension).
    """
    return ops.mean(ops.square(sr_embeddings - ops.stop_gradient(hr_embeddings)))


def total_loss(pixel, embedding, pixel_weight, embedding_weight):
    """Return pixel_weight * pixel + embedding_weight * embedding, all of them scalars."""
    return pixel_weight * pixel + embedding_weight * embedding
