"""Pictures to prepare, runs of `prepare.py`, and what they leave."""

import csv
import io
import os
import subprocess
import sys

import cv2
import numpy as np
from PIL import Image
from project import ROOT

import prepare


def noise(shape, seed):
    """A picture whose every square is different, smooth enough for JPEG."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (shape[0] // 8, shape[1] // 8, 3), dtype=np.uint8)
    return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def write_table(path, header, rows):
    path.parent.mkdir(exist_ok=True)
    lines = [header] + [f'"{name}",' + ",".join(map(str, numbers)) for name, numbers in rows]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode())


def through_jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return np.asarray(Image.open(file))


def constants_of(monkeypatch, output):
    """Return a function that sets constants of prepare.py for one test; one process."""

    def set_constants(**values):
        for name, value in {"OUTPUT_DIR": output, "PROCESSES": 1, **values}.items():
            monkeypatch.setattr(prepare, name, value)

    return set_constants


def run_script(source, output, setup=""):
    values = {"SOURCE_DIR": str(source), "OUTPUT_DIR": str(output), "FACES": "cropped"}
    code = f"import prepare\nvars(prepare).update({values!r}, PROCESSES=2)\n{setup}\nprepare.main()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def rows_of(output):
    with open(output / "manifest.csv", encoding="utf-8", newline="") as file:
        return {row["source"]: row for row in csv.DictReader(file)}


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
