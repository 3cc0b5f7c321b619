"""dlib's face recogniser, which the losses never use, and its landmarks of faces.

Optional: `pip install dlib-bin face-recognition-models`. This file imports no TensorFlow, so that
the processes that share its work start quickly.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed

from imaging.opencv import cv2

FACES_PER_TASK = 8
ENLARGED = 4  # times: dlib rounds landmarks to whole pixels
# Of its 68 landmarks: eyes (the middle of six each), tip of the nose, corners of the mouth.
FIVE_OF_68 = (range(36, 42), range(42, 48), (30,), (48,), (54,))
INSTALL = "pip install dlib-bin face-recognition-models"


def is_installed():
    """Whether dlib and its weights are there."""
    return all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models"))


def find_own_landmarks(pixels, face_box):
    """Find the five landmarks by which dlib aligns faces: corners of the eyes, base of the nose.

    Args:
        pixels: uint8 RGB (N, H, W, 3).
        face_box: left, top, right and bottom of the face, as fractions of width and height, where
            the landmarks are looked for.

    Returns:
        int (N, 5, 2), x and y in pixels.
    """
    dlib, models = _dlib(), _models()
    find = _loaded(dlib.shape_predictor, models / "shape_predictor_5_face_landmarks.dat")
    box = _rectangle(pixels, face_box)
    return np.array([[(p.x, p.y) for p in find(face, box).parts()] for face in pixels])


def find_five_landmarks(pixels, face_box):
    """Find eyes, tip of the nose and corners of the mouth, see `alignment`; same arguments.

    Returns:
        float (N, 5, 2), x and y in pixels.
    """
    dlib, models = _dlib(), _models()
    find = _loaded(dlib.shape_predictor, models / "shape_predictor_68_face_landmarks.dat")
    height, width = pixels.shape[1:3]
    found = []
    for face in pixels:
        large = cv2.resize(
            face, (width * ENLARGED, height * ENLARGED), interpolation=cv2.INTER_CUBIC
        )
        shape = find(large, _rectangle(large[None], face_box))
        points = np.array([(p.x, p.y) for p in shape.parts()], float)
        points = (points + 0.5) / ENLARGED - 0.5
        found.append([points[list(places)].mean(axis=0) for places in FIVE_OF_68])
    return np.array(found)


def describe(pixels, landmarks, flip=False):
    """Embed faces, on all CPU cores.

    Args:
        pixels: uint8 RGB (N, H, W, 3).
        landmarks: int (N, 5, 2), see `find_own_landmarks`.
        flip: whether the mean with the embedding of the mirrored face is taken.

    Returns:
        float32 (N, 128).
    """
    parts = Parallel(n_jobs=cpu_count())(
        delayed(_describe)(pixels[i : i + FACES_PER_TASK], landmarks[i : i + FACES_PER_TASK], flip)
        for i in range(0, len(pixels), FACES_PER_TASK)
    )
    return np.concatenate(parts)


def _describe(pixels, landmarks, flip):
    dlib = _dlib()
    network = _loaded(
        dlib.face_recognition_model_v1, _models() / "dlib_face_recognition_resnet_model_v1.dat"
    )
    whole = _rectangle(pixels, (0, 0, 1, 1))
    shapes = [
        dlib.full_object_detection(
            whole, dlib.points([dlib.point(int(x), int(y)) for x, y in five])
        )
        for five in landmarks
    ]
    chips = [
        dlib.get_face_chip(np.ascontiguousarray(face), shape, size=150, padding=0.25)
        for face, shape in zip(pixels, shapes, strict=True)
    ]
    described = np.array(network.compute_face_descriptor(chips), np.float32)
    if flip:
        mirrored = [np.ascontiguousarray(chip[:, ::-1]) for chip in chips]
        described += np.array(network.compute_face_descriptor(mirrored), np.float32)
        described /= 2
    return described


def _rectangle(pixels, face_box):
    height, width = pixels.shape[1:3]
    left, top, right, bottom = face_box
    return _dlib().rectangle(
        round(left * width), round(top * height), round(right * width), round(bottom * height)
    )


def _dlib():
    import dlib

    return dlib


def _models():
    # Found, not imported: importing the package needs a setuptools older than 81.
    return Path(importlib.util.find_spec("face_recognition_models").origin).parent / "models"


@functools.cache
def _loaded(kind, path):
    return kind(str(path))
