"""Malicious weight files are refused: nothing is executed, followed or unpacked."""

import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
from facenet_files import (
    MAGIC,
    legacy_header,
    npy_bytes,
    random_arrays,
    share_networks,
    state_pickle,
    torch_state,
    write_keras_2,
    write_npz,
    write_torch_zip,
)
from refusals import assert_refused

KERNEL = "Block17_3_Branch_1_Conv2d_0b_1x7/kernel"


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    share_networks(monkeypatch)


# --- HDF5 that is more than arrays ---


def replace_kernel(tmp_path, make):
    """Write a Keras 2 file in which `make(group, name)` has replaced a kernel; return its path."""
    path = tmp_path / "a.h5"
    write_keras_2(path, random_arrays(), model=False)
    layer, array = KERNEL.split("/")
    with h5py.File(path, "r+") as file:
        group = file[layer][layer]
        del group[f"{array}:0"]
        make(group, f"{array}:0")
    return path


def external_link(group, name):
    with h5py.File(group.file.filename + "_secret", "w") as secret:
        secret["x"] = random_arrays()[KERNEL]
    group[name] = h5py.ExternalLink(group.file.filename + "_secret", "/x")


def soft_link(group, name):
    group[name] = h5py.SoftLink("/Bottleneck/Bottleneck/kernel:0")


def external_storage(group, name):
    secret = group.file.filename + "_secret"
    random_arrays()[KERNEL].tofile(secret)
    shape = random_arrays()[KERNEL].shape
    group.create_dataset(name, shape, "f4", external=[(secret, 0, h5py.h5f.UNLIMITED)])


def virtual_dataset(group, name):
    external_link(group, "other")
    del group["other"]
    shape = random_arrays()[KERNEL].shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(group.file.filename + "_secret", "x", shape)
    group.create_virtual_dataset(name, layout)


def object_dataset(group, name):
    shape = random_arrays()[KERNEL].shape
    group.create_dataset(name, shape, h5py.string_dtype())


def nothing(group, name):
    pass


def group_instead(group, name):
    group.create_group(name)


def huge_shape(group, name):
    group.create_dataset(name, (1 << 20, 1 << 20), "f4", chunks=(64, 64))


def no_numbers(group, name):
    group.create_dataset(name, random_arrays()[KERNEL].shape, "f4")


def no_chunks(group, name):
    group.create_dataset(name, random_arrays()[KERNEL].shape, "f4", chunks=(1, 7, 8, 8))


def huge_chunks(group, name):
    kernel = random_arrays()[KERNEL]
    group.create_dataset(
        name, kernel.shape, "f4", maxshape=(None,) * 4, chunks=(1 << 14, 1 << 10, 8, 4)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external_link, "link to elsewhere"),
        (soft_link, "link to elsewhere"),
        (external_storage, "not a plain array"),
        (virtual_dataset, "not a plain array"),
        (object_dataset, "as object"),
        (nothing, f"lists .*{KERNEL}:0 and does not hold it"),
        (group_instead, "not a plain array"),
        (huge_shape, r"as float32 \(1048576, 1048576\)"),
        (no_numbers, "does not hold all of its numbers"),
        (no_chunks, "does not hold all of its numbers"),
        (huge_chunks, "in chunks of"),
    ],
)
def test_hdf5_that_is_more_or_less_than_arrays(tmp_path, make, message):
    assert_refused(replace_kernel(tmp_path, make), message)


def test_a_layer_that_is_a_link_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    write_keras_2(path, random_arrays(), model=False)
    with h5py.File(path, "r+") as file:
        file.move("Bottleneck", "moved")
        file["Bottleneck"] = h5py.SoftLink("/moved")
        file.attrs["layer_names"] = np.append(file.attrs["layer_names"], b"moved")
    assert_refused(path, "link to elsewhere")


def test_hdf5_of_other_kinds_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.zeros(3)
    assert_refused(tmp_path / "a.h5", "lists no layers")
    write_keras_2(tmp_path / "b.h5", {"convolution2d_1/kernel": np.zeros((3, 3))})
    assert_refused(tmp_path / "b.h5", "Keras 1 model")
    write_keras_2(tmp_path / "c.h5", {"conv1/kernel": np.zeros((3, 3))})
    assert_refused(tmp_path / "c.h5", "so it is no FaceNet")
    write_keras_2(tmp_path / "d.h5", random_arrays())
    with h5py.File(tmp_path / "d.h5", "r+") as file:
        file["model_weights/hidden/x"] = np.zeros(3)
    assert_refused(tmp_path / "d.h5", "hidden")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"x"] * 6000)
    assert_refused(tmp_path / "e.h5", "layer_names of shape")


# --- Zip bombs ---


def test_an_array_that_declares_terabytes_is_refused(tmp_path):
    header = npy_bytes(np.zeros(3, np.float32)).replace(b"(3,), }", b"(1000000000000,), }")
    arrays = random_arrays()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in arrays:
            archive.writestr(f"{name}.npy", header if name == KERNEL else npy_bytes(arrays[name]))
    assert_refused(tmp_path / "a.npz", "1000000000000")


