import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import narrow_unet

import train
from errors import Mistake
from training.constants import check


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAMPLE_RESOLUTIONS", ((7, 0),)),
        ("SAMPLE_RESOLUTIONS", (16, 16)),
        ("FACENET_WEIGHTS", None),
        ("IMAGE_SIZE", 160),
        ("SMALLEST_CROP", 1.5),
        ("EMBEDDING_WEIGHT", -0.1),
        ("EMBEDDING_PARTS", ((7, 6), 0.25)),
        ("EMBEDDING_PARTS", (((7, 6), 2.0),)),
        ("EMBEDDING_PARTS", (((7, 6), 0.25), ([7, 6], 0.25))),
        ("LEARNING_RATE", "fast"),
        ("PRECISION", "float8"),
        ("XLA", 0),
    ],
)
def test_constants_that_cannot_work_are_named(monkeypatch, name, value):
    monkeypatch.setattr(train, name, value)
    with pytest.raises(Mistake, match=f"{name} must be .*, not {re.escape(repr(value))}"):
        check(vars(train))


def test_a_low_resolution_above_the_size_of_the_faces_is_named(monkeypatch):
    for name in ("LOW_RESOLUTIONS", "SAMPLE_RESOLUTIONS"):
        monkeypatch.setattr(train, name, ((128, 128), (16, 129)))
        with pytest.raises(Mistake, match=f"{name} has 16x129, .* larger .* IMAGE_SIZE = 128"):
            check(vars(train))
        monkeypatch.undo()


def test_a_batch_of_one_face_is_refused_where_it_teaches_the_innermost_layer_nothing(monkeypatch):
    unet = narrow_unet(monkeypatch)
    faces = np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).astype("f")
    inner = keras.Model(unet.input, unet.get_layer("down_7_norm").output)
    spread = [float(tf.math.reduce_std(inner(faces[:n], training=True))) for n in (1, 2)]
    assert spread[0] < 1e-3 < 0.1 < spread[1]
    monkeypatch.setattr(train, "BATCH_SIZE", 1)
    with pytest.raises(Mistake, match="BATCH_SIZE must be at least 2"):
        check(vars(train))
    monkeypatch.setattr(train, "IMAGE_SIZE", 256)  # whose innermost layer has 2x2 pixels
    check(vars(train))
