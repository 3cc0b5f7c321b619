import numpy as np
import tensorflow as tf

import losses


def test_pixel_loss_is_the_mean_absolute_error():
    # |0.5| + |-1| + 0 + 0 over 4 values; the squared error would give 0.3125.
    sr = tf.constant([0.5, -1.0, 0.0, 1.0])
    hr = tf.constant([0.0, 0.0, 0.0, 1.0])
    assert float(losses.pixel_loss(sr, hr)) == 0.375


def test_the_raw_embedding_loss_is_the_mean_squared_error():
    # (3^2 + 1^2 + 0 + 0) / 4; the absolute error would give 1.
    sr = tf.constant([[3.0, 0.0], [0.0, 2.0]])
    hr = tf.constant([[0.0, 1.0], [0.0, 2.0]])
    assert float(losses.embedding_loss(sr, hr, unit_length=False)) == 2.5


def test_the_embedding_loss_is_that_of_the_angle_whatever_lengths_and_dimensions_are():
    # A right angle costs 2.
    for sr, hr in (([[3.0, 0.0]], [[0.0, 0.5]]), ([[9.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 1.0]])):
        np.testing.assert_allclose(losses.embedding_loss(sr, hr), 2.0, rtol=1e-6)


def test_faces_count_by_their_parts():
    # A right angle costs 2, the same direction nothing; a half and all of them, over 2 faces.
    sr = tf.constant([[3.0, 0.0], [1.0, 0.0]])
    hr = tf.constant([[0.0, 1.0], [0.0, 1.0]])
    parts = tf.constant([0.5, 1.0])
    np.testing.assert_allclose(losses.embedding_loss(sr, hr, parts=parts), 1.5, rtol=1e-6)
    np.testing.assert_allclose(losses.embedding_loss(sr, hr), 2.0, rtol=1e-6)


def test_parts_are_those_of_the_low_resolution_and_others_count_in_full():
    low_resolutions = tf.constant([[7, 6], [6, 7], [16, 16], [112, 96]])
    parts = losses.identity_parts(low_resolutions, (((7, 6), 0.25), ((112, 96), 0.0)))
    np.testing.assert_array_equal(parts, [0.25, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(losses.identity_parts(low_resolutions, ()), np.ones(4))


def test_an_embedding_of_zeros_has_a_gradient():
    embeddings = tf.Variable([[0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.embedding_loss(embeddings, tf.constant([[1.0, 1.0]]))
    assert np.isfinite(tape.gradient(loss, embeddings)).all()


def test_equal_inputs_cost_nothing():
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 8)))
    assert float(losses.pixel_loss(x, x)) == 0.0
    assert float(losses.embedding_loss(x, x)) == 0.0


def test_total_loss_weighs_its_terms():
    assert losses.total_loss(2.0, 3.0, pixel_weight=5.0, embedding_weight=0.5) == 11.5


def test_the_target_embedding_gets_no_gradient():
    sr, hr = tf.Variable([[1.0, 2.0]]), tf.Variable([[0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.embedding_loss(sr, hr, unit_length=False)
    sr_gradient, hr_gradient = tape.gradient(loss, [sr, hr])
    np.testing.assert_allclose(sr_gradient, [[1.0, 2.0]])
    assert hr_gradient is None