def test_an_array_that_unpacks_to_more_than_it_declares_is_refused(tmp_path):
    arrays = random_arrays()
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in arrays:
            content = npy_bytes(arrays[name])
            archive.writestr(f"{name}.npy", content + bytes(1 << 28 if name == KERNEL else 0))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 25
    assert_refused(tmp_path / "a.npz", "instead of")


def test_objects_in_an_npz_are_not_unpickled(tmp_path):
    arrays = random_arrays() | {KERNEL: np.array([{}, {}], object)}
    write_npz(tmp_path / "a.npz", arrays)
    assert_refused(tmp_path / "a.npz", "as object")


def test_a_pickle_that_unpacks_to_gigabytes_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 28))
    assert_refused(tmp_path / "a.pt", "holds a pickle of 268435456 bytes")


def test_a_zip_of_too_many_or_double_members_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for i in range(20_000):
            archive.writestr(f"{i:06}.npy", b"")
    assert_refused(tmp_path / "a.npz", "far more members")
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("x.npy", b"")
        archive.writestr("x.npy", b"")
    assert_refused(tmp_path / "b.npz", "two members of the same name")


# --- Pickles that are more than arrays ---


class Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        import os

        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_a_program_runs_nothing(tmp_path, protocol):
    marker = tmp_path / "ran"
    attack = pickle.dumps(Attack(marker), protocol=protocol)
    path = tmp_path / "weights.pt"
    path.write_bytes(attack)
    assert_refused(path, "nothing was run|is neither" if protocol < 2 else "nothing was run")
    path.write_bytes(legacy_header() + attack)
    assert_refused(path, "posix.system.*nothing was run")
    path.write_bytes(pickle.dumps(MAGIC, 2) + attack)
    assert_refused(path, "nothing was run")
    write_torch_zip(path, {}, attack)
    assert_refused(path, "nothing was run")
    assert not marker.exists()
    pickle.loads(attack)
    assert marker.exists()  # the attack is a real one


PICKLES = {
    "a memo of 4 billion places": (b"\x80\x02Nr\xff\xff\xff\xff.", "holds no state_dict"),
    "gigabytes of text": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"x.", "damaged|opcode"),
    "gigabytes of bytes": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.", "damaged|opcode"),
    "a list in itself": (b"\x80\x02]q\x00h\x00a.", "holds no state_dict"),
    "a tuple doubled 60 times as a key": (
        b"\x80\x02}" + b"K\x01" + b"q\x00h\x00\x86" * 60 + b"Ns.",
        "dict with keys",
    ),
    "a tuple doubled 60 times": (b"\x80\x02K\x01" + b"q\x00h\x00\x86" * 60 + b".", "no state_dict"),
    "an instance": (b"\x80\x02(ios\nsystem\n.", "opcode INST"),
    "a registered extension": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "a new object": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
    "attributes of a tensor type": (b"\x80\x02ctorch\nFloatStorage\n}b.", "attributes"),
    "a call of a type": (b"\x80\x02ctorch\nFloatStorage\n)R.", "not a function"),
    "a module": (
        b"\x80\x02cfacenet_pytorch.models.inception_resnet_v1\nInceptionResnetV1\n.",
        r"a whole module; save its state_dict\(\)",
    ),
    "too many marks": (b"\x80\x02" + b"(" * 250_000 + b"t" * 250_000 + b".", "no state_dict"),
    "no end": (b"\x80\x02}", "damaged|without an end"),
    "an empty stack": (b"\x80\x02.", "damaged"),
    "a number": (b"\x80\x02K\x01.", "holds no state_dict"),
    "an empty dict": (b"\x80\x02}.", "so it is no FaceNet"),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles_that_are_no_state_dict(tmp_path, kind):
    content, message = PICKLES[kind]
    write_torch_zip(tmp_path / "a.pt", {}, content)
    assert_refused(tmp_path / "a.pt", message)
    legacy = legacy_header() + content + pickle.dumps([], protocol=2)
    (tmp_path / "a.pt").write_bytes(legacy)
    assert_refused(tmp_path / "a.pt", message)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x00(J", b"K\x09(J"),  # every tensor starts 9 numbers later
        (b"J\x40\x00\x00\x00J\x01\x00\x00\x00", b"J\x40\x00\x00\x7fJ\x01\x00\x00\x00"),  # strides
        (b"J\x01\x00\x00\x00t\x89", b"J\xff\xff\xff\xfft\x89"),
    ],
)
def test_tensors_that_reach_beyond_their_numbers_are_refused(tmp_path, old, new):
    state = torch_state(random_arrays(512))
    pickled = state_pickle(state, is_legacy=False)
    assert old in pickled
    write_torch_zip(tmp_path / "a.pt", state, pickled.replace(old, new))
    assert_refused(tmp_path / "a.pt", "weight as reaching beyond|describes a tensor wrongly")


def test_numbers_that_are_fewer_than_declared_are_refused(tmp_path):
    state = torch_state(random_arrays(512))
    pickled = state_pickle(state, is_legacy=False)
    state["conv2d_1a.conv.weight"] = state["conv2d_1a.conv.weight"][:4]
    write_torch_zip(tmp_path / "a.pt", state, pickled)
    assert_refused(tmp_path / "a.pt", "bytes for archive/data/0 instead of")
