"""A copy of the project in which constants are edited, as a user would, and commands run."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import keep_facenet, kept_facenet, narrow
from processes import captured
from started import Started

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
SUPPORT = Path(__file__).parent
CHEAP_TRAIN = SUPPORT / "cheap_train.py"  # for what does not depend on the recogniser


class Project:
    """A copy of the project in which constants are edited, as a user would, and commands run.

    `start` is what a user does. As it takes seconds to import TensorFlow, `fork` begins after that,
    and `run` runs an edited command in this process.
    """

    def __init__(self, folder, faces):
        self.folder = folder
        self.faces = faces
        self.output = folder / "output"
        self._network = {}
        folder.mkdir()
        for path in ROOT.glob("*.py"):
            shutil.copy(path, folder)
        for path in ROOT.glob("*/__init__.py"):
            (folder / path.parent.name).symlink_to(path.parent)
        # An eighth of the filters: the same code, in a fraction of the time.
        self.edit("model.py", INITIAL_STDDEV=0.02, ENCODER=narrow("ENCODER"))
        self.edit("model.py", DECODER=narrow("DECODER"))
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
        self.edit("train.py", LOW_RESOLUTIONS=((7, 6), (16, 12)))

    def edit(self, file, **constants):
        path = self.folder / file
        text = path.read_text()
        for name, value in constants.items():
            pattern = rf"^{name} = (\((?:  #[^\n]*)?\n(?:.|\n)*?^\)|[^\n]*)"
            text, count = re.subn(pattern, f"{name} = {value!r}", text, flags=re.MULTILINE)
            assert count == 1, f"{file} sets {name} {count} times"
        path.write_text(text)
        if file == "model.py":
            self._network |= constants

    def start(self, script="train.py", *arguments, **kwargs):
        return subprocess.Popen(
            [sys.executable, script, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **kwargs,
        )

    def fork(self, script="train.py", **environment):
        return Started(script, self.folder, os.environ | environment)

    def run(self, script="train.py", recogniser=kept_facenet, **constants):
        """Run to the end in this process; return (exit code, standard output, standard error).

        Args:
            script: command of the project.
            recogniser: what the script takes for `FaceNet`.
            constants: of the script, for this run alone.
        """
        import model

        path = self.folder / script
        before = path.read_text()
        self.edit(script, **constants)
        code = 0
        with captured() as texts, pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", [script])
            for name, value in self._network.items():
                patch.setattr(model, name, value)
            keep_facenet(patch, recogniser)
            try:
                runpy.run_path(script, run_name="__main__")
            except SystemExit as end:
                code = end.code or 0
            finally:
                path.write_text(before)
        return code, *texts

    def checkpoint(self):
        """Return the newest checkpoint."""
        from training.checkpoints import list_checkpoints, read_checkpoint

        return read_checkpoint(list_checkpoints(self.output / "checkpoints")[-1])


def assert_one_line(told, message, script="train.py"):
    """The script ended with exit code 1 and one line that holds a message, no stack trace."""
    code, _, err = told
    assert code == 1, err
    *before, last = err.splitlines()
    assert last.startswith(f"{script}: ")
    assert message in last
    progress = [line for line in before if re.search(r"\b\d+ of \d+;", line)]
    assert before == progress  # no notes of others


def assert_same_arrays(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
