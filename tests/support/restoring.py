"""Runs of super_resolve.py in an empty folder, with a network whose results are known."""

import csv
import functools
import os
import tempfile
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import super_resolve
from errors import tell


@functools.cache
def identity_network():
    """A `.keras` file, as bytes, of a network that returns its input."""
    inputs = keras.Input((128, 128, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "identity.keras")
        keras.Model(inputs, keras.layers.Activation("linear")(inputs)).save(path)
        return path.read_bytes()


class Work:
    """An empty folder, in which the command works from now on."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder = folder
        self._capsys = capsys
        self.network = folder / "identity.keras"
        self.network.write_bytes(identity_network())
        monkeypatch.chdir(folder)

    def picture(self, name, size=(16, 16), color=None, **options):
        """Save a picture of (height, width); returns its pixels."""
        shape = (*size, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        if color is not None:
            pixels[:] = color
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, **options)
        return pixels

    def run(self, *arguments):
        """Run the command; returns (exit code, standard output, errors)."""
        arguments = ["--model", str(self.network), *map(os.fspath, arguments)]
        try:
            tell(lambda: super_resolve.main(arguments), code=2)
        except SystemExit as end:
            code = end.code
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    def result(self, name):
        with Image.open(self.folder / "super_resolved" / name) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")
            return np.asarray(image)

    def report(self):
        with open("super_resolved/report.csv", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def results(self):
        return sorted(
            p.relative_to("super_resolved").as_posix()
            for p in Path("super_resolved").rglob("*_sr.png")
        )
