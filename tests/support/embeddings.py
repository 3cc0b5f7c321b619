"""A face and what a FaceNet has to make of it."""

import functools

import numpy as np
from PIL import Image
from project import SAMPLES


@functools.cache
def sample_pixels():
    """A face at the size at which nothing is resampled, uint8 (1, 160, 160, 3)."""
    with Image.open(SAMPLES / "n000041" / "0001_01.jpg") as image:
        return np.asarray(image.resize((160, 160)))[None]


def assert_same_embeddings(facenet, expected):
    """Relative errors: at most 1e-4 of raw and 1e-5 of normalised embeddings."""
    faces = sample_pixels().astype(np.float32) / 127.5 - 1.0
    embeddings = np.asarray(facenet(faces), float)
    norms = np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.linalg.norm(embeddings - expected, axis=1).max() <= 1e-4 * norms.min()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert np.linalg.norm(unit - expected / norms, axis=1).max() <= 1e-5
