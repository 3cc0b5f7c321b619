"""The file with the score of every pair that `evaluate.py` writes, and reading it."""

import csv
import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np

from errors import Mistake, expanded

SCORES = "scores.csv"
FOLDER = "evaluation"  # in a run's folder
VERSION = ("recogniser", "low_resolution", "method")
PAIR = ("image_a", "image_b", "same", "fold")
NETWORKS = {".npz", ".keras"}  # endings of what RUN_DIR may name, and scores may not
SCORE = " score"  # ends the name of a column, which begins with a protocol


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of one evaluation.

    Attributes:
        path: `Path` of the file.
        pairs: list of P tuples of text, see `PAIR`.
        versions: {(recogniser, low resolution, method): {protocol: float (P,)}}.
    """

    path: Path
    pairs: list
    versions: dict

    @property
    def protocols(self):
        """Names of what was measured, the same of each version."""
        return list(next(iter(self.versions.values())))

    def at(self, places):
        """Return the `Scores` of some of the pairs, from their places, int (Q,)."""
        return Scores(
            self.path,
            [self.pairs[i] for i in places],
            {
                version: {protocol: scores[places] for protocol, scores in of_version.items()}
                for version, of_version in self.versions.items()
            },
        )


def read_scores(place):
    """Return the `Scores` of a file, of the folder that holds it, or of that folder's run.

    Raises:
        Mistake: there are none, or they are damaged.
    """
    place = expanded(Path(place))
    path = place
    if path.suffix in NETWORKS:
        raise Mistake(f"{path} is a network: name the folder that evaluate.py wrote its scores to")
    if place.is_dir():
        inside = place / SCORES, place / FOLDER / SCORES
        path = next((path for path in inside if path.is_file()), None)
        if path is None:
            raise Mistake(
                f"{place} holds no {SCORES}, nor does {FOLDER} in it: evaluate.py writes one "
                "wherever it verifies pairs"
            )
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return _read(path, csv.reader(file))
    except OSError as error:
        raise Mistake(f"cannot read the scores of {path}: {error.strerror}") from error
    except (ValueError, csv.Error) as error:
        raise Mistake(f"{path} is damaged: {error}; let evaluate.py write it anew") from error


def _read(path, lines):
    columns = next(lines, [])
    before = len(VERSION + PAIR)
    protocols = [name.removesuffix(SCORE) for name in columns[before:] if name.endswith(SCORE)]
    if columns != [*VERSION, *PAIR, *(protocol + SCORE for protocol in protocols)] or not protocols:
        raise Mistake(f"{path} is no {SCORES} of evaluate.py: its first line names other columns")
    pairs, versions = None, {}
    for version, of_version in itertools.groupby(lines, lambda row: tuple(row[: len(VERSION)])):
        rows = list(of_version)
        if any(len(row) != len(columns) for row in rows):
            raise ValueError(f"a line before line {lines.line_num + 1} is not {','.join(columns)}")
        own = [tuple(row[len(VERSION) : before]) for row in rows]
        pairs = _checked(own) if pairs is None else pairs
        if own != pairs or version in versions:
            raise ValueError("its versions are not of the same pairs, each of them once")
        scores = np.array([row[before:] for row in rows], float)
        if not np.isfinite(scores).all():
            raise ValueError("a score is no number")
        versions[version] = dict(zip(protocols, scores.T, strict=True))
    if not versions:
        raise ValueError("it has no pairs")
    return Scores(path, pairs, versions)


def _checked(pairs):
    for *_, same, fold in pairs:
        if same not in ("0", "1") or not re.fullmatch(r"-?\d+", fold):
            raise ValueError(f"same is 1 or 0 and fold a number, not {same!r} and {fold!r}")
    return pairs
