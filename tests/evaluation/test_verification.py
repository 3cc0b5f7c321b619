import math

import numpy as np
import pytest

from evaluation.verification import (
    acceptance_rate,
    best_threshold,
    equal_error_rate,
    judge_by_folds,
)
from evaluation.verification import verify as verify_judged

SAME = np.array([True, False] * 20)
FOLDS = np.repeat(np.arange(10), 4)


def verify(scores, same, folds):
    return verify_judged(scores, same, folds, judge_by_folds(scores, same, folds)[0])


def test_a_perfect_verifier():
    result = verify(np.where(SAME, 0.9, 0.1), SAME, FOLDS)
    assert (result.accuracy, result.accuracy_std, result.auc) == (100.0, 0.0, 100.0)
    assert result.eer == 0.0


def test_an_inverted_verifier_is_no_better_than_refusing_everyone():
    result = verify(np.where(SAME, 0.1, 0.9), SAME, FOLDS)
    assert (result.accuracy, result.auc, result.eer) == (50.0, 0.0, 100.0)


def test_a_verifier_without_an_opinion():
    result = verify(np.zeros(40), SAME, FOLDS)
    assert (result.accuracy, result.auc, result.eer) == (50.0, 50.0, 50.0)


def test_a_known_roc():
    # Genuine at 4, 3, 1, impostors at 2, 0: from the top g g i g i. Of the 6 pairs of both kinds,
    # 5 are in order.
    scores = np.array([4.0, 3.0, 1.0, 2.0, 0.0] * 2)
    same = np.array([True, True, True, False, False] * 2)
    result = verify(scores, same, np.repeat([0, 1], 5))
    assert result.auc == pytest.approx(500 / 6)
    # 4 of 5 right, from 3 as from 1.
    assert result.accuracy == pytest.approx(80.0)
    # Between the corners (0, 2/3) and (1/2, 2/3) of the curve, far = 1 - tar at 1/3.
    assert result.eer == pytest.approx(100 / 3)


def test_tar_is_taken_where_one_impostor_in_a_hundred_is_accepted():
    # Above the genuine scores lie 0, 2, 3 and 4 of the 300 impostors.
    scores = np.array([299.5, 297.5, 296.5, 295.5, *range(300)])
    same = np.arange(304) < 4
    assert acceptance_rate(scores, same, 0.01) == 0.75
    result = verify(scores, same, np.arange(304) % 2)
    assert result.tar == 75.0
    assert math.isnan(result.tar_strict)


def test_no_rate_is_stated_for_which_the_impostors_are_too_few():
    same = np.arange(303) < 4
    assert math.isnan(acceptance_rate(np.arange(303.0), same, 0.01))
    same = np.arange(3004) < 4
    assert acceptance_rate(-np.arange(3004.0), same, 0.001) == 1.0


def test_equal_error_rate_of_steps():
    # One genuine of four lies below one impostor of four: 1/4 either way.
    scores = np.array([8, 7, 6, 2, 5, 3, 1, 0], float)
    same = np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
    assert equal_error_rate(scores, same) == pytest.approx(0.25)


def test_the_best_threshold_is_a_score_from_which_pairs_are_accepted():
    scores, same = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, False, True, True])
    assert best_threshold(scores, same) == 0.6


def test_the_best_threshold_counts_pairs_not_rates():
    # Accepting from 4 judges the genuine and one impostor right, refusing all, three impostors.
    scores, same = np.array([4.0, 5.0, 5.0, 0.0]), np.array([True, False, False, False])
    assert best_threshold(scores, same) == np.inf


def test_thresholds_are_never_chosen_on_the_tested_fold():
    # Two folds whose own best thresholds are 5 and 50. Each is judged by the other's.
    scores = np.array([5.0, 4.0, 50.0, 40.0])
    same = np.array([True, False, True, False])
    folds = np.array([0, 0, 1, 1])
    right, thresholds = judge_by_folds(scores, same, folds)
    assert list(thresholds) == [50.0, 50.0, 5.0, 5.0]
    assert list(right) == [False, True, True, False]


def test_accuracy_is_a_mean_over_folds():
    # Fold 0 has one pair, judged wrong; fold 1 has three, right: 50 %, not 75 %.
    scores = np.array([0.0, 0.9, 0.1, 0.9, 0.9, 0.2])
    same = np.array([True, True, False, True, True, False])
    folds = np.array([0, 1, 1, 1, 2, 2])
    result = verify(scores, same, folds)
    assert result.accuracy == pytest.approx(100 * (0 + 1 + 1) / 3)
    assert result.accuracy_std == pytest.approx(100 * np.std([0, 1, 1]))
