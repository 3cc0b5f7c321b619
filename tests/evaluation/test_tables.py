import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from evaluation.faces import names_below
from evaluation.intervals import People
from evaluation.measuring import Outcome
from evaluation.pairs import Pairs
from evaluation.report import Problems, write_results
from evaluation.tables import Results, differences, rank_rows, table_rows
from metrics import BICUBIC, HR, SR

SIZE = (8, 8)


def results(bicubic, sr, identities, ranks=None):
    """Results of one recogniser and size, where only the similarity is known."""
    outcomes = {
        ("r", HR): Outcome({"similarity": np.ones(len(sr))}, ranks, {}),
        ("r", (SIZE, BICUBIC)): Outcome({"similarity": np.array(bicubic)}, ranks, {}),
        ("r", (SIZE, SR)): Outcome({"similarity": np.array(sr)}, ranks, {}),
    }
    return Results(["some faces"], outcomes, People(np.array(identities)), None, None)


def test_similarity_is_given_as_mean_and_5th_percentile():
    # 21 probes whose cosines with their HR faces are 0, 0.05, ... 1.
    rows = table_rows(results(np.arange(21) / 20, np.zeros(21), np.arange(21) % 3))
    assert rows[1].numbers["similarity"] == pytest.approx(0.5)
    assert rows[1].numbers["similarity_p5"] == pytest.approx(0.05)


def test_differences_are_drawn_on_the_same_people():
    # SR adds 0.1 to each of people who differ by far more: beyond chance all the same.
    bicubic = np.repeat([0.0, 0.2, 0.4, 0.6, 0.8], 2)
    found = results(bicubic, bicubic + 0.1, np.repeat(list("abcde"), 2))
    difference, low, high = differences(table_rows(found), found.people)["r", "8x8", "similarity"]
    assert (difference, low, high) == pytest.approx((0.1, 0.1, 0.1))


def test_differences_within_their_interval_are_shown_as_such(tmp_path):
    people = np.repeat(list("abcde"), 2)
    gain = np.repeat([0.3, -0.3, 0.2, -0.2, 0.1], 2)
    for sr, shown in ((gain, "0.000 ~ 0.020 ("), (gain + 0.5, "0.000 -> 0.520 (+")):
        text = write_results(tmp_path, results(np.zeros(10), sr, people), Problems())
        assert shown in text
    assert (tmp_path / "results.md").read_text() == text
    with open(tmp_path / "differences.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["similarity", "similarity_p5"]
    assert rows[0]["beyond_chance"] == "True"
    with open(tmp_path / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[2]["similarity_low"]) < 0.52 < float(rows[2]["similarity_high"])
    assert not (tmp_path / "cmc.png").exists()


def test_nothing_of_few_people_is_beyond_chance(tmp_path):
    gain = np.repeat([0.3, 0.2, 0.4, 0.1], 2)
    text = write_results(
        tmp_path, results(np.zeros(8), gain, np.repeat(list("abcd"), 2)), Problems()
    )
    assert "| 0.000 ~ 0.250 |" in text
    with open(tmp_path / "differences.csv", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["low"], row["high"], row["beyond_chance"]) == ("", "", "False")


def test_the_score_of_every_pair_is_written(tmp_path):
    same = np.array([True, False] * 2)
    pairs = Pairs(np.array([0, 0, 2, 2]), np.array([1, 2, 3, 1]), same, np.array([0, 0, 1, 1]))
    scores = np.array([0.9, 0.25, 0.8, -1 / 3])
    found = results(np.zeros(4), np.zeros(4), list("aabb"))
    for outcome in found.outcomes.values():
        outcome.judgements["HR-LR"] = pairs.judge(scores)
    weights = found.people.of_pairs(pairs)
    images = ["a/1.png", "a/2,\udce9.png"], ["b/1.png", "b/2.png"]
    found = dataclasses.replace(
        found, pairs=pairs, pair_weights=weights, images=(sum(images, []),) * 2
    )
    write_results(tmp_path, found, Problems())
    with open(tmp_path / "scores.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [
        *("recogniser", "low_resolution", "method"),
        *("image_a", "image_b", "same", "fold", "HR-LR score"),
    ]
    assert [row[:3] for row in rows[1::4]] == [
        ["r", "", HR],
        ["r", "8x8", BICUBIC],
        ["r", "8x8", SR],
    ]
    assert rows[9] == ["r", "8x8", SR, "a/1.png", "a/2,\\udce9.png", "1", "0", "0.900000"]
    assert rows[12] == ["r", "8x8", SR, "b/1.png", "a/2,\\udce9.png", "0", "1", "-0.333333"]
    write_results(tmp_path, results(np.zeros(4), np.zeros(4), list("aabb")), Problems())
    assert not (tmp_path / "scores.csv").exists()  # none of an earlier evaluation


def test_pictures_are_called_as_below_their_folder():
    paths = [Path("/data/faces/a/1.png"), Path("/elsewhere/lfw/b/2.png")]
    assert names_below("/data/faces", paths) == ["a/1.png", "b/2.png"]


def test_the_cmc_by_hand(tmp_path):
    ranks = np.array([1.0, 1.0, 3.0, np.nan])
    found = results(np.zeros(4), np.zeros(4), list("aabb"), ranks)
    row = rank_rows(found.outcomes)[1]
    assert (row["low_resolution"], row["method"]) == ("8x8", BICUBIC)
    assert [row[f"rank_{k}"] for k in (1, 2, 3)] == pytest.approx([200 / 3, 200 / 3, 100])
    write_results(tmp_path, found, Problems())
    assert (tmp_path / "cmc.png").stat().st_size > 5_000
