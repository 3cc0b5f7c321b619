from hardware.convolutions import with_fast_convolutions

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from model import build_unet


@pytest.fixture(scope="module", params=["float32", "mixed_bfloat16"])
def networks(request):
    """A network with each kind of layer of the U-Net, and its copy with fast convolutions."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    try:
        inputs = keras.Input((16, 12, 3))
        x = layers.Conv2D(8, 4, 2, "same", use_bias=False, name="a")(inputs)
        x = layers.BatchNormalization()(x)
        x = layers.Conv2D(5, 4, 2, "same", use_bias=False, name="b")(x)
        x = layers.Conv2DTranspose(7, 4, 2, "same", use_bias=False, name="c")(x)
        x = layers.Dropout(0.5, seed=0)(x)
        x = layers.Conv2DTranspose(3, 4, 2, "same", name="d")(x)
        network = keras.Model(inputs, layers.Activation("tanh", dtype="float32")(x))
        return network, with_fast_convolutions(network)
    finally:
        keras.config.set_dtype_policy(policy)


def test_outputs_and_gradients_are_those_of_keras(networks):
    plain, fast = networks
    tolerance = 1e-6 if plain.compute_dtype == "float32" else 3e-2  # some CPUs add up in 16 bits
    faces = tf.random.stateless_uniform((3, 16, 12, 3), (0, 0), -1.0, 1.0)
    results = []
    for network in (plain, fast):
        with tf.GradientTape() as tape:
            tape.watch(faces)
            outputs = network(faces, training=True)
            loss = tf.reduce_mean(tf.square(outputs - faces))
        gradients = tape.gradient(loss, [faces, *network.trainable_variables])
        results.append([outputs, *gradients])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * np.abs(a).max())
        assert np.abs(a).max() > 0.0


def test_the_copy_has_the_same_variables_in_the_same_order(networks):
    plain, fast = networks
    assert [v.path for v in plain.weights] == [v.path for v in fast.weights]
    for a, b in zip(plain.variables, fast.variables, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "other", [{"strides": 1}, {"padding": "valid"}, {"activation": "relu"}, {"kernel_size": 3}]
)
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.Conv2DTranspose])
def test_other_convolutions_are_left_as_they_are(kind, other):
    options = {"kernel_size": 4, "strides": 2, "padding": "same", "use_bias": False} | other
    inputs = keras.Input((16, 16, 3))
    network = keras.Model(inputs, kind(5, **options)(inputs))
    assert type(with_fast_convolutions(network).layers[-1]) is kind


def test_every_convolution_of_the_unet_but_the_last_is_replaced():
    unet = build_unet()
    fast = with_fast_convolutions(unet)
    kept = [
        layer.name
        for layer in fast.layers
        if type(layer) in (layers.Conv2D, layers.Conv2DTranspose)
    ]
    assert kept == ["up_7_conv"]
