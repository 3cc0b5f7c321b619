import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluation.intervals import People, drawn_verification
from evaluation.pairs import Pairs


def drawn(identities, weights):
    """People of whom it is written down how often each was drawn."""
    people = People(np.array(list(identities)))
    people.weights = np.array(weights, np.float32)
    return people


def test_a_mean_in_every_draw_by_hand():
    # Two faces of a with 0, one of b with 1, and one that is not known.
    people = drawn("aabb", [[2, 0], [1, 1], [0, 2]])
    assert people.means(np.array([0.0, 0.0, 1.0, np.nan])) == pytest.approx([0.0, 1 / 3, 1.0])
    assert np.isnan(people.means(np.array([0.0, 0.0, np.nan, np.nan]))).tolist() == [False] * 2 + [
        True
    ]


def test_a_percentile_in_every_draw_by_hand():
    people = drawn("abcd", [[1, 1, 1, 1], [0, 0, 2, 2], [0, 1, 0, 3]])
    assert people.percentiles(np.array([4.0, 3.0, 2.0, 1.0]), 25).tolist() == [1.0, 1.0, 1.0]
    assert people.percentiles(np.array([4.0, 3.0, 2.0, 1.0]), 80).tolist() == [4.0, 2.0, 3.0]


def test_genuine_pairs_count_once_per_draw_and_impostor_pairs_once_per_two_draws():
    people = drawn("aabb", [[2, 0], [1, 1], [3, 2]])
    pairs = Pairs(*(np.array(x) for x in ([0, 0, 2] * 2, [1, 2, 3] * 2, [1, 0, 1] * 2, [0, 1] * 3)))
    assert people.of_pairs(pairs)[:, :3].tolist() == [[2, 0, 0], [1, 1, 1], [3, 6, 2]]


def test_verification_of_draws_is_that_of_weighted_pairs():
    rng = np.random.default_rng(0)
    same = np.arange(60) % 2 == 0
    folds = np.arange(60) // 6
    scores = np.round(rng.normal(same.astype(float)), 1)  # some are alike
    pairs = Pairs(np.zeros(60, int), np.zeros(60, int), same, folds)
    judgement = pairs.judge(scores)
    once = np.ones((1, 60), np.float32)
    numbers = drawn_verification(judgement, pairs, once)
    for name in ("accuracy", "auc", "eer"):
        assert numbers[name] == pytest.approx([getattr(judgement.verification, name)], rel=1e-5)
    assert np.isnan(numbers["tar"])  # as too few impostors say nothing of it
    weights = rng.integers(0, 3, (1, 60)).astype(np.float32)
    auc = 100 * roc_auc_score(same, scores, sample_weight=weights[0])
    assert drawn_verification(judgement, pairs, weights)["auc"] == pytest.approx([auc], rel=1e-5)


def test_tar_of_draws_by_hand():
    # 300 impostors below each other; the genuine pairs stand after the 2nd and the 4th of them.
    same = np.arange(302) < 2
    scores = np.array([298.5 - 1, 296.5 - 1, *np.arange(300.0)])
    pairs = Pairs(np.zeros(302, int), np.zeros(302, int), same, np.arange(302) % 2)
    once = np.ones((2, 302), np.float32)
    once[1, same] = [3, 1]
    numbers = drawn_verification(pairs.judge(scores), pairs, once)
    assert numbers["tar"] == pytest.approx([50.0, 75.0])


def test_few_people_have_no_interval():
    for count in (1, 4, 5):
        people = People(np.arange(count))
        drawn = people.means(np.arange(float(count)))
        assert np.isnan(people.interval(drawn)).all() == (count < 5)
        assert people.described().startswith("no intervals") == (count < 5)
    assert np.isnan(people.interval(drawn, count=4)).all()  # of a group


@pytest.mark.parametrize("count", [5, 8, 40])
def test_intervals_hold_the_truth_as_often_as_they_say(count):
    # Five faces each of people who differ among themselves more than their faces do.
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(count), 5)
    held, held_if_faces_were_people = 0, 0
    for seed in range(200):
        values = np.repeat(rng.normal(0, 1, count), 5) + rng.normal(0, 0.5, 5 * count)
        for faces in (False, True):
            people = People(np.arange(5 * count) if faces else identities, 400, seed)
            low, high = people.interval(people.means(values))
            if faces:
                held_if_faces_were_people += low < 0 < high
            else:
                held += low < 0 < high
    assert 0.89 <= held / 200 <= 0.985
    assert held_if_faces_were_people / 200 < 0.8


def test_the_interval_of_an_auc_holds_the_truth():
    # Embeddings on a line: people N(0, 1), their faces N(person, 0.5); pairs score -|difference|.
    rng = np.random.default_rng(1)

    def sample(count):
        faces = np.repeat(rng.normal(0, 1, count), 4) + rng.normal(0, 0.5, 4 * count)
        i, j = np.triu_indices(4 * count, 1)
        same = i // 4 == j // 4
        other = rng.permutation(np.flatnonzero(~same))[: 2 * same.sum()]
        chosen = np.concatenate([np.flatnonzero(same), other])
        scores = -np.abs(faces[i] - faces[j])[chosen]
        pairs = Pairs(i[chosen], j[chosen], same[chosen], np.arange(len(chosen)) % 10)
        return pairs, scores

    truth = 100 * np.mean([roc_auc_score(p.same, s) for p, s in (sample(300) for _ in range(5))])
    held = 0
    for seed in range(100):
        pairs, scores = sample(25)
        people = People(np.repeat(np.arange(25), 4), 200, seed)
        drawn = drawn_verification(pairs.judge(scores), pairs, people.of_pairs(pairs))["auc"]
        low, high = people.interval(drawn)
        held += low < truth < high
    assert 0.88 <= held / 100 <= 1.0
