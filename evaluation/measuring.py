"""Bicubic enlargement, SR and HR side by side: every face embedded once, then all the measures."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
from sklearn.metrics.pairwise import paired_cosine_distances
from tqdm import tqdm

from data import degrade, to_faces
from evaluation.verification import verify
from metrics import in_batches, picture_quality, rank1_hits, rank1_identification

FACES_AT_ONCE = 64  # faces in memory as float32, in all their versions
GROUP_HEIGHT = 16  # group results are means over the low resolutions of at most so many rows
BICUBIC, SR, HR = "bicubic", "SR", "HR"
PROTOCOLS = ("HR-LR", "LR-LR")


@dataclasses.dataclass(frozen=True)
class Recogniser:
    """Something that tells faces apart.

    Attributes:
        name: what tables call it.
        embed: function from float32 (B, H, W, 3) in [-1, 1] to float32 (B, E).
        centred: whether the mean embedding of the HR faces is subtracted. dlib's have a large
            part in common, which would hide the differences from a cosine.
    """

    name: str
    embed: callable
    centred: bool = False


@dataclasses.dataclass
class Version:
    """All faces as one method made them from one low resolution.

    Attributes:
        psnr, ssim: lists of N numbers against HR, see `metrics.Quality`; empty for HR.
        shift: list of N mean differences from HR per channel, in levels of 0 to 255; empty for HR.
        embeddings: {recogniser's name: list of N embeddings}.
    """

    psnr: list = dataclasses.field(default_factory=list)
    ssim: list = dataclasses.field(default_factory=list)
    shift: list = dataclasses.field(default_factory=list)
    embeddings: dict = dataclasses.field(default_factory=dict)

    def add(self, faces, hr_faces, recognisers):
        """Measure float32 faces (B, H, W, 3); `hr_faces` is None if they are the HR faces."""
        if hr_faces is not None:
            psnr, ssim = picture_quality(faces, hr_faces)
            self.psnr.extend(psnr)
            self.ssim.extend(ssim)
            self.shift.extend((faces - hr_faces).mean(axis=(1, 2)) * 127.5)
        for recogniser in recognisers:
            known = self.embeddings.setdefault(recogniser.name, [])
            known.extend(recogniser.embed(faces))


def measure(pixels, sizes, super_resolve, recognisers, antialias):
    """Embed every face once per method and size, and compare its picture with HR.

    Args:
        pixels: uint8 (N, H, W, 3).
        sizes: (height, width) pairs in pixels.
        super_resolve: function from float32 lr_faces (B, H, W, 3) to sr_faces.
        recognisers: list of `Recogniser`.
        antialias: see `data.degrade`.

    Returns:
        {HR: `Version`, (size, BICUBIC): `Version`, (size, SR): `Version`, ...}; embeddings as
        arrays (N, E), centred where the recogniser wants it.
    """
    versions = {HR: Version()}
    versions |= {(size, method): Version() for size in sizes for method in (BICUBIC, SR)}
    starts = range(0, len(pixels), FACES_AT_ONCE)
    with tqdm(total=len(pixels) * (1 + len(sizes)), unit="face") as progress:
        for start in starts:
            hr_faces = to_faces(pixels[start : start + FACES_AT_ONCE]).numpy()
            versions[HR].add(hr_faces, None, recognisers)
            progress.update(len(hr_faces))
            for size in sizes:
                progress.set_description(f"{size[0]}x{size[1]}")
                lr_faces = degrade(hr_faces, size, antialias).numpy()
                sr_faces = in_batches(super_resolve, lr_faces)
                versions[size, BICUBIC].add(lr_faces, hr_faces, recognisers)
                versions[size, SR].add(sr_faces, hr_faces, recognisers)
                progress.update(len(hr_faces))
    for recogniser in recognisers:
        mean = np.mean(versions[HR].embeddings[recogniser.name], axis=0)
        for version in versions.values():
            embeddings = np.array(version.embeddings[recogniser.name])
            version.embeddings[recogniser.name] = embeddings - recogniser.centred * mean
    return versions


def pair_scores(versions, key, recogniser, protocol, first, second):
    """Return the cosine of every pair, float (P,).

    Args:
        versions: see `measure`.
        key: of the probe's `Version`.
        recogniser: name.
        protocol: "HR-LR" compares the HR face of `first` with the probe's version of `second`,
            "LR-LR" the probe's version of both.
        first: int (P,), place of the gallery's face.
        second: int (P,), place of the probe's.
    """
    probe = versions[key].embeddings[recogniser]
    gallery = versions[HR].embeddings[recogniser] if protocol == "HR-LR" else probe
    return 1.0 - paired_cosine_distances(gallery[first], probe[second])


def table_rows(versions, recognisers, identities, first, second, same, folds):
    """Return one flat dict of numbers per recogniser, size and method, as in `results.csv`.

    Raises:
        Mistake: see `verification.judge_by_folds`.
    """
    rows = []
    for recogniser, (key, version) in itertools.product(recognisers, versions.items()):
        size, method = key if key != HR else ("", HR)
        row = {
            "recogniser": recogniser.name,
            "low_resolution": "x".join(map(str, size)),
            "method": method,
        }
        if key != HR:
            red, green, blue = np.mean(version.shift, axis=0)
            row |= {"psnr": np.mean(version.psnr), "ssim": np.mean(version.ssim)}
            row |= {"shift_red": red, "shift_green": green, "shift_blue": blue}
        embeddings = version.embeddings[recogniser.name]
        hr_embeddings = versions[HR].embeddings[recogniser.name]
        similarity = 1.0 - paired_cosine_distances(embeddings, hr_embeddings)
        row |= {
            "similarity": similarity.mean(),
            "similarity_p5": np.percentile(similarity, 5),
            "rank1": rank1_identification(embeddings, hr_embeddings, identities),
        }
        for protocol in PROTOCOLS:
            scores = pair_scores(versions, key, recogniser.name, protocol, first, second)
            result = dataclasses.asdict(verify(scores, same, folds))
            row |= {f"{protocol} {name}": value for name, value in result.items()}
        rows.append(row)
    return rows


def group_rows(versions, sizes, recogniser, identities, groups):
    """Return one flat dict per group of people: means over faces and the smaller `sizes`.

    Args:
        versions: see `measure`.
        sizes: low resolutions, of which those of at most `GROUP_HEIGHT` rows count.
        recogniser: name.
        identities: array of N folders.
        groups: {(column, value): set of names of folders}.
    """
    hr_embeddings = versions[HR].embeddings[recogniser]
    sizes = [size for size in sizes if size[0] <= GROUP_HEIGHT]
    if not (groups and sizes):
        return []
    of_faces = {}  # (N,) each, means over the sizes
    for method in (BICUBIC, SR):
        made = [versions[size, method] for size in sizes]
        embedded = [version.embeddings[recogniser] for version in made]
        of_faces |= {
            f"{method} psnr": np.mean([version.psnr for version in made], axis=0),
            f"{method} similarity": 1.0
            - np.mean([paired_cosine_distances(e, hr_embeddings) for e in embedded], axis=0),
            f"{method} rank1": 100.0
            * np.mean([rank1_hits(e, hr_embeddings, identities) for e in embedded], axis=0),
        }
    rows = []
    for (column, value), members in groups.items():
        chosen = np.array([Path(identity).name in members for identity in identities])
        if chosen.any():
            row = {"group": f"{column} {value}", "people": len(set(identities[chosen]))}
            rows.append(row | {name: _mean(x[chosen]) for name, x in of_faces.items()})
    return rows


def _mean(values):
    """Return the mean of the numbers among some values, NaN if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
