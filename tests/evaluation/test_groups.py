import numpy as np
import pytest
from project import SAMPLES

import evaluate
from errors import Mistake
from evaluation.groups import group_rows, read_groups
from evaluation.intervals import People
from evaluation.measuring import judge
from evaluation.pairs import Pairs
from metrics import PerFace


def test_words_make_a_group_each_and_many_numbers_two(tmp_path):
    path = tmp_path / "identities.csv"
    path.write_text(
        "identity,sex,tone\na,female,1\nb,male,2\nc,female,3\nd,male,4\ne,male,5\nf,,\ng,NA,nan\n"
    )
    assert read_groups(path, ["sex", "tone"]) == {
        ("sex", "female"): {"a", "c"},
        ("sex", "male"): {"b", "d", "e"},
        ("tone", "above 3"): {"d", "e"},
        ("tone", "up to 3"): {"a", "b", "c"},
    }


def test_the_sample_faces_have_the_groups_of_the_constants():
    groups = read_groups(SAMPLES / "identities.csv", evaluate.GROUP_COLUMNS)
    assert len(set().union(*groups.values())) == 48
    assert ("glasses", "1") in groups  # few different numbers are not cut


def test_files_that_cannot_be_used_are_named(tmp_path):
    path = tmp_path / "identities.csv"
    with pytest.raises(Mistake, match=r"identities\.csv"):
        read_groups(path, ["sex"])
    path.write_text("identity,age\na,7\n")
    with pytest.raises(Mistake, match="lacks the columns sex"):
        read_groups(path, ["sex"])


def test_group_means_by_hand():
    # Two people with two faces each; the fine size does not count. SR turns b's faces into a's.
    hr = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    spoilt = np.array([[1.0, 0.0]] * 4)
    size, fine = (16, 16), (32, 32)
    zeros = np.zeros((4, 3))
    versions = {
        "HR": PerFace(None, None, None, None, {"r": hr}),
        (size, "bicubic"): PerFace(np.array([20, 22, 30, 30]), zeros[:, 0], zeros, None, {"r": hr}),
        (size, "SR"): PerFace(np.array([24, 22, 10, 20]), zeros[:, 0], zeros, None, {"r": spoilt}),
        (fine, "bicubic"): PerFace(zeros[:, 0], zeros[:, 0], zeros, None, {"r": hr}),
        (fine, "SR"): PerFace(zeros[:, 0], zeros[:, 0], zeros, None, {"r": hr}),
    }
    pairs = Pairs(*(np.array(x) for x in ([0, 1] * 2, [2, 3] * 2, [1, 0] * 2, [0, 0, 1, 1])))
    identities = np.array(["a", "a", "b", "b"])
    groups = {("sex", "f"): {"a"}, ("sex", "m"): {"b"}, ("sex", "nobody"): {"c"}}
    outcomes = judge(versions, ["r"], identities, pairs)
    female, male = group_rows(outcomes, "r", identities, groups, People(identities))
    assert (female["group"], female["people"]) == ("sex f", 1)
    assert (female["bicubic psnr"], female["SR psnr"], female["SR rank1"]) == (21, 23, 100)
    assert (male["bicubic psnr"], male["SR psnr"], male["SR rank1"]) == (30, 15, 0)
    assert (male["bicubic similarity"], male["SR similarity"]) == (1.0, 0.0)
    assert np.isnan(female["psnr low"])  # of one person there is no interval
