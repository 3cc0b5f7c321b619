import collections
from pathlib import Path

import pytest

from errors import Mistake
from evaluation.pair_lists import read_pairs
from evaluation.pairs import Pair


def written(tmp_path, text, name="pairs.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_of_pairs(tmp_path):
    path = written(
        tmp_path,
        "\ufefffold,image_a,image_b,same\r\n3,Ö b/1.jpg,c/2.jpg,1\r\n4,c/1.jpg,d/2.jpg,0\r\n",
    )
    assert read_pairs(path, "faces") == [
        Pair(3, Path("faces/Ö b/1.jpg"), Path("faces/c/2.jpg"), True),
        Pair(4, Path("faces/c/1.jpg"), Path("faces/d/2.jpg"), False),
    ]


def test_lfw_pairs_in_folds(tmp_path):
    text = "2\t1\nAnn_B\t1\t12\nAnn_B\t3\tCy\t4\nCy\t1\t2\nCy\t1\tAnn_B\t2\n"
    pairs = read_pairs(written(tmp_path, text, "pairs.txt"), "lfw")
    assert pairs[0] == Pair(
        0, Path("lfw/Ann_B/Ann_B_0001.jpg"), Path("lfw/Ann_B/Ann_B_0012.jpg"), True
    )
    assert pairs[1] == Pair(0, Path("lfw/Ann_B/Ann_B_0003.jpg"), Path("lfw/Cy/Cy_0004.jpg"), False)
    assert [pair.fold for pair in pairs] == [0, 0, 1, 1]
    assert [pair.same for pair in pairs] == [True, False, True, False]


def test_lfw_development_pairs_are_dealt_to_ten_folds(tmp_path):
    text = "11\n" + "A\t1\t2\n" * 11 + "A\t1\tB\t2\n" * 11
    pairs = read_pairs(written(tmp_path, text, "pairsDevTest.txt"), "lfw")
    assert collections.Counter(pair.fold for pair in pairs)[0] == 3
    assert {pair.fold for pair in pairs} == set(range(10))


@pytest.mark.parametrize("ending", [".jpg", ".png", ".png.jpg", ".JPEG"])
def test_pictures_are_found_whatever_their_ending(tmp_path, ending):
    # As alignment scripts leave LFW, and as prepare.py names its crops of that.
    for name, i in (("J.K._Ann", 1), ("J.K._Ann", 2), ("Cy", 1)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{name}_{i:04d}{ending}").touch()
        (tmp_path / name / f"{name}_{i:04d}.txt").touch()
    for text, name in (
        ("1\t1\nJ.K._Ann\t1\t2\nJ.K._Ann\t1\tCy\t1\n", "pairs.txt"),
        (
            "fold,image_a,image_b,same\n0,J.K._Ann/J.K._Ann_0001.png,J.K._Ann/J.K._Ann_0002.png,1\n",
            "pairs.csv",
        ),
    ):
        pair = read_pairs(written(tmp_path, text, name), tmp_path)[0]
        assert pair.image_a == tmp_path / "J.K._Ann" / f"J.K._Ann_0001{ending}"
        assert pair.image_b.is_file()


def test_the_picture_that_is_named_comes_before_others_of_its_stem(tmp_path):
    for ending in (".jpg", ".jpg.png", ".bmp"):
        (tmp_path / f"a{ending}").touch()
    text = "fold,image_a,image_b,same\n0,a.jpg,b.jpg,1\n0,a.tif,b.jpg,1\n"
    pairs = read_pairs(written(tmp_path, text), tmp_path)
    assert [pair.image_a.name for pair in pairs] == ["a.jpg", "a.jpg"]
    assert pairs[0].image_b == tmp_path / "b.jpg"  # not there: as the list has it


def test_lists_without_a_head_line_come_fold_by_fold(tmp_path):
    # As RFW's: genuine pairs, then impostors, fold after fold.
    genuine, impostor = "m.01\t1\t2\n", "m.01\t1\tm.02\t3\n"
    text = (genuine * 2 + impostor * 2) * 3
    pairs = read_pairs(written(tmp_path, text, "African_pairs.txt"), "rfw")
    assert [pair.fold for pair in pairs] == [0] * 4 + [1] * 4 + [2] * 4
    assert pairs[2] == Pair(
        0, Path("rfw/m.01/m.01_0001.jpg"), Path("rfw/m.02/m.02_0003.jpg"), False
    )
    text = genuine * 20 + impostor * 20
    pairs = read_pairs(written(tmp_path, text, "one_block.txt"), "rfw")
    assert [pair.fold for pair in pairs[:11]] == [*range(10), 0]


def test_the_cache_of_scikit_learn(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    home = tmp_path / "lfw_home"
    home.mkdir()
    written(home, "1\t1\nAnn\t1\t2\nAnn\t1\tCy\t1\n", "pairs.txt")
    (pair, _) = read_pairs("scikit-learn", "ignored")
    assert pair.image_a == home / "lfw_funneled" / "Ann" / "Ann_0001.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fold,image_a,image_b\n1,a,b\n", "lacks the columns same"),
        ("fold,image_a,image_b,same\n1,a,b,yes\n", "line 2"),
        ("fold,image_a,image_b,same\n1,a\n", "line 2"),
        ("fold,image_a,image_b,same\nx,a,b,1\n", "line 2"),
        ("fold,image_a,image_b,same\n1,a,a,1\n", "line 2: a picture is paired with itself"),
        ("fold,image_a,image_b,same\n1,a,b,1\n2,b,a,0\n", "line 3: an earlier line says the opp"),
        ("fold,image_a,image_b,same\n1,a,../b,1\n", "line 2: a path leads out of faces"),
        ("fold,image_a,image_b,same\n1,a,/b,1\n", "line 2: a path leads out of faces"),
        pytest.param('fold,image_a,image_b,same\n1,"' + "a\n" * 140_000, "line", id="open quote"),
        ("", "neither a CSV"),
        ("names\n", "neither a CSV"),
        ("1 2 3\n", "neither a CSV"),
        ("10 0\nAnn\t1\t2\n", "neither a CSV"),
        ("1 1\nAnn\t1\t2\n", "has 1 pairs"),
        ("2 1\nAnn\t1\n", "line 2"),
        ("2 1\nAnn\tx\t2\n", "line 2"),
    ],
)
def test_lists_that_are_not_understood(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(Mistake, match=message) as error:
        read_pairs(path, "faces")
    assert str(path) in str(error.value)


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(Mistake, match="nowhere.csv"):
        read_pairs(tmp_path / "nowhere.csv", "faces")
