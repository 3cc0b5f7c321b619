"""Shared fixtures: sample faces, the FaceNet, and a copy of the project with edited constants.

Everything runs on the CPU, without network, in float32 unless a test says otherwise.
"""

import fcntl
import os
import pickle
import shutil
import sys

# As `hardware` does, without TensorFlow in the process that only hands out tests.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest
from networks import kept_facenet
from project import ROOT, SAMPLES, Project


def pytest_collection_modifyitems(items):
    """Begin with the long tests: the other process does short ones and takes over what is left."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session", autouse=True)
def graphs_as_they_are():
    """Let TensorFlow not improve graphs, which takes longer than the few steps of a test."""
    if tf := sys.modules.get("tensorflow"):
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session")
def facenet():
    return kept_facenet()


@pytest.fixture(scope="session")
def sample_faces():
    """12 faces of 3 people, float32 (12, 128, 128, 3) in [-1, 1], and their labels."""
    from data import to_faces
    from imaging.lists import find_faces, load_faces

    paths = [p for p in find_faces(SAMPLES) if p.parent.name in ("n000001", "n000002", "n000003")]
    pixels, identities, _ = load_faces(paths, 12)
    return to_faces(pixels).numpy(), identities


@pytest.fixture
def face_folder(tmp_path):
    """A folder of 4 identities with 4 sample faces each."""
    folder = tmp_path / "faces"
    for identity in ("n000001", "n000002", "n000003", "n000004"):
        (folder / identity).mkdir(parents=True)
        for i in range(1, 5):
            name = f"000{i}_01.jpg"
            shutil.copy(SAMPLES / identity / name, folder / identity / name)
    return folder


def once(tmp_path_factory, name, make):
    """Return what `make(folder)` returns; of all processes, the first calls it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    made = folder.with_suffix(".pickle")
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            made.write_bytes(pickle.dumps(make(folder)))
        return pickle.loads(made.read_bytes())


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project whose training ran to its end without a break, and what it printed."""
    return once(tmp_path_factory, "finished", finished_project)


def finished_project(folder):
    faces = folder / "faces"
    for identity in ("n000001", "n000002", "n000003", "n000004"):
        shutil.copytree(ROOT / "samples" / identity, faces / identity)
        for path in sorted((faces / identity).iterdir())[4:]:
            path.unlink()
    (faces / "n000001" / "0009_01.jpg").write_bytes(b"broken")
    project = Project(folder / "project", faces)
    project.edit("train.py", SAMPLE_STEPS=2, SAVE_MINUTES=0)
    process = project.start()
    project.printed, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return project


@pytest.fixture
def continued(finished, tmp_path):
    """A copy of the finished project whose training can be continued."""
    project = Project(tmp_path / "project", finished.faces)
    shutil.copytree(finished.output, project.output)
    project.edit("train.py", SAMPLE_STEPS=2, SAVE_MINUTES=0)
    return project
