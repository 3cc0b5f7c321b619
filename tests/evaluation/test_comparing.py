import csv
import itertools

import numpy as np
import pytest

import metrics
from errors import Mistake
from evaluation import comparing
from evaluation.__main__ import main
from evaluation.intervals import People
from evaluation.measuring import Outcome
from evaluation.pairs import Pairs
from evaluation.report import write_scores
from evaluation.scores import read_scores
from evaluation.tables import Results, score_columns

# Five people, two pictures each: a genuine pair of each, and each with every other.
GENUINE = [(f"{a}/1.png", f"{a}/2.png", 1) for a in "abcde"]
IMPOSTOR = [(f"{a}/1.png", f"{b}/2.png", 0) for a, b in itertools.combinations("abcde", 2)]
PAIRS = [(*pair, i % 2) for i, pair in enumerate(GENUINE + IMPOSTOR)]
RIGHT = [0.9] * 5 + [0.1] * 10  # every genuine pair above every impostor pair
WRONG = [0.1] * 5 + [0.9] * 10
HALF = [0.9, 0.9, 0.1, 0.1, 0.1] + [0.5] * 10  # above the impostors are two genuine pairs of five
COLUMNS = score_columns(Results([], {}, None, None, None))


def write(folder, versions, pairs=PAIRS, protocols=("HR-LR",)):
    """A run's folder with the scores {(recogniser, size, method): a list, or one per protocol}."""
    (folder / "evaluation").mkdir(parents=True)
    with open(folder / "evaluation/scores.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *(f"{protocol} score" for protocol in protocols)])
        for version, scores in versions.items():
            columns = scores if len(protocols) > 1 else [scores]
            writer.writerows(
                (*version, *pair, *of_pair) for pair, *of_pair in zip(pairs, *columns, strict=True)
            )
    return folder


def compared(capsys, *arguments):
    main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def cells(text, first):
    """The cells of every row of the tables that begins with a low resolution."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return [row[1:] for row in rows if row[0] == first]


def test_a_difference_in_every_draw_is_beyond_chance(tmp_path, capsys):
    before = write(tmp_path / "a", {("r", "8x8", "SR"): WRONG, ("r", "8x8", "bicubic"): HALF})
    after = write(tmp_path / "b", {("r", "8x8", "SR"): RIGHT, ("r", "8x8", "bicubic"): HALF})
    text = compared(capsys, before, after)
    assert f"SR, before: {before}/evaluation/scores.csv\n" in text
    assert "5 genuine and 10 impostor pairs, intervals from 1000 draws of 5 people\n" in text
    assert "left out" not in text
    assert "more than the network" not in text
    assert text.count("Verification, HR-LR: ") == text.count("Verification") == 1
    ((_, auc, tar),) = cells(text, "8x8")
    assert auc == "0.0 -> 100.0 (+100.0 to +100.0)"
    assert tar == "too few pairs"
    assert cells(compared(capsys, after, before), "8x8")[0][1] == "100.0 -> 0.0 (-100.0 to -100.0)"
    assert cells(text, "mean") == []  # of one low resolution


def test_a_difference_on_few_people_may_be_none(tmp_path, capsys):
    before = write(tmp_path / "a", {("r", "8x8", "SR"): HALF})
    one_more = [0.9, *HALF[:4], *HALF[5:]]
    after = write(tmp_path / "b", {("r", "8x8", "SR"): one_more})
    auc = cells(compared(capsys, before, after), "8x8")[0][1]
    assert auc.startswith("40.0 ~ 60.0 (")
    # Of four people there is no interval.
    four = [i for i, pair in enumerate(PAIRS) if "e" not in pair[0][0] + pair[1][0]]
    pairs = [PAIRS[i] for i in four]
    after = write(tmp_path / "c", {("r", "8x8", "SR"): [RIGHT[i] for i in four]}, pairs)
    text = compared(capsys, before, after)
    assert "no intervals, which take 5 people: here are 4" in text
    assert cells(text, "8x8")[0][1] == "50.0 ~ 100.0"


def test_a_network_does_not_differ_from_itself(tmp_path, capsys):
    versions = {(r, size, "SR"): HALF for r in "rs" for size in ("8x8", "9x9")}
    run = write(
        tmp_path / "a", dict.fromkeys(versions, (HALF, WRONG)), protocols=("HR-LR", "LR-LR")
    )
    text = compared(capsys, run, run / "evaluation")
    assert text.count("## ") == 2
    for size in ("8x8", "9x9", "mean"):
        rows = cells(text, size)
        assert len(rows) == 4
        assert [row[1] for row in rows] == [
            "40.0 ~ 40.0 (+0.0 to +0.0)",
            "0.0 ~ 0.0 (+0.0 to +0.0)",
        ] * 2
        assert all(row[0].endswith(" (+0.0 to +0.0)") for row in rows)


def test_the_mean_over_sizes_is_of_the_same_people_in_all(tmp_path, capsys):
    # What is gained at one size is lost at the other, by the same people.
    before = write(tmp_path / "a", {("r", "8x8", "SR"): HALF, ("r", "9x9", "SR"): RIGHT})
    after = write(tmp_path / "b", {("r", "8x8", "SR"): RIGHT, ("r", "9x9", "SR"): HALF})
    text = compared(capsys, before, after)
    assert cells(text, "8x8")[0][1].startswith("40.0 ~ 100.0 (+0.0 to +")
    assert cells(text, "9x9")[0][1].startswith("100.0 ~ 40.0 (-")
    accuracy, auc, tar = cells(text, "mean")[0]
    assert auc == "70.0 ~ 70.0 (+0.0 to +0.0)"
    assert accuracy.endswith(" (+0.0 to +0.0)")
    assert tar == "too few pairs"


def test_what_only_one_has_is_left_out_and_said(tmp_path, capsys):
    before = write(
        tmp_path / "a",
        {(r, size, "SR"): (HALF, HALF) for r in ("r", "only a") for size in ("8x8", "7x6")},
        protocols=("HR-LR", "LR-LR"),
    )
    # The same pairs in another order; another fold, and a picture of somebody else.
    pairs = [*PAIRS[::-1], (*PAIRS[0][:3], 7), ("a/1.png", "f/1.png", 0, 1)]
    after = write(tmp_path / "b", {("r", "8x8", "SR"): [*RIGHT[::-1], 0.0, 1.0]}, pairs)
    text = compared(capsys, before, after)
    assert (
        "* left out: 7x6, only a, LR-LR, which before alone has; 2 pairs, which after alone has\n"
        in text
    )
    assert "5 genuine and 10 impostor pairs" in text
    assert cells(text, "8x8")[0][1].startswith("40.0 ~ 100.0 (+0.0 to +")
    assert len(cells(text, "8x8")) == 1
    assert cells(text, "7x6") == []
    assert cells(compared(capsys, after, before), "8x8")[0][1].startswith("100.0 ~ 40.0 (-")


def test_other_scores_of_the_same_faces_are_said(tmp_path, capsys):
    same = {("r", "8x8", "SR"): HALF, ("r", "8x8", "bicubic"): HALF}
    before = write(tmp_path / "a", same | {("r", "", "HR"): RIGHT, ("s", "", "HR"): RIGHT})
    nearly = [score + 0.001 for score in RIGHT]
    after = write(tmp_path / "b", same | {("r", "", "HR"): HALF, ("s", "", "HR"): nearly})
    line = "* more than the network differs: so do the scores of HR under r\n"
    assert line in compared(capsys, before, after)
    after = write(tmp_path / "c", same | {("r", "8x8", "bicubic"): RIGHT})
    assert "the scores of bicubic under r\n" in compared(capsys, before, after)
    text = compared(capsys, before, after, "--method", "bicubic")  # as was asked for
    assert "more than" not in text
    assert cells(text, "8x8")[0][1].startswith("40.0 ~ 100.0 (+0.0 to +")


def people_of(images, same):
    """How many people pairs of images show, and what they are called."""
    first, second = np.arange(len(images)).reshape(-1, 2).T
    people, who = comparing._people(images, Pairs(first, second, np.array(same), first % 4 // 2))
    return people.count, who


def test_people_are_folders_and_those_that_a_genuine_pair_joins():
    same = [True, True, False, False]
    assert people_of(["a/1", "a/2", "b/1", "b/2", "a/1", "b/1", "c/1", "d/1"], same)[0] == 4
    assert people_of(["a/x/1", "a/y/2", "b/1", "b/2", "a/x/1", "b/1", "a/y/3", "b/1"], same) == (
        *(2, "people"),
    )
    assert people_of(["1", "2", "3", "4", "1", "3", "2", "4"], same) == (
        *(4, "faces, as people are not known"),
    )


def test_what_an_evaluation_writes_is_compared_as_it_measured_it(tmp_path, capsys):
    rng = np.random.default_rng(0)
    identities, images = np.repeat(list("abcdef"), 20), [f"{i // 20}/{i}.png" for i in range(120)]
    i, j = np.triu_indices(120, 1)
    same = identities[i] == identities[j]
    chosen = np.sort(np.concatenate([np.flatnonzero(same)[::2], np.flatnonzero(~same)[::15]]))
    pairs = Pairs(i[chosen], j[chosen], same[chosen], np.arange(len(chosen)) % 10)
    judged = [pairs.judge(np.round(rng.normal(gain * pairs.same), 6)) for gain in (1.0, 2.0)]
    outcomes = {
        ("r", ((8, 8), metrics.SR)): Outcome({}, None, {"HR-LR": judged[1], "LR-LR": judged[0]})
    }
    people = People(identities)
    results = Results([], outcomes, people, pairs, people.of_pairs(pairs), (images, images))
    write_scores(tmp_path / "a.csv", results)
    text = compared(capsys, tmp_path / "a.csv", tmp_path / "a.csv")
    assert f"{pairs.description}, {people.described()}\n" in text
    for row, judgement in zip(cells(text, "8x8"), judged[::-1], strict=True):
        stated = judgement.verification
        numbers = [f"{n:.1f}" for n in (stated.accuracy, stated.auc, stated.tar)]
        assert row == [f"{n} ~ {n} (+0.0 to +0.0)" for n in numbers]


def test_methods_are_called_as_in_the_tables():
    assert (comparing.SR, comparing.BICUBIC, comparing.HR) == (
        metrics.SR,
        metrics.BICUBIC,
        metrics.HR,
    )


# --- Mistakes ---


def refused(*arguments):
    with pytest.raises(Mistake) as refusal:
        main([str(argument) for argument in arguments])
    text = str(refusal.value)
    assert "\n" not in text
    return text


def test_nothing_in_common_is_said(tmp_path):
    run = write(tmp_path / "a", {("r", "8x8", "SR"): HALF})
    other = write(tmp_path / "b", {("r", "9x9", "SR"): HALF, ("s", "8x8", "SR"): HALF})
    assert "no recogniser and low resolution in common" in refused(run, other)
    assert f"{run}/evaluation/scores.csv has no scores of bicubic" in refused(
        *(run, run, "--method", "bicubic")
    )
    moved = [(f"x{a}", b, *rest) for a, b, *rest in PAIRS]
    assert "no pairs in common" in refused(
        run, write(tmp_path / "c", {("r", "8x8", "SR"): HALF}, moved)
    )
    few = write(tmp_path / "d", {("r", "8x8", "SR"): HALF}, PAIRS[:2] + moved[2:])
    assert "the 2 pairs in common are too few" in refused(run, few)


def test_missing_scores_are_named(tmp_path):
    run = write(tmp_path / "a", {("r", "8x8", "SR"): HALF})
    assert "missing: No such file" in refused(run, tmp_path / "missing")
    assert f"{tmp_path} holds no scores.csv" in refused(tmp_path, run)
    assert "is a network: name the folder" in refused(run, "pretrained/ipunet.npz")


def test_folds_are_called_as_a_list_of_pairs_calls_them(tmp_path, capsys):
    pairs = [(*pair, -fold) for *pair, fold in PAIRS]
    run = write(tmp_path / "a", {("r", "8x8", "SR"): RIGHT}, pairs)
    assert cells(compared(capsys, run, run), "8x8")[0][0].startswith("100.0 ~ 100.0")


ROW = "r,8x8,SR,a/1.png,a/2.png,1,0,0.5\n"


def block(text):
    return text.partition("\n")[2]


DAMAGES = {
    "its first line names other columns": lambda text: text.replace("image_a", "image"),
    "first line names": lambda text: "",
    "it has no pairs": lambda text: text.partition("\n")[0],
    "before line 17 is not recogniser": lambda text: text[:-6],
    "not of the same pairs": lambda text: text + ROW.replace("8x8", "9x9"),
    "each of them once": lambda text: text + block(text).replace("8x8", "9x9") + block(text),
    "could not convert string to float: 'high'": lambda text: text.replace("0.5", "high"),
    "a score is no number": lambda text: text.replace("0.5", "nan"),
    "not 'yes' and '0'": lambda text: text.replace(",1,0,", ",yes,0,"),
    "can't decode byte": lambda text: text.replace("a/1", "\udcff"),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_damaged_scores_are_refused(message, tmp_path):
    run = write(tmp_path / "a", {("r", "8x8", "SR"): HALF})
    path = run / "evaluation/scores.csv"
    damaged = DAMAGES[message](path.read_text().replace("\r", ""))
    path.write_text(damaged, errors="surrogateescape")
    text = refused(run, run)
    assert message in text
    assert str(path) in text


def test_a_file_of_another_program_is_taken_with_its_byte_order_mark(tmp_path):
    run = write(tmp_path / "a", {("r", "8x8", "SR"): HALF})
    path = run / "evaluation/scores.csv"
    path.write_text("\ufeff" + path.read_text())
    assert read_scores(run).protocols == ["HR-LR"]
