"""Damaged and foreign weight files are refused: clearly, quickly, in little memory."""

import functools
import io
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from facenet_files import (
    random_arrays,
    share_networks,
    torch_state,
    write_keras_2,
    write_keras_3,
    write_npz,
    write_torch_legacy,
    write_torch_zip,
)
from PIL import Image
from refusals import assert_refused

from facenet import EMBEDDED_WEIGHTS, FaceNet, WeightsError

KERNEL = "Block17_3_Branch_1_Conv2d_0b_1x7/kernel"
VARIANCE = "Bottleneck_BatchNorm/moving_variance"
TORCH_KERNEL = "repeat_2.2.branch1.1.conv.weight"
TORCH_VARIANCE = "last_bn.running_var"


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    share_networks(monkeypatch)


# --- Cut off ---


def write_state(write):
    return lambda path: write(path, torch_state(random_arrays(512)))


WHOLE = {
    "Keras 2": lambda path: write_keras_2(path, random_arrays()),
    "Keras 3": lambda path: write_keras_3(path, random_arrays()),
    "npz": lambda path: path.write_bytes(EMBEDDED_WEIGHTS.read_bytes()),
    "torch legacy": write_state(write_torch_legacy),
    "torch zip": write_state(write_torch_zip),
}


@functools.cache
def whole_file(kind):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.weights.h5"
        WHOLE[kind](path)
        return path.read_bytes()


@pytest.mark.parametrize("kind", WHOLE)
def test_files_cut_off_anywhere_are_refused(tmp_path, kind):
    path = tmp_path / "cut.h5"
    path.write_bytes(whole_file(kind))
    size = path.stat().st_size
    cuts = {*np.linspace(0, size - 1, 14).astype(int), 1, 4, 8, 100, 4096, size - 2}
    assert len(cuts) == 20
    with open(path, "r+b") as file:
        for cut in sorted(cuts, reverse=True):
            file.truncate(cut)
            assert_refused(path)


@pytest.mark.parametrize("kind", ["torch legacy", "torch zip"])
def test_files_with_something_behind_them_or_other_bytes_in_them(tmp_path, kind):
    path = tmp_path / "a.pt"
    content = bytearray(whole_file(kind))
    if kind == "torch legacy":
        path.write_bytes(content + b"more")
        assert_refused(path, "bytes long and should have")
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert_refused(path, "CRC")


# --- Arrays that do not fit ---


def without(arrays, name):
    return {key: array for key, array in arrays.items() if key != name}


def damage(arrays, kernel, variance, how):
    """Return (damaged copy of arrays, what the refusal must say)."""
    value = arrays[kernel]
    changes = {
        "missing": (without(arrays, kernel), "1 arrays missing .*{kernel}"),
        "renamed": (without(arrays, kernel) | {"other/kernel": value}, "missing|other"),
        "extra": (arrays | {"Extra/kernel": np.ones((4, 4), np.float32)}, "Extra"),
        "reshaped": (arrays | {kernel: value[:, :5].copy()}, "{kernel}.* shape"),
        "transposed": (arrays | {kernel: value.swapaxes(-4, -3).swapaxes(-2, -1)}, "{kernel}.*sh"),
        "integers": (arrays | {kernel: value.astype(np.int64)}, "{kernel} as int64"),
        "NaN": (arrays | {kernel: value * np.nan}, "{kernel} that are not finite"),
        "infinite": (
            arrays | {kernel: value.astype(float) * 1e300},
            "{kernel} that are not finite",
        ),
        "negative variance": (arrays | {variance: -arrays[variance]}, "negative variance in {var}"),
    }
    changed, message = changes[how]
    return changed, message.format(kernel=kernel, var=variance)


HOW = ("missing", "renamed", "extra", "reshaped", "transposed", "integers", "NaN", "infinite")
HOW += ("negative variance",)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("write", [write_npz, write_keras_2])
def test_arrays_that_do_not_fit_are_named(tmp_path, write, how):
    arrays, message = damage(random_arrays(), KERNEL, VARIANCE, how)
    path = tmp_path / "a.npz"
    write(path, arrays)
    assert_refused(path, message)


