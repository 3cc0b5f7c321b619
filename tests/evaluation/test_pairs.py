from pathlib import Path

import numpy as np
import pytest

from errors import Mistake
from evaluation.pairs import FOLDS, Pair, Pairs, draw_pairs
from evaluation.report import Problems


def faces(**counts):
    return [Path(name) / f"{i}.jpg" for name, count in counts.items() for i in range(count)]


def test_drawn_pairs_are_balanced_different_and_repeatable():
    paths = faces(a=8, b=8, c=8)
    pairs = draw_pairs(paths, 100, seed=0)
    assert sum(pair.same for pair in pairs) == 50
    assert all(pair.same == (pair.image_a.parent == pair.image_b.parent) for pair in pairs)
    assert len({frozenset((pair.image_a, pair.image_b)) for pair in pairs}) == 100
    for fold in range(FOLDS):
        assert sum(pair.same for pair in pairs if pair.fold == fold) == 5
        assert sum(not pair.same for pair in pairs if pair.fold == fold) == 5
    assert pairs == draw_pairs(paths, 100, seed=0) != draw_pairs(paths, 100, seed=1)


def test_no_more_pairs_are_drawn_than_there_are():
    pairs = draw_pairs(faces(a=12, b=1), 600, seed=0)  # 66 genuine, 12 impostor pairs
    assert sum(pair.same for pair in pairs) == sum(not pair.same for pair in pairs) == 12


def test_pairs_that_cannot_be_drawn():
    with pytest.raises(Mistake, match="all 5 faces are of one identity"):
        draw_pairs(faces(a=5), 100, seed=0)
    with pytest.raises(Mistake, match="make 1 pairs of the same person"):
        draw_pairs(faces(a=2, b=1, c=1), 100, seed=0)


def test_pairs_that_no_threshold_can_be_chosen_for_are_refused():
    places = np.zeros(4, int)
    with pytest.raises(Mistake, match="the 4 pairs whose images can be read are not of both kinds"):
        Pairs(places, places, np.ones(4, bool), np.array([0, 0, 1, 1]))
    with pytest.raises(Mistake, match="outside fold 0"):
        Pairs(places, places, np.array([True, False] * 2), np.zeros(4, int))


def test_pairs_that_lack_a_picture_are_left_out():
    a, b, c = (Path(name) for name in "abc")
    listed = [Pair(i // 2, a, other, i % 2 == 0) for i, other in enumerate([b, c, b, c, c, b])]
    listed.append(Pair(0, a, Path("missing"), True))
    problems = Problems()
    pairs = Pairs.among(listed, {a: 0, b: 1, c: 2}, None, problems)
    assert problems == ["1 of 7 pairs lack an image"]
    assert pairs.second.tolist() == [1, 2, 1, 2, 2, 1]
    assert pairs.description == "3 genuine and 3 impostor pairs"
    with pytest.raises(Mistake, match="PAIRS some.csv: outside fold 0"):
        Pairs.among(listed[:2], {a: 0, b: 1, c: 2}, "some.csv", problems)
