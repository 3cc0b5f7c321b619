"""How good is a super-resolved face? Picture quality and identity as numbers of single faces."""

import dataclasses
import math

import numpy as np
import tensorflow as tf
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.preprocessing import normalize

BATCH_SIZE = 16  # faces per inference batch; it changes memory and speed, never a result
# Of a face that differs from HR only by rounding to 8 bits: a mean squared error of 1/12 level.
MOST_PSNR = np.float32(10 * math.log10(12 * 255**2))
BICUBIC, SR, HR = "bicubic", "SR", "HR"  # what tables call the versions of a face


@dataclasses.dataclass(frozen=True)
class PerFace:
    """One version of N faces, a number of each beside its HR face.

    Attributes:
        psnr: float (N,), peak signal-to-noise ratio in dB, over all RGB values of a face, at most
            `MOST_PSNR`; NaN for a flat HR face, as ssim is.
        ssim: float (N,), structural similarity in [-1, 1] (Wang et al. 2004: 11x11 Gaussian window
            of deviation 1.5, mean over channels).
        shift: float (N, 3), mean difference from HR of red, green, blue, in levels of 0 to 255.
        pixel: float (N,), pixel loss, see `losses`.
        embeddings: {embedder's name: float32 (N, E)}.
        further: {name: float (N,)} of further measures of a picture.
    """

    psnr: np.ndarray
    ssim: np.ndarray
    shift: np.ndarray
    pixel: np.ndarray
    embeddings: dict
    further: dict = dataclasses.field(default_factory=dict)


def measure(hr_faces, low_resolutions, methods, embedders, degradation, further=None):
    """Degrade faces, restore and measure them, one low resolution after the other.

    Args:
        hr_faces: float32 (N, H, W, 3) in [-1, 1].
        low_resolutions: (height, width) pairs in pixels.
        methods: {name: function from (lr_faces, low_resolutions) to faces, float32 (B, H, W, 3)
            and int32 (B, 2)}; None for a function leaves the lr_faces, which are enlarged
            bicubically, as they are.
        embedders: {name: function from (faces, low_resolution) to embeddings (N, E)}.
        degradation: `data.Degradation` of these low resolutions.
        further: {name: function from (faces, hr_faces) to float (N,)}, other measures of pictures.

    Yields:
        (low resolution, name of the method, `PerFace`).
    """
    for size in low_resolutions:
        lr_faces = in_batches(at_size(degradation, size), hr_faces)
        for method, restore in methods.items():
            faces = lr_faces if restore is None else in_batches(at_size(restore, size), lr_faces)
            psnr, ssim = picture_quality(faces, hr_faces)
            difference = faces - hr_faces
            embeddings = {name: embed(faces, size) for name, embed in embedders.items()}
            yield (
                size,
                method,
                PerFace(
                    psnr=psnr,
                    ssim=ssim,
                    shift=difference.mean(axis=(1, 2)) * 127.5,
                    pixel=np.abs(difference).mean(axis=(1, 2, 3)),
                    embeddings=embeddings,
                    further={n: of(faces, hr_faces) for n, of in (further or {}).items()},
                ),
            )


def picture_quality(faces, hr_faces):
    """Return PSNR in dB and SSIM of each face, two arrays of shape (N,); see `PerFace`.

    PSNR is at most `MOST_PSNR`, so that a face that equals its HR face leaves a mean finite. A flat
    HR face, within one level of a single colour, has neither: both are NaN, since any method
    restores it and it would raise every mean.
    """
    psnr, ssim = [], []
    for start in range(0, len(faces), BATCH_SIZE):  # SSIM of all faces at once fills the memory
        a, b = ((x[start : start + BATCH_SIZE] + 1.0) / 2.0 for x in (faces, hr_faces))
        psnr.extend(tf.image.psnr(a, b, 1.0).numpy())
        ssim.extend(tf.image.ssim(a, b, 1.0).numpy())
    flat = np.ptp(hr_faces, axis=(1, 2)).max(axis=-1) <= 1.0 / 127.5
    psnr = np.minimum(psnr, MOST_PSNR)
    return np.where(flat, np.nan, psnr), np.where(flat, np.nan, ssim)


