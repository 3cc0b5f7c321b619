import shutil
from pathlib import Path

import numpy as np
import pytest
from project import SAMPLES

from errors import Mistake
from evaluation.faces import (
    choose_faces,
    identity_in,
    list_faces,
    load_faces,
    spread,
    tell_people_trained_on,
)
from evaluation.pairs import draw_pairs
from evaluation.report import Problems
from imaging.lists import find_faces, fingerprint, hold_out_identities
from imaging.pictures import read_pixels
from trained_networks import PRETRAINED, read_config, write_people


def test_faces_that_may_have_been_trained_on_are_refused(face_folder):
    trained, held_out = hold_out_identities(find_faces(face_folder), 2)
    training = {"TRAIN_DIR": face_folder, "VALIDATION_DIR": None, "HELD_OUT_IDENTITIES": 2}
    recipe = {"training faces": fingerprint(trained)}
    assert list(choose_faces(None, training, recipe)) == list(held_out)
    shutil.copytree(face_folder / "n000001", face_folder / "n000009")
    with pytest.raises(Mistake, match="not what it was when the network was trained"):
        choose_faces(None, training, recipe)
    training["TRAIN_DIR"] = face_folder / "gone"
    with pytest.raises(Mistake, match="gone, which is not here: set FACES_DIR"):
        choose_faces(None, training, recipe)


def test_a_network_of_another_machine_is_measured_on_samples_it_has_not_seen():
    training, recipe = read_config(PRETRAINED)
    assert not Path(training["VALIDATION_DIR"]).exists()
    faces = list(choose_faces(None, training, recipe))
    assert sorted({path.parent.name for path in faces}) == [f"n{i:06d}" for i in range(41, 49)]
    people = {path: path.parent for path in faces}
    problems = Problems()
    tell_people_trained_on(people, PRETRAINED, training, recipe, problems)
    assert problems == []


def people(*counts):
    return [Path(f"{person:03d}") / f"{i}.jpg" for person, n in enumerate(counts) for i in range(n)]


def test_faces_are_spread_so_that_the_pairs_can_be_drawn():
    # 96 faces for 300 genuine pairs: 8 each of 12 people make 12 x 28 = 336.
    chosen = spread(people(*[300] * 500), 96, 600)
    assert len(chosen) == 96
    assert len({path.parent for path in chosen}) == 12
    assert len(draw_pairs(chosen, 600, 0)) == 600
    # For 30 genuine pairs two of each do: 48 people.
    assert len({path.parent for path in spread(people(*[300] * 500), 96, 60)}) == 48


def test_a_person_may_be_a_folder_of_folders():
    paths = [Path(f"faces/{who}/video {v}/{i}.jpg") for who in "ab" for v in "12" for i in "12345"]
    identity = identity_in(Path("faces"), 1)
    assert {identity(path) for path in paths} == {Path("faces/a"), Path("faces/b")}
    chosen = spread(paths, 20, 40, identity)
    pairs = draw_pairs(chosen, 40, 0, identity)
    assert all(pair.same == (identity(pair.image_a) == identity(pair.image_b)) for pair in pairs)
    across = [p for p in pairs if p.same and p.image_a.parent != p.image_b.parent]
    assert across  # two videos of the same person are a genuine pair
    assert len({identity_in(Path("faces"), None)(path) for path in paths}) == 4


def test_people_with_one_photograph_come_last():
    chosen = spread(people(1, 1, 2, 1, 3), 5, 4)
    assert [path.parent.name for path in chosen] == ["000", "002", "002", "004", "004"]


def test_all_faces_are_taken_where_there_are_not_enough():
    assert spread(people(2, 1), 96, 600) == people(2, 1)


@pytest.fixture
def trained(face_folder, tmp_path):
    """A run trained on two of four people; (its folder, its training, its recipe)."""
    faces, _ = hold_out_identities(find_faces(face_folder), 2)
    run = tmp_path / "run"
    run.mkdir()
    write_people(run, faces)
    training = {"TRAIN_DIR": face_folder, "VALIDATION_DIR": None, "HELD_OUT_IDENTITIES": 2}
    return run, training, {"training faces": fingerprint(faces)}


def told(folder, trained):
    problems = Problems()
    faces = {path: path.parent for path in find_faces(folder)}
    tell_people_trained_on(faces, *trained, problems)
    return problems


def test_people_are_known_again_in_a_copied_or_renamed_folder(face_folder, trained, tmp_path):
    assert told(face_folder, trained) == [
        "the network was trained on 2 of the people measured here"
    ]
    renamed = tmp_path / "elsewhere"
    for i, person in enumerate(sorted(face_folder.iterdir())):
        shutil.copytree(person, renamed / f"person {i}")
    assert told(renamed, trained) == ["the network was trained on 2 of the people measured here"]
    for person in ("person 0", "person 1"):
        shutil.rmtree(renamed / person)
    assert told(renamed, trained) == []


def test_people_who_are_only_called_alike_are_said_to_be(face_folder, trained, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(face_folder / "n000004", other / "n000001")
    (problem,) = told(other, trained)
    assert "called as 1 of the people" in problem


def test_what_cannot_be_told_is_said(face_folder, trained, tmp_path):
    run, training, recipe = trained
    (run / "people.json").write_text("{")  # damaged: the training's faces tell
    (problem,) = told(face_folder, trained)
    assert "trained on 2 of the people" in problem
    training["TRAIN_DIR"] = tmp_path / "gone"
    (problem,) = told(face_folder, trained)
    assert problem.startswith("it cannot be told")


def test_the_middle_of_wide_pictures_can_be_cut_out():
    path = SAMPLES / "n000001" / "0001_01.jpg"
    faces = load_faces([path], 96, 96, Problems())
    np.testing.assert_array_equal(faces.pixels[0], read_pixels(path)[48:144, 48:144])


def test_of_many_missing_pictures_a_few_are_named(tmp_path):
    problems = Problems()
    paths = [tmp_path / f"{i}.jpg" for i in range(8)]
    with pytest.raises(Mistake, match=r"none of 8 faces could be read: .*0\.jpg"):
        load_faces(paths, 16, None, problems)
    assert [line.partition(".jpg")[0][-1] for line in problems[:5]] == list("01234")
    assert problems[5:] == ["3 more pictures cannot be read"]


def test_what_is_passed_over_is_said(face_folder, capsys):
    assert len(list_faces(face_folder)) == 16
    assert capsys.readouterr().out == ""
    (face_folder / "n000001" / "b.heic").write_bytes(b"no format that is read")
    assert len(list_faces(face_folder)) == 16
    assert "Passed over in" in (out := capsys.readouterr().out)
    assert "1 .heic" in out
