import json
import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
from restoring import identity_network

from data import Degradation, degrade, to_faces, to_pixels
from inference.super_resolver import SuperResolver, enlarge, without_padding


@pytest.mark.parametrize("size", [(16, 16), (32, 32)])
def test_pictures_are_enlarged_as_the_training_enlarges_them(sample_faces, size):
    hr_faces = sample_faces[0]
    small = tf.image.resize(hr_faces, size, "bicubic", antialias=True)
    from_picture = enlarge(to_pixels(small)).numpy()
    # The picture was rounded to 8 bits, and bicubic kernels overshoot by a little.
    assert np.abs(from_picture - degrade(hr_faces, size).numpy()).max() < 1.5 / 127.5


def test_larger_pictures_are_reduced_without_aliasing():
    noise = np.random.default_rng(0).integers(0, 256, (1, 512, 512, 3), dtype=np.uint8)
    # Each value stands for 16 pixels: a quarter of their deviation of 0.58 is left.
    assert enlarge(noise).numpy().std() == pytest.approx(0.58 / 4, abs=0.05)


def test_padding_repeats_the_edge_and_is_cut_off_again():
    picture = np.zeros((1, 8, 4, 3), np.uint8)
    picture[:, :, 0] = 255
    face = enlarge(picture)[0].numpy()
    assert (face[:, :28] > 0.999).all()
    assert (face[:, 64:] < -0.99).all()
    cut = without_padding(face, 8, 4)
    np.testing.assert_array_equal(cut, face[:, 32:96])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, 1), (128, 128)),
        ((7, 6), (128, 110)),
        ((6, 7), (110, 128)),
        ((400, 500), (102, 128)),
        ((128, 128), (128, 128)),
        ((1, 300), (1, 128)),
        ((129, 2), (128, 2)),
    ],
)
def test_every_size_gives_a_face_of_its_proportions(before, after):
    picture = np.full((*before, 3), 200, np.uint8)
    face = to_pixels(enlarge(picture[None]))[0].numpy()
    assert face.shape == (128, 128, 3)
    assert np.abs(face.astype(int) - 200).max() <= 1
    assert without_padding(face, *before).shape == (*after, 3)


def test_the_result_does_not_depend_on_the_batch():
    network = keras.Sequential([keras.Input((128, 128, 3)), keras.layers.Conv2D(3, 3, 1, "same")])
    pictures = list(np.random.default_rng(0).integers(0, 256, (5, 9, 9, 3), dtype=np.uint8))
    _, together = SuperResolver(network)(pictures)
    alone = [SuperResolver(network)([picture])[1][0] for picture in pictures]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(
    ("constants", "options"),
    [
        (None, (True, True, True)),
        ({"ANTIALIAS": True}, (True, False, False)),
        ({"ANTIALIAS": False, "EIGHT_BITS": True, "CONSISTENT": True}, (False, True, True)),
    ],
)
def test_a_network_is_used_as_it_was_trained(tmp_path, constants, options):
    path = tmp_path / "model.keras"
    path.write_bytes(identity_network())
    if constants:
        config = {"constants": constants, "recipe": {}}
        (tmp_path / "config.json").write_text(json.dumps(config))
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    degradation, sizes = Degradation(128, [(16, 12)], *options), np.int32([(16, 12)])
    expected = degradation(to_faces(picture[None]), sizes)
    lr_faces, sr_faces = SuperResolver.of(str(path))([picture], (16, 12))
    np.testing.assert_allclose(lr_faces, expected, atol=1e-6)
    np.testing.assert_allclose(sr_faces, degradation.correct(expected, expected, sizes), atol=1e-5)
    assert (np.abs(sr_faces - lr_faces).max() > 0.01) == options[2]


def test_larger_pictures_are_reduced_to_a_resolution_in_the_square_around_them():
    network = keras.Sequential([keras.Input((128, 128, 3)), keras.layers.Activation("linear")])
    tall = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    square = np.concatenate([tall[:, :1].repeat(32, 1), tall, tall[:, -1:].repeat(32, 1)], 1)
    super_resolve = SuperResolver(network)
    for picture in (square, tall):
        (lr_face,), _ = super_resolve([picture], (16, 12))
        np.testing.assert_allclose(lr_face, degrade(to_faces(square), (16, 12)), atol=1e-6)
    for shape, low, expected in (
        ((16, 12), (16, 12), (16, 12)),  # its own
        ((12, 16), (16, 12), (16, 12)),
        ((9, 14), (20, 13), (14, 13)),  # no more than the square has
        ((300, 400), (200, 100), (128, 100)),
    ):
        assert super_resolve.taken_for(np.zeros((*shape, 3)), low) == expected


def test_only_the_sizes_that_come_take_memory():
    network = keras.Sequential([keras.Input((256, 256, 3)), keras.layers.Activation("linear")])
    tracemalloc.start()
    SuperResolver(network)([np.zeros((9, 9, 3), np.uint8)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # matrices of 256 sizes are 200 MB


def test_each_picture_is_corrected_at_the_resolution_of_its_padded_square():
    network = keras.Sequential([keras.Input((128, 128, 3)), keras.layers.Activation("tanh")])
    shapes, sides = [(16, 12), (7, 7), (3, 200)], [16, 7, 128]
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    lr_faces, corrected = SuperResolver(network)(pictures)
    _, sr_faces = SuperResolver(network, consistent=False)(pictures)
    np.testing.assert_array_equal(sr_faces, network(lr_faces))
    for i, side in enumerate(sides):
        size, own = [(side, side)], slice(i, i + 1)
        correct = Degradation(128, size).correct
        expected = correct(sr_faces[own], lr_faces[own], np.int32(size))
        np.testing.assert_allclose(corrected[own], expected, atol=1e-5)
        assert np.abs(corrected[own] - sr_faces[own]).max() > 0.01
