import keras
import numpy as np
import pytest

from model import build_unet, start_from_input


@pytest.fixture(scope="module")
def unet():
    return build_unet(seed=0)


def test_the_unet_has_the_published_number_of_parameters(unet):
    assert unet.count_params() == 48_659_459


def test_every_step_halves_or_doubles_the_face(unet):
    def shape(name):
        return tuple(unet.get_layer(name).output.shape[1:])

    down = [shape(f"down_{i}_relu") for i in range(1, 8)]
    up = [shape(f"up_{i}_relu") for i in range(1, 7)]
    assert down == [
        (64, 64, 64),
        (32, 32, 128),
        (16, 16, 256),
        (8, 8, 512),
        (4, 4, 512),
        (2, 2, 512),
        (1, 1, 512),
    ]
    assert up == [
        (2, 2, 512),
        (4, 4, 512),
        (8, 8, 512),
        (16, 16, 512),
        (32, 32, 256),
        (64, 64, 128),
    ]
    assert shape("up_7_conv") == (128, 128, 3)


def test_skips_join_steps_of_equal_size(unet):
    for i, depth in enumerate((1024, 1024, 1024, 768, 384, 192), start=1):
        assert unet.get_layer(f"skip_{i}").output.shape[-1] == depth


def test_the_first_convolution_has_no_batch_norm_and_only_the_last_has_a_bias(unet):
    names = {layer.name for layer in unet.layers}
    assert "down_1_norm" not in names
    assert {f"down_{i}_norm" for i in range(2, 8)} <= names
    convolutions = [layer for layer in unet.layers if layer.name.endswith("_conv")]
    assert [layer.name for layer in convolutions if layer.use_bias] == ["up_7_conv"]


def test_three_up_steps_drop_half(unet):
    dropouts = [layer for layer in unet.layers if isinstance(layer, keras.layers.Dropout)]
    assert [(layer.name, layer.rate) for layer in dropouts] == [
        (f"up_{i}_dropout", 0.5) for i in (1, 2, 3)
    ]


def test_the_output_is_a_face(unet):
    faces = np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).astype("float32")
    sr_faces = np.asarray(unet(faces, training=False))
    assert sr_faces.shape == (2, 128, 128, 3)
    assert sr_faces.dtype == np.float32
    assert np.abs(sr_faces).max() <= 1.0


def test_inference_does_not_depend_on_the_other_faces_of_a_batch(unet):
    faces = np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).astype("float32")
    both = np.asarray(unet(faces, training=False))
    single = np.asarray(unet(faces[:1], training=False))
    np.testing.assert_allclose(both[:1], single, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(unet):
    again = build_unet(seed=0)
    for a, b in zip(unet.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    weights = [w for w in again.get_weights() if w.ndim == 4]
    assert not np.array_equal(weights[4], weights[5])  # layers of equal shape, other numbers
    assert abs(weights[4].std() - 0.02) < 1e-4


def test_started_from_its_input_the_untrained_network_returns_the_face():
    unet = build_unet(seed=0)
    start_from_input(unet)
    faces = np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).astype("float32")
    sr_faces = np.asarray(unet(faces, training=False))
    np.testing.assert_allclose(sr_faces, np.tanh(1.2 * faces), atol=1e-5)
    # Only the first and the last layer are touched, and of the first what carries no pixels.
    for a, b in zip(unet.weights[1:-2], build_unet(seed=0).weights[1:-2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert abs(np.asarray(unet.weights[0])[..., 24:].std() - 0.02) < 1e-3


def test_larger_multiples_of_128_work_and_other_sizes_are_refused():
    assert build_unet(256).output_shape == (None, 256, 256, 3)
    for size in (0, 100, 160):
        with pytest.raises(ValueError, match="multiple of 128"):
            build_unet(size)


def test_the_output_is_float32_under_mixed_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        unet = build_unet()
    finally:
        keras.config.set_dtype_policy(policy)
    assert unet.get_layer("down_2_conv").compute_dtype == "bfloat16"
    assert unet.output.dtype == "float32"
