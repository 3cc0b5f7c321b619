import numpy as np
import pytest
from project import SAMPLES

import evaluate
from errors import Mistake
from evaluation import measuring
from evaluation.groups import read_groups


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
    versions = {
        "HR": measuring.Version(embeddings={"r": hr}),
        (size, "bicubic"): measuring.Version(psnr=[20, 22, 30, 30], embeddings={"r": hr}),
        (size, "SR"): measuring.Version(psnr=[24, 22, 10, 20], embeddings={"r": spoilt}),
    }
    identities = np.array(["a", "a", "b", "b"])
    groups = {("sex", "f"): {"a"}, ("sex", "m"): {"b"}, ("sex", "nobody"): {"c"}}
    female, male = measuring.group_rows(versions, [size, fine], "r", identities, groups)
    assert (female["group"], female["people"]) == ("sex f", 1)
    assert (female["bicubic psnr"], female["SR psnr"], female["SR rank1"]) == (21, 23, 100)
    assert (male["bicubic psnr"], male["SR psnr"], male["SR rank1"]) == (30, 15, 0)
    assert (male["bicubic similarity"], male["SR similarity"]) == (1.0, 0.0)
