"""How good is a super-resolved face? Picture quality and identity, beside bicubic enlargement."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf
from sklearn.metrics.pairwise import paired_cosine_distances
from sklearn.preprocessing import normalize

import losses
from data import degrade

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


def mean_loss(quality, pixel_weight, embedding_weight):
    """Return the mean over low resolutions of the total loss of {(height, width): `Quality`}."""
    return float(
        np.mean(
            [
                losses.total_loss(q.pixel, q.embedding, pixel_weight, embedding_weight)
                for q in quality.values()
            ]
        )
    )


def quality_rows(bicubic, sr):
    """Return one flat dict per low resolution: its name, `bicubic_psnr`, `sr_psnr` and so on."""
    return [
        {"low_resolution": f"{size[0]}x{size[1]}"}
        | {f"bicubic_{name}": value for name, value in dataclasses.asdict(bicubic[size]).items()}
        | {f"sr_{name}": value for name, value in dataclasses.asdict(sr[size]).items()}
        for size in sr
    ]


def quality_table(held_out, sr):
    """Return a Markdown table of bicubic beside SR at every low resolution.

    Args:
        held_out: `HeldOut` faces.
        sr: {(height, width): `Quality`} of the super-resolved faces.
    """
    lines = [
        f"{len(held_out.hr_faces)} faces of {len(set(held_out.identities))} people not trained "
        "on, bicubic -> SR",
        "",
        "| low resolution | PSNR (dB) | SSIM | identity similarity | rank-1 (%) |",
        "|---|---|---|---|---|",
    ]
    for size, q in sr.items():
        b = held_out.bicubic[size]
        lines.append(
            f"| {size[0]}x{size[1]} | {b.psnr:.2f} -> {q.psnr:.2f} | {b.ssim:.3f} -> {q.ssim:.3f} "
            f"| {b.similarity:.3f} -> {q.similarity:.3f} | {b.rank1:.1f} -> {q.rank1:.1f} |"
        )
    return "\n".join(lines)


class HeldOut:
    """Held-out faces at every low resolution, with all that does not depend on the network.

    Attributes:
        hr_faces: float32 (N, H, W, 3).
        identities: array of N labels.
        bicubic: {(height, width): `Quality` of the bicubically enlarged faces}.
    """

    def __init__(self, hr_faces, identities, embed, low_resolutions, antialias=True):
        """Degrade and embed the faces once.

        Args:
            hr_faces: float32 (N, H, W, 3) in [-1, 1].
            identities: array of N labels.
            embed: function from faces, float32 (B, H, W, 3), to embeddings, (B, E).
            low_resolutions: (height, width) pairs in pixels.
            antialias: see `data.degrade`.
        """
        self.hr_faces = np.asarray(hr_faces)
        self.identities = identities
        self._embed = embed
        self._hr_embeddings = in_batches(self._embed, self.hr_faces)
        self._antialias = antialias
        self.bicubic = {
            size: self._measure(self.lr_faces(size)) for size in map(tuple, low_resolutions)
        }

    @property
    def fingerprint(self):
        """A line that tells sets of faces apart."""
        return hashlib.sha256(self.hr_faces.tobytes()).hexdigest()[:16]

    def lr_faces(self, low_resolution):
        """Return the faces reduced to one low resolution and enlarged, float32 (N, H, W, 3)."""
        return degrade(self.hr_faces, low_resolution, self._antialias).numpy()

    def measure(self, super_resolve, watch=iter):
        """Return {(height, width): `Quality`} of a network's results.

        Args:
            super_resolve: function from lr_faces to sr_faces, both float32 (B, H, W, 3).
            watch: wraps the iterable of low resolutions; it may raise to stop in between.
        """
        return {
            size: self._measure(in_batches(super_resolve, self.lr_faces(size)))
            for size in watch(list(self.bicubic))
        }

    def _measure(self, faces):
        return measure(
            faces,
            self.hr_faces,
            in_batches(self._embed, faces),
            self._hr_embeddings,
            self.identities,
        )


def in_batches(function, faces):
    """Apply a function to (N, H, W, 3) faces, a batch at a time; returns a NumPy array."""
    return np.concatenate(
        [
            np.asarray(function(tf.constant(faces[start : start + BATCH_SIZE])))
            for start in range(0, len(faces), BATCH_SIZE)
        ]
    )
