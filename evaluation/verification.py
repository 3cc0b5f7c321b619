"""1:1 verification: do two faces show the same person? Measures of scores on labelled pairs."""

import dataclasses

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

PROTOCOLS = HR_LR, LR_LR = "HR-LR", "LR-LR"  # what is compared: see `measuring.Outcome`
FAR, STRICT_FAR = 0.01, 0.001  # false acceptance rates at which the true one is stated
# The rule of three: if none of 3 / r impostors is accepted, the rate is below r, at 95 %.
RULE_OF_THREE = 3


@dataclasses.dataclass(frozen=True)
class Verification:
    """How well scores tell genuine from impostor pairs, everything in per cent.

    Attributes:
        accuracy: mean over folds of the pairs judged right, see `judge_by_folds`.
        accuracy_std: standard deviation over folds.
        auc: area under the ROC curve.
        tar: genuine pairs accepted at a threshold that accepts at most 1 % of impostor pairs; NaN
            with too few of these, see `acceptance_rate`.
        tar_strict: the same at 0.1 %.
        eer: equal error rate, see `equal_error_rate`.
    """

    accuracy: float
    accuracy_std: float
    auc: float
    tar: float
    tar_strict: float
    eer: float


def verify(scores, same, folds, right):
    """Measure scores on labelled pairs.

    Args:
        scores: float (P,), higher for pairs that look more alike.
        same: bool (P,), whether a pair is genuine.
        folds: int (P,), the fold of a pair.
        right: bool (P,), see `judge_by_folds`.

    Returns:
        `Verification`.
    """
    accuracies = [right[folds == fold].mean() for fold in np.unique(folds)]
    return Verification(
        accuracy=100.0 * float(np.mean(accuracies)),
        accuracy_std=100.0 * float(np.std(accuracies)),
        auc=100.0 * float(roc_auc_score(same, scores)),
        tar=100.0 * acceptance_rate(scores, same, FAR),
        tar_strict=100.0 * acceptance_rate(scores, same, STRICT_FAR),
        eer=100.0 * equal_error_rate(scores, same),
    )


def judge_by_folds(scores, same, folds):
    """Judge each pair by a threshold that was chosen without its fold.

    Args:
        scores: float (P,).
        same: bool (P,); outside every fold there are pairs of both kinds.
        folds: int (P,).

    Returns:
        (right, thresholds): bool (P,), whether a pair is judged right; float (P,), the score from
        which it is taken for genuine.
    """
    right = np.zeros(len(scores), bool)
    thresholds = np.zeros(len(scores))
    for fold in np.unique(folds):
        tested = folds == fold
        threshold = best_threshold(scores[~tested], same[~tested])
        right[tested] = (scores[tested] >= threshold) == same[tested]
        thresholds[tested] = threshold
    return right, thresholds


def best_threshold(scores, same):
    """Return the score from which pairs are best taken for genuine; infinity for never."""
    far, tar, thresholds = roc_curve(same, scores, drop_intermediate=False)
    right = tar * np.sum(same) + (1.0 - far) * np.sum(~same)
    return thresholds[np.argmax(right)]


def acceptance_rate(scores, same, far):
    """Return the part of genuine pairs accepted where at most `far` of the impostors are.

    NaN with fewer than `RULE_OF_THREE` / `far` impostors, which tell nothing of so small a rate.
    """
    if np.sum(~same) * far < RULE_OF_THREE - 1e-9:
        return float("nan")
    false, true, _ = roc_curve(same, scores, drop_intermediate=False)
    return float(true[false <= far].max())


def equal_error_rate(scores, same):
    """Return the rate in [0, 1] at which as many impostors are accepted as genuines refused.

    Between the two thresholds around that point the ROC curve is taken to be straight.
    """
    far, tar, _ = roc_curve(same, scores, drop_intermediate=False)
    surplus = far - (1.0 - tar)  # rises from -1 to 1
    i = np.argmax(surplus >= 0.0)
    part = -surplus[i - 1] / (surplus[i] - surplus[i - 1])
    return float(far[i - 1] + part * (far[i] - far[i - 1]))
