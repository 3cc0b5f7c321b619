from hardware.precision import use_cpu_alone, use_hardware

import keras
import pytest
import tensorflow as tf

from errors import Mistake


@pytest.fixture
def used_before(monkeypatch):
    """TensorFlow has a GPU and was used already, as in a notebook; the calls that it refuses."""
    refused = []

    def refuse(*arguments):
        refused.append(arguments)
        raise RuntimeError("cannot be modified after being initialized")

    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu])
    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {})
    return refused


def test_tensorflow_may_have_been_used_before(used_before, monkeypatch):
    assert use_hardware("float32") == ("float32", "GPU (GPUs: 1)")
    rounding = []
    monkeypatch.setattr(tf.config.experimental, "enable_tensor_float_32_execution", rounding.append)
    use_cpu_alone()
    assert len(used_before) == 2
    assert rounding == [False]


def test_number_formats_and_layouts_of_the_user_are_overruled():
    before = keras.config.floatx(), keras.config.image_data_format()
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    try:
        use_hardware("float32")
        layer = keras.layers.Conv2D(1, 1)
        layer.build((None, 8, 8, 3))
        assert layer.kernel.shape == (1, 1, 3, 1)
        assert keras.Input((1,)).dtype == layer.kernel.dtype == "float32"
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_image_data_format(before[1])


def test_another_backend_that_keras_already_runs_on_is_named(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(Mistake, match="Keras already runs on jax"):
        use_hardware("float32")
