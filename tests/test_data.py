import numpy as np
import pytest
import tensorflow as tf

import data
from data import Degradation, degrade

# --- Degradation ---


def test_faces_and_pixels_are_inverse():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    faces = data.to_faces(pixels)
    assert float(tf.reduce_min(faces)) == -1.0
    assert float(tf.reduce_max(faces)) == 1.0
    np.testing.assert_array_equal(data.to_pixels(faces), pixels)


@pytest.mark.parametrize("size", data.LOW_RESOLUTIONS)
def test_degraded_faces_stay_in_range_although_bicubic_overshoots(size):
    checkers = np.indices((128, 128)).sum(axis=0) // 9 % 2 * 2.0 - 1.0
    faces = tf.constant(np.stack([checkers] * 3, axis=-1), tf.float32)
    lr_faces = degrade(faces, size)
    assert lr_faces.shape == (128, 128, 3)
    assert -1.0 <= float(tf.reduce_min(lr_faces)) <= float(tf.reduce_max(lr_faces)) <= 1.0
    raw = tf.image.resize(tf.image.resize(faces, (32, 32), "bicubic"), (128, 128), "bicubic")
    assert float(tf.reduce_max(tf.abs(raw))) > 1.0  # what clipping is needed for


def test_height_comes_before_width():
    # Stripes along the rows survive many rows of few columns, not the other way round.
    stripes = tf.constant(
        np.tile((np.arange(128) // 8 % 2 * 2.0 - 1.0)[:, None, None], (1, 128, 3))
    )
    stripes = tf.cast(stripes, tf.float32)
    tall, wide = degrade(stripes, (64, 8)), degrade(stripes, (8, 64))
    assert float(tf.math.reduce_std(tall)) > 0.8
    assert float(tf.math.reduce_std(wide)) < 0.2


def test_antialiasing_averages_what_the_original_skips():
    # One-pixel stripes: a camera sees grey; without antialiasing single rows are picked.
    rows = np.arange(128) % 2 * 2.0 - 1.0
    stripes = tf.cast(np.tile(rows[:, None, None], (1, 128, 3)), tf.float32)
    assert float(tf.reduce_max(tf.abs(degrade(stripes, (16, 16))))) < 0.05
    shifted = tf.roll(stripes, 1, axis=0)
    aliased = degrade(tf.where(shifted > 0, 1.0, stripes * 0.5), (15, 15), antialias=False)
    assert float(tf.reduce_max(tf.abs(aliased))) > 0.5


@pytest.mark.parametrize("eight_bits", [True, False])
@pytest.mark.parametrize("antialias", [True, False])
def test_the_degradation_is_that_of_tensorflow_and_rounds_to_8_bits(
    sample_faces, antialias, eight_bits
):
    hr_faces = sample_faces[0][:2]
    small = tf.image.resize(hr_faces, (11, 8), "bicubic", antialias=antialias)
    small = tf.clip_by_value(small, -1.0, 1.0)
    if eight_bits:
        small = data.to_faces(data.to_pixels(small))
    # With antialiasing, enlarging is the same but computed without a table of rounded weights.
    expected = tf.image.resize(small, (128, 128), "bicubic", antialias=True)
    lr_faces = degrade(hr_faces, (11, 8), antialias, eight_bits)
    difference = np.abs(lr_faces - tf.clip_by_value(expected, -1.0, 1.0))
    # A rounding that falls the other way moves a small pixel by one level.
    assert difference.max() < (1e-5 if antialias and not eight_bits else 1.2 / 127.5)
    assert difference.mean() < 1e-3


def test_every_face_of_a_batch_has_its_own_low_resolution(sample_faces):
    hr_faces, sizes = sample_faces[0][:3], [(7, 6), (32, 32), (112, 96)]
    mixed = Degradation(128, sizes)(hr_faces, np.int32(sizes))
    for face, size, lr_face in zip(hr_faces, sizes, mixed, strict=True):
        np.testing.assert_allclose(lr_face, degrade(face, size), atol=1e-5)


def test_a_low_resolution_that_was_not_foreseen_is_no_flat_face(sample_faces):
    degradation = Degradation(128, [(7, 6), (32, 32)])
    for size in ((8, 6), (31, 32), (33, 32), (128, 32)):
        assert np.isnan(degradation(sample_faces[0][:1], np.int32([size]))).all()


# --- Correction ---


def test_a_corrected_face_says_what_its_input_says(sample_faces):
    hr_faces, sizes = sample_faces[0][:4], [(7, 6), (16, 16), (32, 32), (112, 96)]
    low_resolutions = np.int32(sizes)
    degradation = Degradation(128, sizes)
    lr_faces = degradation(hr_faces, low_resolutions)
    wrong = np.clip(hr_faces * 0.7 + 0.1, -1, 1)  # a network's mistake in colour and contrast
    corrected = degradation.correct(wrong, lr_faces, low_resolutions)
    for face, size in enumerate(sizes):
        differences = (degrade(x[face], size) - lr_faces[face] for x in (wrong, corrected))
        before, after = (127.5 * np.abs(difference).mean() for difference in differences)
        assert after < 0.15 * before


def test_the_correction_of_an_hr_face_given_as_input_is_that_face(sample_faces):
    hr_faces, low_resolutions = sample_faces[0][:2], np.int32([(128, 128)] * 2)
    degradation = Degradation(128, [(128, 128)])
    lr_faces = degradation(hr_faces, low_resolutions)
    corrected = degradation.correct(hr_faces * 0.0, lr_faces, low_resolutions)
    np.testing.assert_allclose(corrected, hr_faces, atol=1e-5)


def test_without_consistency_nothing_is_corrected(sample_faces):
    faces = sample_faces[0][:1]
    degradation = Degradation(128, [(16, 16)], consistent=False)
    assert degradation.correct(faces * 0.0, faces, np.int32([(16, 16)])) is not None
    np.testing.assert_array_equal(
        degradation.correct(faces * 0.0, faces, np.int32([(16, 16)])), faces * 0.0
    )


def test_the_correction_hands_gradients_on(sample_faces):
    lr_faces = tf.constant(sample_faces[0][:1])
    degradation, size = Degradation(128, [(16, 16)]), tf.constant([(16, 16)])
    sr_faces = tf.Variable(lr_faces * 0.5)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(degradation.correct(sr_faces, lr_faces, size))
    # What the input says of a face is not the network's to change: on average, nothing is left.
    gradient = tape.gradient(total, sr_faces)
    assert abs(float(tf.reduce_mean(gradient))) < 0.05
    with tf.GradientTape() as tape:
        one = degradation.correct(sr_faces, lr_faces, size)[0, 64, 64, 0]
    assert float(tape.gradient(one, sr_faces)[0, 64, 64, 0]) > 0.5


def test_training_draws_the_ten_sizes_of_the_original():
    import train

    assert train.LOW_RESOLUTIONS == data.LOW_RESOLUTIONS
