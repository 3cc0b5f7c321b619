"""Bicubic enlargement, SR and HR side by side: every face embedded once, then all the measures."""

import dataclasses
import itertools

import numpy as np
from tqdm import tqdm

from data import to_faces
from metrics import BICUBIC, HR, SR, PerFace, known_mean, measure, rank1_hits, similarity

FACES_AT_ONCE = 64  # faces in memory as float32, in all their versions
PROTOCOLS = HR_LR, LR_LR = "HR-LR", "LR-LR"
NOT_COMPARED = {"psnr": None, "ssim": None, "shift": None, "pixel": None}  # of HR faces with HR


# --- Faces -------------------------------------------------------------------------------------


def measure_faces(pixels, sizes, restorer, recognisers):
    """Embed every face once per method and size, and compare its picture with HR.

    Args:
        pixels: uint8 (N, H, W, 3).
        sizes: (height, width) pairs in pixels.
        restorer: `Restorer`.
        recognisers: list of `Recogniser`.

    Returns:
        {HR: `PerFace`, (size, BICUBIC): `PerFace`, (size, SR): `PerFace`, ...}; embeddings are
        centred where the recogniser wants it.
    """
    parts = {HR: []}
    methods = {BICUBIC: None, SR: restorer.super_resolve}
    embedders = {r.name: lambda faces, _, r=r: r.embed(faces) for r in recognisers}
    with tqdm(total=len(pixels) * (1 + 2 * len(sizes)), unit="face") as progress:
        for start in range(0, len(pixels), FACES_AT_ONCE):
            hr_faces = to_faces(pixels[start : start + FACES_AT_ONCE]).numpy()
            embeddings = {name: embed(hr_faces, None) for name, embed in embedders.items()}
            parts[HR].append(PerFace(**NOT_COMPARED, embeddings=embeddings))
            progress.update(len(hr_faces))
            measured = measure(hr_faces, sizes, methods, embedders, restorer.degradation)
            for size, method, of_faces in measured:
                parts.setdefault((size, method), []).append(of_faces)
                progress.set_description(f"{size[0]}x{size[1]}")
                progress.update(len(hr_faces))
    versions = {key: _joined(of_faces) for key, of_faces in parts.items()}
    for recogniser in recognisers:
        if recogniser.centred:
            mean = np.mean(versions[HR].embeddings[recogniser.name], axis=0)
            for version in versions.values():
                version.embeddings[recogniser.name] -= mean
    return versions


def _joined(parts):
    """Return one `PerFace` of several, face after face."""
    joined = {
        name: None if value is None else np.concatenate([getattr(p, name) for p in parts])
        for name, value in vars(parts[0]).items()
        if name != "embeddings"
    }
    embeddings = {
        name: np.concatenate([part.embeddings[name] for part in parts])
        for name in parts[0].embeddings
    }
    return PerFace(**joined, embeddings=embeddings)


# --- Results -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One version of all faces under one recogniser.

    Attributes:
        of_faces: {name: float (N,)}: psnr, ssim, shift_red, shift_green, shift_blue (not for HR),
            similarity, and of two people or more rank1 (1, 0 or NaN, see `metrics.rank1_hits`).
        judgements: {protocol: `Judgement`}, empty without pairs. "HR-LR" compares the HR face of a
            pair's first picture with the version of its second, "LR-LR" the versions of both.
    """

    of_faces: dict
    judgements: dict


def judge(versions, recognisers, identities, pairs):
    """Judge every version once.

    Args:
        versions: see `measure_faces`.
        recognisers: names.
        identities: array of N labels.
        pairs: `Pairs`, or None.

    Returns:
        {(recogniser, key of the version): `Outcome`}.
    """
    outcomes = {}
    for recogniser, (key, version) in itertools.product(recognisers, versions.items()):
        hr_embeddings = versions[HR].embeddings[recogniser]
        embeddings = version.embeddings[recogniser]
        of_faces = {}
        if key != HR:
            colours = zip(("red", "green", "blue"), version.shift.T, strict=True)
            of_faces = {"psnr": version.psnr, "ssim": version.ssim}
            of_faces |= {f"shift_{colour}": shift for colour, shift in colours}
        of_faces["similarity"] = similarity(embeddings, hr_embeddings)
        if len(set(identities)) > 1:
            of_faces["rank1"] = rank1_hits(embeddings, hr_embeddings, identities)
        galleries = {HR_LR: hr_embeddings, LR_LR: embeddings}
        judgements = {
            protocol: pairs.judge(pairs.scores(gallery, embeddings))
            for protocol, gallery in galleries.items()
            if pairs is not None
        }
        outcomes[recogniser, key] = Outcome(of_faces, judgements)
    return outcomes


def table_rows(outcomes):
    """Return one flat dict of numbers per recogniser, size and method, as in `results.csv`.

    Args:
        outcomes: see `judge`.
    """
    rows = []
    for (recogniser, key), outcome in outcomes.items():
        size, method = key if key != HR else ("", HR)
        row = {
            "recogniser": recogniser,
            "low_resolution": "x".join(map(str, size)),
            "method": method,
        }
        for name, values in outcome.of_faces.items():
            row[name] = known_mean(values) * (100.0 if name == "rank1" else 1.0)
            if name == "similarity":
                row["similarity_p5"] = np.percentile(values, 5)
        for protocol, judgement in outcome.judgements.items():
            numbers = dataclasses.asdict(judgement.verification)
            row |= {f"{protocol} {name}": value for name, value in numbers.items()}
        rows.append(row)
    return rows
