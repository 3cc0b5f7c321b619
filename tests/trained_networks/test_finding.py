import os
import shutil
import zipfile

import keras
import pytest
from restoring import identity_network

from errors import Mistake
from imaging.lists import find_faces, hold_out_identities
from trained_networks import (
    find_run,
    load_network,
    newest_network,
    people_of,
    picture_mark,
    read_people,
    write_people,
)


def test_the_newest_finished_network_of_a_folder_is_taken(tmp_path):
    for i, name in enumerate(("a/model.keras", "b/model.keras", "c/checkpoints/best.keras")):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.touch()
        (tmp_path / name[0] / "config.json").write_text(f'{{"constants": {i}, "recipe": {{}}}}')
    for name in ("a/model.keras", "c/checkpoints/best.keras"):
        os.utime(tmp_path / name, (2e9, 2e9))
    found = find_run(tmp_path)
    assert found == (tmp_path / "a", tmp_path / "a/model.keras", 0, {})
    assert find_run(tmp_path / "c")[1] == tmp_path / "c/checkpoints/best.keras"
    shutil.rmtree(tmp_path / "a")
    assert find_run(tmp_path)[0] == tmp_path / "b"
    for damaged in ('{"constants":', "[]"):
        (tmp_path / "b" / "config.json").write_text(damaged)
        with pytest.raises(Mistake, match=r"b.config\.json is missing or damaged"):
            find_run(tmp_path)
    (tmp_path / "b" / "config.json").unlink()
    with pytest.raises(Mistake, match="missing or damaged"):
        find_run(tmp_path)
    with pytest.raises(Mistake, match=r"RUN_DIR: .*no trained network in .*nowhere"):
        find_run(tmp_path / "nowhere")


def test_the_newest_network_is_found(tmp_path):
    with pytest.raises(Mistake, match="run train.py"):
        newest_network(tmp_path)
    for age, name in enumerate(("b", "a", "c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").touch()
        os.utime(tmp_path / name / "model.keras", (10 - age, 10 - age))
    assert newest_network(tmp_path) == tmp_path / "b" / "model.keras"
    (tmp_path / "model.keras").touch()
    os.utime(tmp_path / "model.keras", (0, 0))
    assert newest_network(tmp_path) == tmp_path / "model.keras"


def test_an_unfinished_training_gives_the_network_of_its_best_epoch(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.keras").touch()
    os.utime(tmp_path / "a" / "checkpoints" / "best.keras", (0, 0))
    assert newest_network(tmp_path) == tmp_path / "b" / "checkpoints" / "best.keras"
    assert newest_network(tmp_path / "a") == tmp_path / "a" / "checkpoints" / "best.keras"
    (tmp_path / "a" / "model.keras").touch()
    assert newest_network(tmp_path) == tmp_path / "a" / "model.keras"


def test_a_file_is_not_blamed_for_an_error_of_the_machine(tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    path.write_bytes(identity_network())

    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(keras.models, "load_model", fail)
    with pytest.raises(Mistake, match=r"model\.keras cannot be loaded: MemoryError$"):
        load_network(path)
    path.write_bytes(identity_network()[:-100])
    with pytest.raises(Mistake, match=r"model\.keras is not a whole \.keras file: MemoryError$"):
        load_network(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "")
    with pytest.raises(Mistake, match="is not a whole"):
        load_network(path)


def test_a_home_that_no_shell_has_seen_to_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "model.keras").write_bytes(identity_network())
    assert newest_network("~/runs") == tmp_path / "runs" / "model.keras"
    assert load_network("~/runs/model.keras").input_shape == (None, 128, 128, 3)


def test_a_network_that_starts_from_another_knows_the_people_of_both(face_folder, tmp_path):
    first, second = hold_out_identities(find_faces(face_folder), 2)
    for run, faces, start in (("a", first, None), ("b", second, tmp_path / "a" / "model.keras")):
        (tmp_path / run).mkdir()
        write_people(tmp_path / run, faces, start)
    assert sorted(read_people(tmp_path / "a")["people"]) == ["n000001", "n000002"]
    people = read_people(tmp_path / "b")["people"]
    assert sorted(people) == ["n000001", "n000002", "n000003", "n000004"]
    assert people["n000003"] == picture_mark(face_folder / "n000003" / "0001_01.jpg")


def test_a_run_that_goes_on_with_other_faces_knows_the_people_of_before(face_folder, tmp_path):
    def known(faces, **options):
        write_people(tmp_path, faces, **options)
        return [name[-1] for name in read_people(tmp_path)["people"]]

    first, second = hold_out_identities(find_faces(face_folder), 2)
    assert known(first) == ["1", "2"]
    assert known(second, goes_on=True) == ["1", "2", "3", "4"]
    assert known(second, goes_on=True) == ["1", "2", "3", "4"]
    assert known(first, goes_on=True) == ["1", "2", "3", "4"]
    assert known(second) == ["3", "4"]  # it begins anew


def test_of_very_many_people_only_some_have_a_picture_remembered(face_folder, monkeypatch):
    monkeypatch.setattr("trained_networks.people.MOST_MARKS", 2)
    marks = people_of(find_faces(face_folder))
    assert [mark is not None for mark in marks.values()] == [True, False, True, False]
