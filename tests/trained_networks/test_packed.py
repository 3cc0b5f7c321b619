import json
import shutil
import zipfile
import zlib

import keras
import numpy as np
import pytest
from networks import narrow_unet

from errors import Mistake
from trained_networks import finding, load_network, newest_network, read_people, take_weights
from trained_networks.packed import SCALE, STEP, packed_weights, read_packed, write_packed


@pytest.fixture
def unet(monkeypatch):
    """The narrow U-Net; all that batch norm learns is something else than 0 and 1."""
    unet = narrow_unet(monkeypatch)
    draw = np.random.default_rng(0).uniform
    unet.set_weights([w + draw(0.0, 0.1, w.shape).astype("f") for w in unet.get_weights()])
    return unet


@pytest.fixture
def packed(unet, tmp_path):
    write_packed(tmp_path / "ipunet.npz", unet)
    return tmp_path / "ipunet.npz"


def test_a_packed_network_has_kernels_within_half_a_step_and_all_else_as_it_was(unet, packed):
    with np.load(packed, allow_pickle=False) as file:
        arrays = dict(file)
    network, rounded = load_network(packed), []
    assert network.input_shape == (None, 128, 128, 3)
    for layer in unet.layers:
        for weight in layer.weights:
            (again,) = (w for w in network.get_layer(layer.name).weights if w.name == weight.name)
            before, after = map(keras.ops.convert_to_numpy, (weight, again))
            name = f"{layer.name}/{weight.name}"
            if name + SCALE not in arrays:
                np.testing.assert_array_equal(after, before)
                continue
            assert weight.name == "kernel"
            if layer.name in ("down_7_conv", "up_1_conv"):
                before, after = before[1:3, 1:3], after[1:3, 1:3]
            kernel = np.frombuffer(zlib.decompress(arrays[name]), np.int8)
            step = arrays[name + SCALE]
            assert (kernel.size, step.dtype) == (before.size, "float32")
            assert step.size == before.shape[2 if "up" in layer.name else 3] == max(step.shape)
            assert np.all(np.abs(after - before) <= 0.501 * step)
            rounded.append(name)
    assert len(rounded) >= 8  # the narrow network has smaller kernels, too


def rounded_kernel(channel, step):
    """Return the int8 numbers and the steps of a kernel of 2**15 weights, half of them zeros."""
    layer = keras.layers.Conv2D(2, 4, 2, "same")
    unet = keras.Sequential([keras.Input((128, 128, 1 << 10)), layer])
    layer.set_weights([np.stack([channel, np.zeros_like(channel)], -1), np.ones(2)])
    arrays = packed_weights(unet, step)
    name = f"{layer.name}/kernel"
    kernel = np.frombuffer(zlib.decompress(arrays[name]), np.int8).reshape(4, 4, -1, 2)
    return kernel, arrays[name + SCALE].ravel()


def test_the_step_is_a_fraction_of_what_the_weights_of_an_output_channel_are():
    channel = np.full((4, 4, 1 << 10), -0.5, "f")  # a root mean square of 0.5
    kernel, steps = rounded_kernel(channel, step=4.0)  # for 2**23 weights; 1/16 of that for 2**15
    np.testing.assert_allclose(steps, [0.125, 1.0])
    np.testing.assert_array_equal(kernel, [[[[-4, 0]] * (1 << 10)] * 4] * 4)


def test_a_weight_far_from_the_others_is_kept():
    channel = np.full((4, 4, 1 << 10), 0.001, "f")
    channel[0, 0, 0] = 50.8
    kernel, steps = rounded_kernel(channel, step=1.0)
    np.testing.assert_allclose(steps, [0.4, 1.0], rtol=1e-5)
    assert kernel[0, 0, 0, 0] == 127


