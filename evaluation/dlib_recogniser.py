"""dlib's face recogniser, which the losses never use: the unseen judge of `evaluate.py`.

Optional: `pip install dlib-bin face-recognition-models`. This file imports no TensorFlow, so that
the processes that share its work start quickly.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed

FACES_PER_TASK = 8


def is_installed():
    """Whether dlib and its weights are there."""
    return all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))


def describe(pixels, face_box):
    """Embed faces, on all CPU cores.

    Each picture is aligned as dlib wants it, by five landmarks found in that picture alone.

    Args:
        pixels: uint8 RGB (N, H, W, 3).
        face_box: left, top, right and bottom of the face, as fractions of width and height, where
            the landmarks are looked for.

    Returns:
        float32 (N, 128).
    """
    starts = range(0, len(pixels), FACES_PER_TASK)
    parts = Parallel(n_jobs=cpu_count())(
        delayed(_describe)(pixels[start : start + FACES_PER_TASK], face_box) for start in starts
    )
    return np.concatenate(parts)


def _describe(pixels, face_box):
    dlib, find_landmarks, network = _load()
    height, width = pixels.shape[1:3]
    left, top, right, bottom = face_box
    box = dlib.rectangle(
        round(left * width), round(top * height), round(right * width), round(bottom * height)
    )
    chips = [
        dlib.get_face_chip(picture, find_landmarks(picture, box), size=150, padding=0.25)
        for picture in pixels
    ]
    return np.array(network.compute_face_descriptor(chips), np.float32)


@functools.cache
def _load():
    import dlib

    # Found, not imported: importing the package needs a setuptools older than 81.
    package = Path(importlib.util.find_spec("face_recognition_models").origin).parent
    models = package / "models"
    return (
        dlib,
        dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat")),
        dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat")),
    )
