import keras
import numpy as np
import pytest

from facenet import FaceNet, WeightsError, fitting, weights
from model import build_unet


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_the_networks_are_what_they_are_under_every_configuration_of_keras(layout, facenet):
    faces = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, 3)).astype(np.float32)
    expected = facenet(faces), build_unet(seed=0)(faces, training=False)
    before = keras.config.floatx(), keras.config.image_data_format()
    keras.config.set_image_data_format(layout)
    keras.config.set_floatx("float16")
    try:
        found = FaceNet()(faces), build_unet(seed=0)(faces, training=False)
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_image_data_format(before[1])
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_file_is_blamed_for_an_error_of_the_machine(monkeypatch):
    def fail(*arguments):
        raise ValueError("no such backend")

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "build_inception_resnet_v1", fail)
        with pytest.raises(WeightsError) as caught:
            FaceNet()
    expected = "FaceNet cannot be built on this machine: ValueError no such backend"
    assert str(caught.value) == expected

    def exhaust(*arguments):
        raise MemoryError

    monkeypatch.setattr(weights, "build_network", exhaust)
    with pytest.raises(WeightsError, match="^there is not enough memory to load .*npz$"):
        FaceNet()
