"""How sure is a number? 95 % intervals by drawing people anew, not faces or pairs.

Faces of one person resemble each other, and one person is in many pairs, so that drawing faces or
pairs anew would take the same few people for many. Here people are drawn, with all their faces: of
somebody who is drawn k times, faces and genuine pairs count k times; an impostor pair of two people
drawn k and l times counts k l times. Two methods are compared on the same draws.
"""

import numpy as np
from scipy.special import ndtr, stdtrit

from evaluation.verification import FAR, STRICT_FAR

DRAWS = 1000
LEVEL = 0.95
LEAST = 5  # people of whom an interval is stated: of 4 it would hold the truth in 88 % of cases


class People:
    """Draws of people with replacement.

    Attributes:
        count: number of people.
        weights: float32 (D, people), how often each is drawn.
        places: int (N,), whom each face shows.
    """

    def __init__(self, identities, draws=DRAWS, seed=0):
        """Draw.

        Args:
            identities: array of N labels.
            draws: their number D.
            seed: integer at least 0; the same seed, the same draws.
        """
        self._labels, self.places = np.unique(identities, return_inverse=True)
        self.count = len(self._labels)
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(self.count, np.full(self.count, 1 / self.count), draws)
        self.weights = drawn.astype(np.float32)

    def described(self, who="people"):
        """Return a line about where intervals come from, or why there are none."""
        if self.count < LEAST:
            return f"no intervals, which take {LEAST} {who}: here are {self.count}"
        return f"intervals from {len(self.weights)} draws of {self.count} {who}"

    def means(self, values):
        """Return the mean (D,) of the known ones among numbers (N,) of faces in every draw."""
        known = ~np.isnan(values)
        sums = np.bincount(self.places, np.where(known, values, 0.0), self.count)
        counts = np.bincount(self.places, known, self.count)
        with np.errstate(invalid="ignore"):  # nobody who was drawn is known: NaN
            return (self.weights @ sums) / (self.weights @ counts)

    def percentiles(self, values, percent):
        """Return the percentile (D,) of numbers (N,) of faces in every draw."""
        order = np.argsort(values)
        weights = self.weights[:, self.places[order]].cumsum(axis=1)
        return values[order][np.argmax(weights >= percent / 100 * weights[:, -1:], axis=1)]

    def of_pairs(self, pairs, first_places=None):
        """Return how often each of some `Pairs` counts, float32 (D, P).

        Args:
            pairs: `Pairs`.
            first_places: int, whom each face of the gallery shows, if that holds other faces, see
                `places_of`.
        """
        a = (self.places if first_places is None else first_places)[pairs.first]
        b = self.places[pairs.second]
        weights = np.concatenate([self.weights, np.ones_like(self.weights[:, :1])], axis=1)
        return weights[:, a] * np.where(a == b, 1, weights[:, b])

    def places_of(self, identities):
        """Return whom other faces show, int (M,); -1 for people who are not drawn but always there.

        Args:
            identities: array of M labels.
        """
        places = np.minimum(np.searchsorted(self._labels, identities), self.count - 1)
        return np.where(self._labels[places] == identities, places, -1)

    def interval(self, drawn, count=None):
        """Return (low, high) of a number from its draws (D,); NaN for fewer than `LEAST` people.

        `count` is the number of people that it is about, if not all.

        The interval between percentiles, which is too narrow for few people, is widened as
        Hesterberg (2015, "What teachers should know about the bootstrap") expands it.
        """
        n = count or self.count
        if n < LEAST or np.isnan(drawn).all():
            return np.nan, np.nan
        tail = ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - LEVEL) / 2))
        return tuple(np.nanquantile(drawn, (tail, 1 - tail)))


def is_certain(low, high):
    """Whether an interval of a difference leaves out 0."""
    return bool(low > 0 or high < 0)


def drawn_verification(judgement, pairs, weights):
    """Return the numbers of `Verification` in every draw, {name: (D,)}, in per cent.

    Args:
        judgement: `Judgement` of the pairs. Its thresholds are kept as they are.
        pairs: `Pairs`.
        weights: float32 (D, P), see `People.of_pairs`.
    """
    of_folds = []
    with np.errstate(invalid="ignore"):  # a fold, or a kind, of which nobody was drawn: NaN
        for fold in np.unique(pairs.folds):
            of_fold = weights[:, pairs.folds == fold]
            of_folds.append(of_fold @ judgement.right[pairs.folds == fold] / of_fold.sum(axis=1))
        far, tar = _drawn_roc(judgement.scores, pairs.same, weights)
    numbers = {
        "accuracy": np.ma.masked_invalid(of_folds).mean(axis=0).filled(np.nan),
        "auc": np.sum(np.diff(far) * (tar[:, 1:] + tar[:, :-1]) / 2, axis=1),
        "tar": _at(far <= FAR, tar),
        "tar_strict": _at(far <= STRICT_FAR, tar),
        "eer": _drawn_eer(far, tar),
    }
    stated = judgement.verification
    return {
        name: 100.0 * (drawn if not np.isnan(getattr(stated, name)) else np.nan * drawn)
        for name, drawn in numbers.items()
    }


def _drawn_roc(scores, same, weights):
    """Return false and true acceptance rates, each (D, T), of rising numbers of accepted pairs."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of equal scores
    rates = []
    for kind in (~same, same):
        accepted = (weights[:, order] * kind[order]).cumsum(axis=1)[:, ends]
        rate = accepted / accepted[:, -1:]
        rates.append(np.concatenate([np.zeros_like(rate[:, :1]), rate], axis=1))
    return rates


def _at(allowed, tar):
    """Return the true acceptance rate (D,) at the last threshold that is allowed, (D, T)."""
    return np.take_along_axis(tar, allowed.sum(axis=1, keepdims=True) - 1, axis=1)[:, 0]


def _drawn_eer(far, tar):
    """Return `verification.equal_error_rate` (D,) of ROC curves (D, T)."""
    surplus = far - (1.0 - tar)
    i = np.argmax(surplus >= 0.0, axis=1)[:, None]
    i = np.maximum(i, 1)
    before, after = (np.take_along_axis(surplus, j, axis=1) for j in (i - 1, i))
    low, high = (np.take_along_axis(far, j, axis=1) for j in (i - 1, i))
    with np.errstate(invalid="ignore"):
        return (low - before / (after - before) * (high - low))[:, 0]
