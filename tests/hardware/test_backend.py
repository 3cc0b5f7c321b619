import os
import runpy
import subprocess
import sys

import pytest
from project import ROOT

DRAW = """
import os

import evaluate
from matplotlib.figure import Figure

Figure().savefig("figure.png")
print(os.environ.get("MPLBACKEND"))
"""


def test_the_backend_of_a_notebook_ends_no_command_that_it_starts(tmp_path):
    environment = {
        **os.environ,
        "MPLBACKEND": "module://backend_of_a.notebook",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["None"]
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.parametrize("backend", ["svg", "module://matplotlib.backends.backend_svg"])
def test_a_backend_that_is_there_is_kept(monkeypatch, backend):
    monkeypatch.setenv("MPLBACKEND", backend)
    runpy.run_path(str(ROOT / "hardware" / "__init__.py"))
    assert os.environ.get("MPLBACKEND") == backend
