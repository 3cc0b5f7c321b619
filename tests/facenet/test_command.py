"""The self-test `python -m facenet PATH`."""

import runpy
import sys

import numpy as np
import pytest
import tensorflow as tf

from facenet.__main__ import check, main, steepness

IDENTITIES = np.array(["a", "a", "b", "b"])
GOOD = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])


def test_the_embedded_network_passes_every_check(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["python -m facenet"])
    monkeypatch.delitem(sys.modules, "facenet.__main__")  # runpy warns of what it runs twice
    with pytest.raises(SystemExit) as end:
        runpy.run_module("facenet", run_name="__main__")
    printed = capsys.readouterr().out
    assert end.value.code == 0, printed
    assert printed.startswith("inception_resnet_v1_half.npz (npz of this repository")
    assert printed.count("\nok ") == 4
    assert "EMBEDDING_WEIGHT = 0.0" in printed


def test_a_refused_file_gives_one_line(tmp_path, capsys):
    (tmp_path / "facenet_keras.h5").write_text("<html>")
    assert main([str(tmp_path / "facenet_keras.h5")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("facenet: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(("arguments", "code"), [(["a", "b", "c"], 2), (["--help"], 0)])
def test_the_usage_is_explained(capsys, arguments, code):
    assert main(arguments) == code
    assert "usage" in capsys.readouterr().out


def test_the_strength_of_the_loss_depends_neither_on_scale_nor_on_dimensions(sample_faces):
    faces = sample_faces[0][:2]

    def embed(faces):
        return tf.reshape(faces[:, ::16, ::16], (len(faces), -1))

    expected = steepness(embed, faces)
    assert expected > 0.0
    assert steepness(lambda f: 10.0 * embed(f), faces) == pytest.approx(expected, rel=1e-4)
    repeated = steepness(lambda f: tf.tile(embed(f), (1, 4)), faces)
    assert repeated == pytest.approx(expected, rel=1e-4)


def outcomes(embeddings, again=None):
    embeddings = np.array(embeddings)
    checks = check(embeddings, embeddings if again is None else again, IDENTITIES)
    return [passed for passed, _ in checks]


def test_good_embeddings_pass():
    assert outcomes(GOOD) == [True] * 4


def test_embeddings_that_are_not_finite_fail():
    assert outcomes(GOOD * np.nan) == [False]


def test_embeddings_that_change_fail():
    assert outcomes(GOOD, again=GOOD + 0.1) == [True, False, True, True]


def test_embeddings_that_mix_people_up_fail():
    assert outcomes(GOOD[[0, 2, 1, 3]]) == [True, True, False, False]


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_the_scale_of_embeddings_does_not_matter(scale):
    assert outcomes(GOOD * scale) == [True] * 4
