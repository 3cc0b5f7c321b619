"""How good is a super-resolved face? Picture quality and identity, beside bicubic enlargement."""

import dataclasses

import numpy as np
import tensorflow as tf
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.preprocessing import normalize

import losses

BATCH_SIZE = 16  # faces per inference batch; it changes memory and speed, never a result


@dataclasses.dataclass(frozen=True)
class Quality:
    """Means over a set of faces.

    Attributes:
        psnr: peak signal-to-noise ratio in dB, over all RGB values of a face.
        ssim: structural similarity in [-1, 1] (Wang et al. 2004: 11x11 Gaussian window of
            deviation 1.5, mean over channels).
        similarity: cosine of the angle between a face's and its HR face's embeddings, in [-1, 1].
        rank1: rank-1 identification rate in per cent, see `rank1_identification`.
        pixel: pixel loss, see `losses`.
        embedding: embedding loss, see `losses`.
    """

    psnr: float
    ssim: float
    similarity: float
    rank1: float
    pixel: float
    embedding: float


def measure(faces, hr_faces, embeddings, hr_embeddings, identities):
    """Compare faces with their HR faces.

    Args:
        faces: float32 (N, H, W, 3) in [-1, 1].
        hr_faces: float32 (N, H, W, 3) in [-1, 1].
        embeddings: float32 (N, E) of `faces`.
        hr_embeddings: float32 (N, E) of `hr_faces`.
        identities: array of N labels.

    Returns:
        `Quality`.
    """
    psnr, ssim = picture_quality(faces, hr_faces)
    return Quality(
        psnr=float(np.mean(psnr)),
        ssim=float(np.mean(ssim)),
        similarity=1.0 - float(np.mean(paired_cosine_distances(embeddings, hr_embeddings))),
        rank1=rank1_identification(embeddings, hr_embeddings, identities),
        pixel=float(losses.pixel_loss(faces, hr_faces)),
        embedding=float(losses.embedding_loss(embeddings, hr_embeddings)),
    )


def picture_quality(faces, hr_faces):
    """Return PSNR in dB and SSIM of each face, two arrays of shape (N,); see `Quality`."""
    psnr, ssim = [], []
    for start in range(0, len(faces), BATCH_SIZE):  # SSIM of all faces at once fills the memory
        a, b = ((x[start : start + BATCH_SIZE] + 1.0) / 2.0 for x in (faces, hr_faces))
        psnr.extend(tf.image.psnr(a, b, 1.0).numpy())
        ssim.extend(tf.image.ssim(a, b, 1.0).numpy())
    return np.array(psnr), np.array(ssim)


def rank1_identification(embeddings, hr_embeddings, identities):
    """Return the per cent of faces that are taken for the right person; see `rank1_hits`.

    NaN if no person has two photographs, or there is only one person.
    """
    hits = rank1_hits(embeddings, hr_embeddings, identities)
    counted = ~np.isnan(hits)
    return 100.0 * float(hits[counted].mean()) if counted.any() else float("nan")


def rank1_hits(embeddings, hr_embeddings, identities):
    """Return for each face whether it is taken for the right person.

    A person is known by the mean of the unit-length embeddings of their HR faces; of the person
    that a face shows, its own HR face is left out. A face is taken for the person whose mean is
    most similar to it.

    Args:
        embeddings: float32 (N, E) of the faces to identify.
        hr_embeddings: float32 (N, E) of their HR faces.
        identities: array of N labels.

    Returns:
        float (N,): 1 for right, 0 for wrong, NaN for faces whose person has no other photograph
        or who stand alone, since there is nobody to take them for.
    """
    _, labels, counts = np.unique(identities, return_inverse=True, return_counts=True)
    probes, gallery = normalize(embeddings), normalize(hr_embeddings)
    sums = np.zeros((len(counts), gallery.shape[1]))
    np.add.at(sums, labels, gallery)
    similarity = probes @ normalize(sums).T
    own = np.sum(probes * normalize(sums[labels] - gallery), axis=1)
    similarity[np.arange(len(labels)), labels] = -np.inf
    has_answer = (counts[labels] > 1) & (len(counts) > 1)
    return np.where(has_answer, own > similarity.max(axis=1), np.nan)


def in_batches(function, faces):
    """Apply a function to (N, H, W, 3) faces, a batch at a time; returns a NumPy array."""
    return np.concatenate(
        [
            np.asarray(function(tf.constant(faces[start : start + BATCH_SIZE])))
            for start in range(0, len(faces), BATCH_SIZE)
        ]
    )
