"""Bicubic enlargement, SR and HR side by side: every face embedded once, then all the measures."""

import collections
import dataclasses
import functools
import itertools
import time

import numpy as np

from console.progress import progress
from data import to_faces
from evaluation.verification import HR_LR, LR_LR
from metrics import BICUBIC, HR, SR, PerFace, identification_ranks, measure, similarity

FACES_AT_ONCE = 64  # faces in memory as float32, in all their versions
NOT_COMPARED = {"psnr": None, "ssim": None, "shift": None, "pixel": None}  # of HR faces with HR
FROM_HR, FROM_EACH = "HR", "each version"  # where the landmarks of a face are looked for


# --- Faces -------------------------------------------------------------------------------------


class Judges:
    """Recognisers at work: where landmarks come from, and the time that each takes.

    Attributes:
        names: of the recognisers, in order.
        seconds: {name: seconds so far}.
    """

    def __init__(self, recognisers, landmarks=FROM_HR):
        """Take a list of `Recogniser`, and `FROM_HR` or `FROM_EACH`."""
        self._recognisers = recognisers
        self._from_hr = landmarks == FROM_HR
        self.names = [recogniser.name for recogniser in recognisers]
        self.seconds = collections.Counter()

    @property
    def times(self):
        """A line about how long each recogniser took."""
        return "time: " + "; ".join(f"{name} {s:.0f} s" for name, s in self.seconds.items())

    def embedders(self, hr_faces):
        """Return {name: function from (faces, low_resolution) to embeddings} of some faces.

        Args:
            hr_faces: float32 (N, H, W, 3); all that is embedded shows these, in this order. None
                where there are none.
        """
        located = {}  # those who want the same landmarks share them
        if self._from_hr and hr_faces is not None:
            for recogniser in self._recognisers:
                if recogniser.locate not in located:
                    located[recogniser.locate] = self._locate(recogniser, hr_faces)
        return {
            recogniser.name: functools.partial(self._embed, recogniser, located)
            for recogniser in self._recognisers
        }

    def _locate(self, recogniser, faces):
        started = time.perf_counter()
        landmarks = recogniser.locate and recogniser.locate(faces)
        self.seconds[recogniser.name] += time.perf_counter() - started
        return landmarks

    def _embed(self, recogniser, located, faces, low_resolution=None):
        if recogniser.locate in located:
            landmarks = located[recogniser.locate]
        else:
            landmarks = self._locate(recogniser, faces)
        started = time.perf_counter()
        embeddings = recogniser.embed(faces, landmarks)
        self.seconds[recogniser.name] += time.perf_counter() - started
        return embeddings

    def centre(self, embeddings, key):
        """Subtract the mean of one version from all where a recogniser wants it, in place.

        Args:
            embeddings: {key of a version: {name: float (N, E)}}.
            key: whose mean is subtracted.
        """
        for recogniser in self._recognisers:
            if recogniser.centred:
                mean = np.mean(embeddings[key][recogniser.name], axis=0)
                for of_version in embeddings.values():
                    of_version[recogniser.name] -= mean


def measure_faces(pixels, sizes, restorer, judges, further=None):
    """Embed every face once per method and size, and compare its picture with HR.

    Args:
        pixels: uint8 (N, H, W, 3).
        sizes: (height, width) pairs in pixels.
        restorer: `Restorer`.
        judges: `Judges`.
        further: see `metrics.measure`.

    Returns:
        {HR: `PerFace`, (size, BICUBIC): `PerFace`, (size, SR): `PerFace`, ...}; embeddings are
        centred where the recogniser wants it.
    """
    parts = {HR: []}
    methods = {BICUBIC: None, SR: restorer.super_resolve}
    with progress(len(pixels) * (1 + 2 * len(sizes)), "face") as bar:
        for start in range(0, len(pixels), FACES_AT_ONCE):
            hr_faces = to_faces(pixels[start : start + FACES_AT_ONCE]).numpy()
            embedders = judges.embedders(hr_faces)
            embeddings = {name: embed(hr_faces) for name, embed in embedders.items()}
            of_hr = {n: of(hr_faces, hr_faces) for n, of in (further or {}).items()}
            parts[HR].append(PerFace(**NOT_COMPARED, embeddings=embeddings, further=of_hr))
            bar.update(len(hr_faces))
            for size, method, of_faces in measure(
                hr_faces, sizes, methods, embedders, restorer.degradation, further
            ):
                parts.setdefault((size, method), []).append(of_faces)
                bar.note(f"{size[0]}x{size[1]}")
                bar.update(len(hr_faces))
    versions = {key: _joined(of_faces) for key, of_faces in parts.items()}
    judges.centre({key: version.embeddings for key, version in versions.items()}, HR)
    return versions


def _joined(parts):
    """Return one `PerFace` of several, face after face."""

    def join(name):
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], dict):
            return {key: np.concatenate([value[key] for value in values]) for key in values[0]}
        return None if values[0] is None else np.concatenate(values)

    return PerFace(**{field.name: join(field.name) for field in dataclasses.fields(PerFace)})


# --- Results -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One version of all faces under one recogniser.

    Attributes:
        of_faces: {name: float (N,)}: psnr, ssim, shift_red, shift_green, shift_blue (not for HR),
            further measures of pictures, similarity, and of two people or more rank1, in per cent.
        ranks: float (N,), see `metrics.identification_ranks`; None without two people.
        judgements: {protocol: `Judgement`}, empty without pairs. "HR-LR" compares the HR face of a
            pair's first picture with the version of its second, "LR-LR" the versions of both.
    """

    of_faces: dict
    ranks: np.ndarray | None
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
        of_faces |= version.further
        of_faces["similarity"] = similarity(embeddings, hr_embeddings)
        ranks = None
        if len(set(identities)) > 1:
            ranks = identification_ranks(embeddings, hr_embeddings, identities)
            of_faces["rank1"] = recognised(ranks)
        galleries = {HR_LR: hr_embeddings, LR_LR: embeddings}
        judgements = {
            protocol: pairs.judge(pairs.scores(gallery, embeddings))
            for protocol, gallery in galleries.items()
            if pairs is not None
        }
        outcomes[recogniser, key] = Outcome(of_faces, ranks, judgements)
    return outcomes


def recognised(ranks, rank=1):
    """Return for each face 100 if it is among so many first ones, else 0, NaN if without rank."""
    return np.where(np.isnan(ranks), np.nan, 100.0 * (ranks <= rank))