def similarity(embeddings, hr_embeddings):
    """Return the cosine of the angle between the embeddings of each face and its HR face, (N,)."""
    return 1.0 - paired_cosine_distances(embeddings, hr_embeddings)


def rank1_identification(embeddings, hr_embeddings, identities):
    """Return the per cent of faces that are taken for the right person; see `rank1_hits`.

    NaN if no person has two photographs, or there is only one person.
    """
    return 100.0 * known_mean(rank1_hits(embeddings, hr_embeddings, identities))


def rank1_hits(embeddings, hr_embeddings, identities):
    """Return for each face 1 if its `identification_ranks` is 1, 0 if not, NaN if it has none."""
    ranks = identification_ranks(embeddings, hr_embeddings, identities)
    return np.where(np.isnan(ranks), np.nan, ranks == 1)


def identification_ranks(embeddings, hr_embeddings, identities):
    """Return how many people each face is not less similar to than to the right one, plus 1.

    A person is known by the mean of the unit-length embeddings of their HR faces; of the person
    that a face shows, its own HR face is left out. A face of rank 1 is taken for the right person.

    Args:
        embeddings: float32 (N, E) of the faces to identify.
        hr_embeddings: float32 (N, E) of their HR faces.
        identities: array of N labels.

    Returns:
        float (N,), NaN for faces whose person has no other photograph or who stand alone, since
        there is nobody to take them for.
    """
    _, labels, counts = np.unique(identities, return_inverse=True, return_counts=True)
    probes, gallery = normalize(embeddings), normalize(hr_embeddings)
    sums = np.zeros((len(counts), gallery.shape[1]))
    np.add.at(sums, labels, gallery)
    own = np.sum(probes * normalize(sums[labels] - gallery), axis=1)
    ranks = _ranks(probes @ normalize(sums).T, labels, own)
    return np.where((counts[labels] > 1) & (len(counts) > 1), ranks, np.nan)


def ranks_in_gallery(embeddings, identities, gallery, gallery_identities):
    """Return `identification_ranks` of faces in a gallery of other pictures.

    Args:
        embeddings: float32 (N, E) of the faces to identify.
        identities: array of N labels.
        gallery: float32 (M, E), embeddings of the gallery's faces.
        gallery_identities: array of M labels.

    Returns:
        float (N,), NaN for faces of people who are not in the gallery.
    """
    people, labels = np.unique(gallery_identities, return_inverse=True)
    sums = np.zeros((len(people), gallery.shape[1]))
    np.add.at(sums, labels, normalize(gallery))
    cosines = normalize(embeddings) @ normalize(sums).T
    places = np.minimum(np.searchsorted(people, identities), len(people) - 1)
    own = cosines[np.arange(len(places)), places]
    return np.where(people[places] == identities, _ranks(cosines, places, own), np.nan)


def _ranks(cosines, places, own):
    """Return 1 plus the number of other people (N, P) at least as similar as the right one (N,)."""
    cosines[np.arange(len(places)), places] = -np.inf
    return 1.0 + np.sum(cosines >= own[:, None], axis=1)


def known_mean(values):
    """Return the mean of the numbers among some values, NaN if there is none."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def at_size(function, low_resolution):
    """Return a function of faces and low resolutions as one of faces alone, all of one size."""
    return lambda faces: function(faces, tf.tile([low_resolution], (len(faces), 1)))


def in_batches(function, faces):
    """Apply a function to (N, H, W, 3) faces, a batch at a time; returns a NumPy array."""
    return np.concatenate(
        [
            np.asarray(function(tf.constant(faces[start : start + BATCH_SIZE])))
            for start in range(0, len(faces), BATCH_SIZE)
        ]
    )
