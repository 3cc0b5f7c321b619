import numpy as np
from PIL import Image

from evaluation.curves import draw_worst, find_worst
from evaluation.measuring import Outcome
from evaluation.pairs import Pairs


def test_the_worst_pairs_are_those_that_only_sr_spoils(tmp_path):
    same = np.array([True, False] * 4)
    pairs = Pairs(np.arange(8), np.arange(8)[::-1], same, np.repeat([0, 1], 4))
    right = np.where(same, 0.9, 0.1)
    spoilt = right.copy()
    spoilt[4], spoilt[6] = 0.2, 0.05  # both genuine, refused
    scores = {
        ((7, 6), "bicubic"): right,
        ((7, 6), "SR"): spoilt,
        ((16, 16), "bicubic"): spoilt,
        ((16, 16), "SR"): spoilt,
    }
    outcomes = {
        ("r", key): Outcome({}, None, {"HR-LR": pairs.judge(x)}) for key, x in scores.items()
    }
    cases = find_worst(outcomes, pairs, "r")
    assert [(case.pair, case.size) for case in cases] == [(6, (7, 6)), (4, (7, 6))]
    assert cases[0].same
    assert cases[0].sr == (0.05, 0.9)
    pixels = np.zeros((8, 64, 64, 3), np.uint8)
    path = tmp_path / "worst.png"
    draw_worst(path, cases, pairs, pixels, lambda pixels, size: (pixels, pixels))
    with Image.open(path) as sheet:
        assert sheet.width > 4 * 64
        assert sheet.height > 2 * 64
    draw_worst(path, [], pairs, pixels, None)
    assert not path.exists()
