"""Held-out faces at every low resolution: what a training is validated and reported on."""

import dataclasses
import hashlib

import numpy as np
import tensorflow as tf

import losses
from data import to_faces, to_pixels
from imaging.lists import load_faces
from imaging.sheets import sample_sheet
from metrics import (
    BICUBIC,
    SR,
    at_size,
    in_batches,
    known_mean,
    measure,
    rank1_identification,
    similarity,
)


@dataclasses.dataclass(frozen=True)
class Quality:
    """Means over a set of faces.

    Attributes:
        psnr, ssim: see `metrics.PerFace`.
        similarity: cosine of the angle between a face's and its HR face's embeddings, in [-1, 1].
        rank1: rank-1 identification rate in per cent, see `metrics.rank1_identification`.
        pixel: pixel loss, see `losses`.
        embedding: embedding loss, see `losses`.
    """

    psnr: float
    ssim: float
    similarity: float
    rank1: float
    pixel: float
    embedding: float


class HeldOut:
    """Held-out faces at every low resolution, with all that does not depend on the network.

    Attributes:
        hr_faces: float32 (N, H, W, 3).
        identities: array of N labels.
        bicubic: {(height, width): `Quality` of the bicubically enlarged faces}.
    """

    def __init__(self, hr_faces, identities, low_resolutions, embed, unit_length, degradation):
        """Degrade and embed the faces once.

        Args:
            hr_faces: float32 (N, H, W, 3) in [-1, 1].
            identities: array of N labels.
            low_resolutions: (height, width) pairs in pixels.
            embed: function from faces, float32 (B, H, W, 3), to raw embeddings, (B, E).
            unit_length: see `losses.embedding_loss`.
            degradation: `Degradation`.
        """
        self.hr_faces = np.asarray(hr_faces)
        self.identities = identities
        self._embed = embed
        self._unit_length = unit_length
        self._degradation = degradation
        sizes = [tuple(size) for size in low_resolutions]
        self._hr_embeddings = in_batches(embed, self.hr_faces)
        self.bicubic = dict(self._measure(sizes, BICUBIC, None))

    @property
    def fingerprint(self):
        """A line that tells sets of faces apart."""
        return hashlib.sha256(self.hr_faces.tobytes()).hexdigest()[:16]

    def lr_faces(self, low_resolution):
        """Return the faces reduced to one low resolution and enlarged, float32 (N, H, W, 3)."""
        return in_batches(at_size(self._degradation, low_resolution), self.hr_faces)

    def measure(self, super_resolve):
        """Yield ((height, width), `Quality`) of a network's results, one size after the other.

        Args:
            super_resolve: see `trained_networks.super_resolution`.
        """
        return self._measure(self.bicubic, SR, super_resolve)

    def _measure(self, low_resolutions, name, method):
        embedders = {"FaceNet": lambda faces, _: in_batches(self._embed, faces)}
        for size, _, of_faces in measure(
            self.hr_faces, low_resolutions, {name: method}, embedders, self._degradation
        ):
            embeddings = of_faces.embeddings["FaceNet"]
            embedding = losses.embedding_loss(embeddings, self._hr_embeddings, self._unit_length)
            yield (
                size,
                Quality(
                    psnr=known_mean(of_faces.psnr),
                    ssim=known_mean(of_faces.ssim),
                    similarity=known_mean(similarity(embeddings, self._hr_embeddings)),
                    rank1=rank1_identification(embeddings, self._hr_embeddings, self.identities),
                    pixel=float(np.mean(of_faces.pixel)),
                    embedding=float(embedding),
                ),
            )


class Validation:
    """What a training does with some held-out faces: measures them, and shows some of them.

    Attributes:
        fingerprint: a line that tells the faces measured from others.
    """

    def __init__(self, held_out, loss_weights, sample_faces, sample_resolutions):
        """Choose the faces of the sample sheets.

        Args:
            held_out: `HeldOut`.
            loss_weights: those of `mean_loss`.
            sample_faces: number of faces on a sample sheet.
            sample_resolutions: (height, width) pairs in pixels on a sample sheet; the degradation
                of `held_out` must foresee them.
        """
        self.fingerprint = held_out.fingerprint
        self._held_out = held_out
        self._loss_weights = loss_weights
        count = min(sample_faces, len(held_out.hr_faces))
        self._chosen = np.linspace(0, len(held_out.hr_faces) - 1, count).astype(int)
        self._sample_resolutions = sample_resolutions

    def measure(self, super_resolve, watch):
        """Measure a network at every low resolution.

        Args:
            super_resolve: see `trained_networks.super_resolution`.
            watch: wraps the iterable of results, size by size; it may raise to stop in between.

        Returns:
            (rows, loss): see `quality_rows` and `mean_loss`.
        """
        quality = dict(watch(self._held_out.measure(super_resolve)))
        rows = quality_rows(self._held_out.bicubic, quality)
        return rows, mean_loss(quality, **self._loss_weights)

    def draw(self, super_resolve, title):
        """Return a sample sheet, `PIL.Image.Image`: bicubic beside SR at some sizes, then HR."""
        hr_faces = self._held_out.hr_faces[self._chosen]
        columns = []
        for size in self._sample_resolutions:
            lr_faces = self._held_out.lr_faces(size)[self._chosen]
            sr_faces = in_batches(at_size(super_resolve, size), lr_faces)
            group = f"{size[0]}x{size[1]}"
            columns.append((group, "bicubic", to_pixels(lr_faces).numpy()))
            columns.append((group, "SR", to_pixels(sr_faces).numpy()))
        group = "x".join(map(str, hr_faces.shape[1:3]))
        columns.append((group, "HR", to_pixels(hr_faces).numpy()))
        return sample_sheet(columns, title)


def mean_loss(quality, pixel_weight, embedding_weight, embedding_parts):
    """Return the mean over low resolutions of the total loss of {(height, width): `Quality`}.

    See `losses.total_loss`, and `losses.identity_parts` for the parts.
    """
    parts = {tuple(size): part for size, part in embedding_parts}
    embedding_weights = {size: embedding_weight * parts.get(size, 1.0) for size in quality}
    totals = [
        losses.total_loss(q.pixel, q.embedding, pixel_weight, embedding_weights[size])
        for size, q in quality.items()
    ]
    return float(np.mean(totals))


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


class HeldOutFaces:
    """The faces of people who are not trained on, of which some are measured."""

    def __init__(
        self, paths, image_size, low_resolutions, embed, unit_length, degradation, unreadable
    ):
        """Keep what is needed to load faces.

        Args:
            paths: `FaceList`.
            image_size: height and width of a face in pixels.
            low_resolutions: (height, width) pairs in pixels.
            embed: function from faces, float32 (B, H, W, 3), to embeddings, see `HeldOut`.
            unit_length: see `losses.embedding_loss`.
            degradation: `Degradation`.
            unreadable: `Unreadable`, which files that cannot be read join.
        """
        self._paths = paths
        self._image_size = image_size
        self._unreadable = unreadable
        embed, degradation = (tf.function(f, reduce_retracing=True) for f in (embed, degradation))
        self._of_all = low_resolutions, embed, unit_length, degradation
        self._taken = {}

    def take(self, count):
        """Return `HeldOut` of a fixed choice of so many faces."""
        if count not in self._taken:
            pixels, identities, failed = load_faces(self._paths, count, self._image_size)
            for path, reason in failed.items():
                self._unreadable.note(path, reason)
            faces = HeldOut(to_faces(pixels), identities, *self._of_all)
            self._taken = {count: faces}
        return self._taken[count]