@pytest.mark.parametrize("how", [how for how in HOW if how != "transposed"])
@pytest.mark.parametrize("write", [write_torch_legacy, write_torch_zip])
def test_torch_arrays_that_do_not_fit_are_named_as_in_the_file(tmp_path, write, how):
    state = torch_state(random_arrays(512), with_rest=False)
    arrays, message = damage(state, TORCH_KERNEL, TORCH_VARIANCE, how)
    write(tmp_path / "a.pt", arrays)
    assert_refused(tmp_path / "a.pt", message)


def test_a_transposed_torch_kernel_is_refused(tmp_path):
    state = torch_state(random_arrays(512), with_rest=False)
    state[TORCH_KERNEL] = state[TORCH_KERNEL].transpose(0, 1, 3, 2)
    write_torch_zip(tmp_path / "a.pt", state)
    assert_refused(tmp_path / "a.pt", "should be floats of shape")


def test_a_torch_file_lacking_one_gamma_is_refused(tmp_path):
    state = without(torch_state(random_arrays(512)), "mixed_6a.branch0.bn.weight")
    write_torch_zip(tmp_path / "a.pt", state)
    assert_refused(tmp_path / "a.pt", r"1 arrays missing \(mixed_6a.branch0.bn.weight\)")


def keras_3_damages(file):
    bias = file["layers/conv2d_12/vars/1"][()]
    return {
        "missing": ("layers/conv2d_12/vars/1", None, "missing .*layers/conv2d_12/vars/1|Conv2d"),
        "reshaped": ("layers/conv2d_12/vars/1", bias[:5], "conv2d_12/vars/1 as"),
        "NaN": ("layers/conv2d_12/vars/1", bias * np.nan, "conv2d_12/vars/1 that are not"),
        "extra": ("layers/conv2d_12/vars/2", bias, "unknown .*conv2d_12/vars/2"),
        "extra layer": ("layers/dense_1/vars/0", bias, "unknown .*dense_1"),
        "foreign group": ("secret/0", bias, "/secret"),
    }


@pytest.mark.parametrize(
    "how", ["missing", "reshaped", "NaN", "extra", "extra layer", "foreign group", "order"]
)
def test_keras_3_files_that_do_not_fit(tmp_path, how):
    path = tmp_path / "a.weights.h5"
    path.write_bytes(whole_file("Keras 3"))
    with h5py.File(path, "r+") as file:
        if how == "order":
            file["layers/conv2d/vars"].attrs["name"] = "Conv2d_2a_3x3"
            message = "Conv2d_2a_3x3 at conv2d, the place of Conv2d_1a_3x3"
        else:
            name, value, message = keras_3_damages(file)[how]
            if name in file:
                del file[name]
            if value is not None:
                file[name] = value
    assert_refused(path, message)


# --- Other files ---


def jpeg_bytes():
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(stream, "JPEG")
    return stream.getvalue()


def zip_bytes(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


OTHERS = {
    "empty": (b"", "is empty"),
    "text": (b"just text\n", "is neither"),
    "JPEG": (jpeg_bytes(), "is neither"),
    "web page": (b"\n<!DOCTYPE html><html>Virus scan warning</html>", "is a web page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
    "HDF5 signature": (b"\x89HDF\r\n\x1a\n", "damaged"),
    "zip start": (b"PK\x03\x04 half", "cut off"),
    "zip": (zip_bytes("a.txt"), "neither an .npz nor"),
    "Keras archive": (zip_bytes("config.json", "model.weights.h5"), "is a .keras archive"),
    "TorchScript": (zip_bytes("a/data.pkl", "a/constants.pkl"), "TorchScript"),
    "two pickles": (zip_bytes("a/data.pkl", "b/data.pkl"), "two pickles"),
    "big-endian": (zip_bytes("a/data.pkl", "a/byteorder"), "big-endian"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused(tmp_path, kind):
    content, message = OTHERS[kind]
    path = tmp_path / "facenet_keras.h5"
    path.write_bytes(content)
    assert_refused(path, message)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    for path in (tmp_path, tmp_path / "none.h5"):
        with pytest.raises(WeightsError, match=f"no FaceNet weight file at {path}"):
            FaceNet(path)
