"""A copy of the project in which constants are edited, as a user would, and commands run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from networks import narrow

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
SUPPORT = Path(__file__).parent
CHEAP_TRAIN = SUPPORT / "cheap_train.py"  # for what does not depend on the recogniser


class Project:
    """A copy of the project in which constants are edited, as a user would, and `train.py` run."""

    def __init__(self, folder, faces):
        self.folder = folder
        self.faces = faces
        self.output = folder / "output"
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

    def start(self, script="train.py", *arguments, **kwargs):
        return subprocess.Popen(
            [sys.executable, script, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **kwargs,
        )

    def run(self, script="train.py", **constants):
        """Run to the end; return (exit code, standard output, standard error)."""
        self.edit("train.py" if script == CHEAP_TRAIN else script, **constants)
        process = self.start(script)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    def run_each(self, command, cases):
        """Run a command once for each dict of constants, all in one process.

        Returns:
            [(what it raised or None, standard output)].
        """
        process = self.start(SUPPORT / "run_each.py", command, json.dumps([*cases]))
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        *parts, _ = re.split(r"^raised: (.*)$", out, flags=re.MULTILINE)
        return [(json.loads(error), out) for out, error in zip(*[iter(parts)] * 2, strict=True)]

    def checkpoint(self):
        """Return the newest checkpoint."""
        from training.checkpoints import list_checkpoints, read_checkpoint

        return read_checkpoint(list_checkpoints(self.output / "checkpoints")[-1])


def assert_one_line(project, message, script="train.py", **constants):
    """The script ends with exit code 1 and one line that holds a message, no stack trace."""
    code, _, err = project.run(script, **constants)
    assert code == 1, err
    *before, last = err.splitlines()
    assert last.startswith("train.py: " if script == CHEAP_TRAIN else f"{script}: ")
    assert message in last
    assert [line for line in before if "step" not in line] == []  # progress, no notes of others


def assert_same_arrays(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
