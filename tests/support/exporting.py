"""A network to export, and runs of export.py in an empty folder."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from networks import narrow_unet

import export
from errors import tell


@functools.cache
def narrow_network():
    """A `.keras` file, as bytes, of a narrow U-Net whose every array counts, as a trained one's."""
    with pytest.MonkeyPatch.context() as patch:
        network = narrow_unet(patch)
    rng = np.random.default_rng(0)
    for variable in network.weights:
        if variable.name == "gamma":
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(rng.uniform(0.02, 0.1, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0.0, 0.2, variable.shape))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        network.save(path)
        return path.read_bytes()


class Work:
    """An empty folder, in which the command works from now on."""

    def __init__(self, folder, monkeypatch, capfd):
        self._capfd = capfd
        self.network = folder / "model.keras"
        self.network.write_bytes(narrow_network())
        monkeypatch.chdir(folder)

    def run(self, *arguments):
        """Run the command; returns (exit code, standard output, errors)."""
        arguments = ["--model", str(self.network), *arguments]
        try:
            tell(lambda: export.main(arguments), code=2)
        except SystemExit as end:
            code = end.code
        return code, *self._capfd.readouterr()

    def exported(self):
        """Return the names of what lies in the folder for exports."""
        return [path.name for path in Path("exported").glob("*")]
