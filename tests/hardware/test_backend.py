import os
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


@pytest.mark.parametrize(
    ("backend", "kept"), [("module://backend_of_a.notebook", "None"), ("svg", "svg")]
)
def test_the_backend_of_a_notebook_ends_no_command_that_it_starts(tmp_path, backend, kept):
    environment = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == [kept]
    assert (tmp_path / "figure.png").stat().st_size > 1000