def test_weights_that_never_meet_a_pixel_cost_nothing(unet):
    faces = np.random.default_rng(0).uniform(-1, 1, (1, 128, 128, 3)).astype("f")
    before, arrays = unet(faces, training=False), packed_weights(unet)
    for name in ("down_7_conv", "up_1_conv"):
        kernel = unet.get_layer(name).get_weights()[0].copy()
        middle = kernel[1:3, 1:3].copy()
        kernel[:] = 9.0
        kernel[1:3, 1:3] = middle
        unet.get_layer(name).kernel.assign(kernel)
    np.testing.assert_array_equal(unet(faces, training=False), before)
    for name, array in packed_weights(unet).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_the_same_network_is_packed_into_the_same_bytes(unet, packed, tmp_path):
    write_packed(tmp_path / "again.npz", unet)
    assert (tmp_path / "again.npz").read_bytes() == packed.read_bytes()
    write_packed(tmp_path / "coarse.npz", unet, step=2 * STEP)
    assert (tmp_path / "coarse.npz").stat().st_size < packed.stat().st_size


def changed(path, **arrays):
    """Write a packed network anew, with other arrays."""
    with np.load(path) as file:
        np.savez(path, **{**file, **arrays})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-99]), "is not a whole .npz file"),
        (lambda p: p.write_bytes(b"PK\3\4"), "is not a whole .npz file"),
        (lambda p: p.write_bytes(b""), "is not a whole .npz file"),
        (lambda p: flip(p), "is not a whole .npz file"),
        (lambda p: np.savez(p, weights=np.zeros(3)), "is no packed network: name a .keras file"),
        (lambda p: np.savez(p, format=np.array("other")), "is no packed network"),
        (lambda p: changed(p, image_size=np.array(100)), "is damaged: image_size must be"),
        (lambda p: changed(p, image_size=np.zeros(3)), "is damaged"),
        (lambda p: changed(p, **{"up_7_conv/bias": np.zeros(4, "f")}), "of another U-Net than mod"),
        (lambda p: changed(p, **{"up_2_conv/kernel": np.ones(9, "u1")}), "of another U-Net than"),
        (lambda p: changed(p, **{"up_7_conv/bias": np.full(3, np.nan, "f")}), "of finite float32"),
    ],
)
def test_a_damaged_or_foreign_file_is_named_in_one_line(packed, damage, message):
    damage(packed)
    with pytest.raises(Mistake, match=r"ipunet\.npz .*" + message) as raised:
        load_network(packed)
    assert "\n" not in str(raised.value)
    assert read_people(packed) in ({}, None)


def flip(path):
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        data[archive.getinfo("down_3_conv/kernel.npy").header_offset + 200] ^= 255
    path.write_bytes(data)


def test_a_network_of_output_comes_before_the_shipped_one(packed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(finding, "PRETRAINED", packed)
    assert newest_network() == packed
    assert finding.shown_network(packed).endswith("(of the repository, trained beforehand)")
    with pytest.raises(Mistake, match="no trained network in other"):
        newest_network("other")  # which the user named
    trained = tmp_path / "output" / "run" / "model.keras"
    trained.parent.mkdir(parents=True)
    trained.touch()
    assert str(newest_network()) == "output/run/model.keras"
    assert finding.shown_network(newest_network()) == "output/run/model.keras"
    assert newest_network(packed) == packed
    shutil.rmtree("output")
    packed.unlink()
    with pytest.raises(Mistake, match=r"in output: run train\.py first"):
        newest_network()


def test_a_training_can_start_from_a_packed_network(unet, packed):
    before = read_packed(packed).get_weights()
    take_weights(unet, packed)
    for ours, theirs in zip(unet.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_packed_network_is_in_float32_whatever_is_computed_in(packed):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = load_network(packed)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_people_stay_known_in_a_packed_network_without_their_names(unet, tmp_path):
    from trained_networks import names_of
    from trained_networks.people import without_names

    known = {"faces": "2 files, 00", "people": {"part/Ann": "100 aa", "Bob": None}}
    write_packed(tmp_path / "a.npz", unet, without_names(known))
    people = read_people(tmp_path / "a.npz")
    assert people["faces"] == "2 files, 00"
    assert set(people["people"].values()) == {"100 aa", None}
    assert "Ann" not in json.dumps(people)
    called = names_of(people["people"])
    assert [called(name) for name in ("Ann", "Bob", "Cid")] == [True, True, False]
    assert without_names(people) == people  # of a training that started from it
    write_packed(tmp_path / "b.npz", unet, without_names({}))
    assert read_people(tmp_path / "b.npz") == {}
