import importlib.util

import numpy as np
import pytest
from conftest import Project, assert_one_line

from evaluate import dlib_recogniser


def test_a_finished_training_is_measured_on_its_held_out_faces(continued):
    code, out, err = continued.run("evaluate.py", FACES=4)
    assert code == 0, err
    report = (continued.output / "evaluation.md").read_text()
    assert "FaceNet, the recogniser of the loss: 4 faces of 1 people" in report
    # The same faces, network and recogniser as in the table that the training printed.
    table = (continued.output / "report.md").read_text()
    for line in table.splitlines()[-2:]:
        assert line in report
    assert report.split("\n\n")[0] in out


def test_a_missing_training_is_named_in_one_line(tmp_path, face_folder):
    project = Project(tmp_path / "project", face_folder)
    assert_one_line(project, "RUN_DIR output holds no finished training", "evaluate.py")


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models")),
    reason="the optional dlib-bin and face-recognition-models are not installed",
)
def test_dlib_tells_people_apart(sample_faces):
    faces, identities = sample_faces
    embeddings = dlib_recogniser(faces)(faces)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = embeddings @ embeddings.T
    same = identities[:, None] == identities[None]
    assert similarity[same].mean() > similarity[~same].mean() + 0.4
