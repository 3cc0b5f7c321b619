"""Pairs of photographs for 1:1 verification: drawn from identity folders, scored and judged."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np

from errors import Mistake
from evaluation.verification import Verification, judge_by_folds, verify

FOLDS = 10


def own_folder(path):
    """Return the folder that a picture lies in, which stands for its person."""
    return path.parent


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two photographs, of the same person or not.

    Attributes:
        fold: number of the cross-validation fold.
        image_a: `Path`, the gallery's photograph.
        image_b: `Path`, the probe's.
        same: whether both show the same person.
    """

    fold: int
    image_a: Path
    image_b: Path
    same: bool


@dataclasses.dataclass(frozen=True)
class Judgement:
    """All pairs as one recogniser judges them.

    Attributes:
        scores: float (P,), higher for pairs that look more alike.
        right: bool (P,), whether a pair is judged right.
        thresholds: float (P,), the score from which a pair is taken for genuine.
        verification: `Verification`.
    """

    scores: np.ndarray
    right: np.ndarray
    thresholds: np.ndarray
    verification: Verification


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs among N faces.

    Attributes:
        first: int (P,), place of the gallery's face.
        second: int (P,), place of the probe's.
        same: bool (P,), whether a pair is genuine.
        folds: int (P,), the cross-validation fold of a pair.
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray
    folds: np.ndarray

    def __post_init__(self):
        """Refuse pairs that cannot be judged.

        Raises:
            Mistake: all pairs, or all outside a fold, are of one kind.
        """
        kinds = "of both kinds, the same person and different people"
        if len(np.unique(self.same)) < 2:
            raise Mistake(f"the {len(self)} pairs whose images can be read are not {kinds}")
        for fold in np.unique(self.folds):
            if len(np.unique(self.same[self.folds != fold])) < 2:
                raise Mistake(
                    f"outside fold {fold} the pairs are not {kinds}, so no threshold can be chosen"
                )

    def __len__(self):
        return len(self.same)

    @classmethod
    def among(cls, listed, index, source, problems):
        """Return those `Pair` of a list whose photographs were read.

        Args:
            listed: list of `Pair`.
            index: {path of a face: its place among the faces}.
            source: what the list was read from, named if it is refused; None if it was drawn.
            problems: `Problems`, which notes how many lack a photograph.

        Raises:
            Mistake: see `__post_init__`.
        """
        pairs = [pair for pair in listed if pair.image_a in index and pair.image_b in index]
        if len(pairs) < len(listed):
            problems.note(f"{len(listed) - len(pairs)} of {len(listed)} pairs lack an image")
        first, second = (
            np.array([index[path] for path in images], int)
            for images in ([p.image_a for p in pairs], [p.image_b for p in pairs])
        )
        same = np.array([pair.same for pair in pairs], bool)
        folds = np.array([pair.fold for pair in pairs], int)
        try:
            return cls(first, second, same, folds)
        except Mistake as mistake:
            raise Mistake(f"PAIRS {source}: {mistake}" if source else mistake) from None

    @property
    def description(self):
        """How many pairs of either kind there are."""
        return f"{self.same.sum()} genuine and {(~self.same).sum()} impostor pairs"

    def scores(self, gallery, probes):
        """Return the cosine of every pair, float (P,), from two (N, E) arrays of embeddings."""
        from metrics import similarity  # here, as it waits for TensorFlow, and judging does not

        return similarity(gallery[self.first], probes[self.second])

    def judge(self, scores):
        """Return the `Judgement` of scores (P,)."""
        right, thresholds = judge_by_folds(scores, self.same, self.folds)
        verification = verify(scores, self.same, self.folds, right)
        return Judgement(scores, right, thresholds, verification)


def draw_pairs(paths, count, seed, identity=own_folder):
    """Draw pairs from identity folders, half of them genuine, in `FOLDS` folds.

    Args:
        paths: list of `Path`.
        count: number of pairs wanted; fewer if there are not so many genuine pairs.
        seed: integer at least 0; the same seed, the same pairs.
        identity: function from a path to the folder that stands for its person.

    Returns:
        List of `Pair`, no two alike.

    Raises:
        Mistake: fewer than two identities, or fewer pairs of a kind than folds.
    """
    rng = np.random.default_rng(seed)
    members = {}
    for path in paths:
        members.setdefault(identity(path), []).append(path)
    if len(members) < 2:
        raise Mistake(
            f"all {len(paths)} faces are of one identity: verification needs two folders or more"
        )
    genuine = [pair for faces in members.values() for pair in itertools.combinations(faces, 2)]
    impostor_count = math.comb(len(paths), 2) - len(genuine)
    each = min(count // 2, len(genuine), impostor_count)
    if each < FOLDS:
        raise Mistake(
            f"the {len(paths)} faces make {len(genuine)} pairs of the same person and "
            f"{impostor_count} of different people, {FOLDS} of each are needed: raise FACES and "
            "DRAWN_PAIRS or add photographs"
        )
    pairs = [(a, b, True) for a, b in (genuine[i] for i in rng.permutation(len(genuine))[:each])]
    impostors = {}  # as a set, but in order
    while len(impostors) < each:
        a, b = (paths[i] for i in rng.choice(len(paths), 2, replace=False))
        if identity(a) != identity(b) and (b, a) not in impostors:
            impostors[a, b] = None
    pairs += [(a, b, False) for a, b in impostors]
    return [Pair(i % FOLDS, a, b, same) for i, (a, b, same) in enumerate(pairs)]
