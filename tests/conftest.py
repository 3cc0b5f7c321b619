"""Shared fixtures: sample faces, the FaceNet, and a copy of the project with edited constants.

Everything runs on the CPU, without network, in float32 unless a test says otherwise.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the scripts do
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"


@pytest.fixture(scope="session")
def facenet():
    from facenet import FaceNet

    return FaceNet()


@pytest.fixture(scope="session")
def sample_faces():
    """12 faces of 3 people, float32 (12, 128, 128, 3) in [-1, 1], and their labels."""
    from data import find_faces, load_faces, to_faces

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


class Project:
    """A copy of the project in which constants are edited, as a user would, and `train.py` run."""

    def __init__(self, folder, faces):
        self.folder = folder
        self.faces = faces
        self.output = folder / "output"
        folder.mkdir()
        for path in ROOT.glob("*.py"):
            shutil.copy(path, folder)
        (folder / "facenet").symlink_to(ROOT / "facenet")
        # An eighth of the filters: the same code, in a fraction of the time.
        self.edit("model.py", INITIAL_STDDEV=0.02, ENCODER=self._narrow("ENCODER"))
        self.edit("model.py", DECODER=self._narrow("DECODER"))
        self.edit(
            "train.py",
            TRAIN_DIR=str(faces),
            HELD_OUT_IDENTITIES=1,
            EPOCHS=2,
            BATCH_SIZE=4,
            PRECISION="float32",
            VALIDATION_FACES=4,
            REPORT_FACES=4,
            SAMPLE_FACES=2,
            SAMPLE_RESOLUTIONS=((7, 6), (16, 12)),
        )
        self.edit("data.py", LOW_RESOLUTIONS=((7, 6), (16, 12)))

    def _narrow(self, table):
        import model

        least = model.LEAST_FILTERS
        return tuple((max(least, n // 8), option) for n, option in getattr(model, table))

    def edit(self, file, **constants):
        path = self.folder / file
        text = path.read_text()
        for name, value in constants.items():
            pattern = rf"^{name} = (\(\n(?:.|\n)*?^\)|[^\n]*)"
            text, count = re.subn(pattern, f"{name} = {value!r}", text, flags=re.MULTILINE)
            assert count == 1, f"{file} sets {name} {count} times"
        path.write_text(text)

    def start(self, script="train.py", **kwargs):
        return subprocess.Popen(
            [sys.executable, script],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **kwargs,
        )

    def run(self, script="train.py", **constants):
        """Run to the end; return (exit code, standard output, standard error)."""
        self.edit(script, **constants)
        process = self.start(script)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def checkpoint(self):
        """Return (record, arrays) of the newest checkpoint."""
        from checkpoints import list_checkpoints, read_checkpoint

        return read_checkpoint(list_checkpoints(self.output / "checkpoints")[-1])


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project whose training ran to its end without a break, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    faces = folder / "faces"
    for identity in ("n000001", "n000002", "n000003", "n000004"):
        shutil.copytree(ROOT / "samples" / identity, faces / identity)
        for path in sorted((faces / identity).iterdir())[4:]:
            path.unlink()
    (faces / "n000001" / "0009_01.jpg").write_bytes(b"broken")
    project = Project(folder / "project", faces)
    code, out, err = project.run(SAVE_STEPS=2)
    assert code == 0, err
    project.printed = out
    return project


@pytest.fixture
def continued(finished, tmp_path):
    """A copy of the finished project whose training can be continued."""
    project = Project(tmp_path / "project", finished.faces)
    shutil.copytree(finished.output, project.output)
    project.edit("train.py", SAVE_STEPS=2)
    return project


def assert_one_line(project, message, script="train.py", **constants):
    """The script ends with exit code 1 and one line that holds a message, no stack trace."""
    code, _, err = project.run(script, **constants)
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith(f"{script}: ")
    assert message in last
    assert "Traceback" not in err


def assert_same_arrays(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
