"""Every format of weight file gives the embeddings that an independent computation gives."""

import functools
import hashlib

import h5py
import numpy as np
import numpy_facenet
import pytest
from embeddings import assert_same_embeddings, sample_pixels
from facenet_files import (
    build_network,
    deepface_name,
    random_arrays,
    share_networks,
    torch_state,
    write_keras_2,
    write_keras_3,
    write_npz,
    write_torch_legacy,
    write_torch_zip,
)

from facenet import FaceNet, WeightsError, names
from facenet.inputs import INPUTS
from facenet.known_files import SOURCES


@pytest.fixture(autouse=True)
def networks(monkeypatch):
    share_networks(monkeypatch)


@functools.cache
def reference(embedding_size, standardization, with_gammas=False):
    faces = numpy_facenet.STANDARDIZATIONS[standardization](sample_pixels())
    arrays = random_arrays(embedding_size, with_gammas=with_gammas)
    return numpy_facenet.embed(arrays, faces)


def assert_same_arrays(facenet, arrays):
    for layer in facenet.network.layers:
        for variable in layer.weights:
            np.testing.assert_array_equal(variable, arrays[f"{layer.name}/{variable.name}"])


KERAS_2_FILES = {
    # options of write_keras_2, embedding size, format, input
    "facenet_keras.h5": ({}, 128, "Keras 2 model", "prewhiten"),
    "its weights alone": (
        {"model": False, "as_bytes": False},
        128,
        "Keras 2 weights",
        "prewhiten",
    ),
    "deepface facenet_weights.h5": (
        {"model": False, "rename": deepface_name},
        128,
        "deepface",
        "prewhiten",
    ),
    "deepface facenet512_weights.h5": (
        {"model": False, "rename": deepface_name},
        512,
        "deepface",
        "fixed_128",
    ),
    "the same in nyoki's names": ({"model": False}, 512, "Keras 2 weights", "fixed_128"),
    "keras-facenet 2018": (
        {"model": False, "ends_normalized": True},
        512,
        "keras-facenet",
        "fixed_128",
    ),
    "keras-facenet 2017": (
        {"ends_normalized": True, "as_bytes": False},
        128,
        "keras-facenet",
        "prewhiten",
    ),
}


@pytest.mark.parametrize("kind", KERAS_2_FILES)
def test_keras_2_files(tmp_path, kind):
    options, size, file_format, standardization = KERAS_2_FILES[kind]
    path = tmp_path / "weights.bin"  # the content counts, not the name
    write_keras_2(path, random_arrays(size), **options)
    facenet = FaceNet(path)
    assert file_format in facenet.description
    assert f"{size}-d" in facenet.description
    assert "490 arrays" in facenet.description
    assert (facenet.embedding_size, facenet.input_name) == (size, standardization)
    assert_same_embeddings(facenet, reference(size, standardization))


def test_deepface_renames_78_layers():
    layers = random_arrays().keys()
    renamed = {name.split("/")[0] for name in layers if deepface_name(name) != name}
    assert len(renamed) == 78


def test_a_keras_2_file_with_gammas_is_folded(tmp_path):
    write_keras_2(tmp_path / "a.h5", random_arrays(512, with_gammas=True))
    facenet = FaceNet(tmp_path / "a.h5")
    assert "602 arrays" in facenet.description
    assert_same_embeddings(facenet, reference(512, "fixed_128", with_gammas=True))


def test_gammas_that_make_kernels_infinite_are_refused(tmp_path):
    arrays = dict(random_arrays(with_gammas=True))
    for name in ("Conv2d_1a_3x3/kernel", "Conv2d_1a_3x3_BatchNorm/gamma"):
        arrays[name] = np.full_like(arrays[name], 1e30)
    write_npz(tmp_path / "a.npz", arrays)
    with pytest.raises(WeightsError, match="Conv2d_1a_3x3/kernel that are not finite"):
        FaceNet(tmp_path / "a.npz")


@pytest.mark.parametrize("names_in_file", ["kernel_1:0", "kernel", "X_1/kernel:0"])
def test_keras_2_array_names_vary(tmp_path, names_in_file):
    write_keras_2(tmp_path / "a.h5", random_arrays(), model=False)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        group = file["Bottleneck"]
        group[names_in_file] = group["Bottleneck/kernel:0"][()]
        del group["Bottleneck"]
        group.attrs["weight_names"] = np.array([names_in_file.encode()])
    assert_same_arrays(FaceNet(tmp_path / "a.h5"), random_arrays())


def test_split_attributes_and_compressed_arrays_are_read(tmp_path):
    write_keras_2(tmp_path / "a.h5", random_arrays(), model=False)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        layers = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = layers[:200], layers[200:]
        kernel = file["Bottleneck/Bottleneck/kernel:0"][()]
        del file["Bottleneck/Bottleneck/kernel:0"]
        file["Bottleneck"].create_dataset(
            "Bottleneck/kernel:0", data=kernel, compression="gzip", shuffle=True, chunks=(100, 100)
        )
        file.create_group("top_level_model_weights")
    assert_same_arrays(FaceNet(tmp_path / "a.h5"), random_arrays())


def test_a_graph_without_skip_connections_is_mended_and_mentioned(tmp_path):
    write_keras_2(tmp_path / "right.h5", random_arrays())
    write_keras_2(tmp_path / "lost.h5", random_arrays(), has_skips=False)
    assert "skip" not in FaceNet(tmp_path / "right.h5").description
    facenet = FaceNet(tmp_path / "lost.h5")
    assert "lacks the skip connections" in facenet.description
    assert_same_arrays(facenet, random_arrays())


@pytest.mark.parametrize(("size", "standardization"), [(128, "prewhiten"), (512, "fixed_128")])
def test_keras_3_weights(tmp_path, size, standardization):
    write_keras_3(tmp_path / "a.weights.h5", random_arrays(size))
    facenet = FaceNet(tmp_path / "a.weights.h5")
    assert "Keras 3 weights" in facenet.description
    assert facenet.input_name == standardization
    assert_same_embeddings(facenet, reference(size, standardization))


def test_npz_files(tmp_path):
    write_npz(tmp_path / "a.npz", random_arrays())
    assert_same_arrays(FaceNet(tmp_path / "a.npz"), random_arrays())


@pytest.mark.parametrize("write", [write_torch_legacy, write_torch_zip])
def test_torch_files_with_classifier_strides_and_gammas(tmp_path, write):
    state = torch_state(random_arrays(512, with_gammas=True))
    assert len(state) == 716
    assert state["conv2d_1a.conv.weight"].strides == (4, 64, 576, 192)
    write(tmp_path / "a.pt", state)
    facenet = FaceNet(tmp_path / "a.pt")
    assert "PyTorch" in facenet.description
    assert (facenet.embedding_size, facenet.input_name) == (512, "fixed_128")
    assert_same_embeddings(facenet, reference(512, "fixed_128", with_gammas=True))


@pytest.mark.parametrize("write", [write_torch_legacy, write_torch_zip])
def test_torch_files_of_the_features_alone_in_a_parallel_module(tmp_path, write):
    state = torch_state(random_arrays(512), with_rest=False)
    state = {f"module.{key}": np.ascontiguousarray(array) for key, array in state.items()}
    state["module.last_bn.weight"] = np.ones(512)  # float64 among float32
    write(tmp_path / "a.pt", state)
    assert_same_embeddings(FaceNet(tmp_path / "a.pt"), reference(512, "fixed_128"))


# --- Input ---


@pytest.mark.parametrize("name", numpy_facenet.STANDARDIZATIONS)
def test_standardisations(name):
    faces = sample_pixels().astype(np.float32) / 127.5 - 1.0
    expected = numpy_facenet.STANDARDIZATIONS[name](sample_pixels())
    np.testing.assert_allclose(INPUTS[name](faces), expected, atol=2e-6)


def test_the_input_can_be_chosen(tmp_path):
    assert set(numpy_facenet.STANDARDIZATIONS) == set(INPUTS)
    write_npz(tmp_path / "a.npz", random_arrays(512))
    auto = FaceNet(tmp_path / "a.npz")
    same = FaceNet(tmp_path / "a.npz", "fixed_128")
    other = FaceNet(tmp_path / "a.npz", "fixed_127.5")
    assert auto.fingerprint == same.fingerprint == other.fingerprint.split()[0]
    assert auto.fingerprint != other.fingerprint
    assert "set by FACENET_INPUT" in other.description
    assert "set by FACENET_INPUT" not in auto.description + same.description
    assert_same_embeddings(other, reference(512, "fixed_127.5"))


def test_an_unknown_input_is_refused_by_name():
    with pytest.raises(WeightsError, match="FACENET_INPUT must be one of auto, .*not 'mean'"):
        FaceNet(input_name="mean")


def test_an_unpublished_embedding_length_needs_an_explicit_input(tmp_path):
    write_npz(tmp_path / "a.npz", random_arrays(256))
    with pytest.raises(WeightsError, match="256 numbers per face.* set FACENET_INPUT"):
        FaceNet(tmp_path / "a.npz")
    assert FaceNet(tmp_path / "a.npz", "fixed_128").embedding_size == 256


# --- Names ---


def test_the_tables_of_names_are_those_of_the_network():
    weighted = [layer.name for layer in build_network().layers if layer.weights]
    assert [n for n in weighted if n in names.BATCH_NORMS] == list(names.BATCH_NORMS)
    rest = [n for n in weighted if n not in names.BATCH_NORMS]
    assert rest == [*names.CONVOLUTIONS, "Bottleneck"]


@pytest.mark.parametrize(
    ("torch_name", "layer"),
    [
        ("conv2d_4b.bn.running_var", "Conv2d_4b_3x3_BatchNorm/moving_variance"),
        ("repeat_1.4.branch2.1.conv.weight", "Block35_5_Branch_2_Conv2d_0b_3x3/kernel"),
        ("mixed_6a.branch0.conv.weight", "Mixed_6a_Branch_0_Conv2d_1a_3x3/kernel"),
        ("mixed_6a.branch1.2.bn.bias", "Mixed_6a_Branch_1_Conv2d_1a_3x3_BatchNorm/beta"),
        ("repeat_2.9.branch1.2.conv.weight", "Block17_10_Branch_1_Conv2d_0c_7x1/kernel"),
        ("mixed_7a.branch0.1.conv.weight", "Mixed_7a_Branch_0_Conv2d_1a_3x3/kernel"),
        ("repeat_3.0.branch0.bn.weight", "Block8_1_Branch_0_Conv2d_1x1_BatchNorm/gamma"),
        ("block8.conv2d.bias", "Block8_6_Conv2d_1x1/bias"),
        ("last_bn.running_mean", "Bottleneck_BatchNorm/moving_mean"),
    ],
)
def test_torch_names(torch_name, layer):
    assert names.from_torch()[torch_name][0] == layer


def test_torch_knows_every_array_once():
    arrays = [name for name, _ in names.from_torch().values()]
    assert len(set(arrays)) == len(arrays) == 602
    assert set(arrays) == set(random_arrays(512, with_gammas=True))


def test_a_file_whose_hash_is_known_is_called_by_its_source(tmp_path, monkeypatch):
    write_npz(tmp_path / "a.npz", random_arrays())
    assert "source unknown" in FaceNet(tmp_path / "a.npz").description
    digest = hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    monkeypatch.setitem(SOURCES, digest, "somebody/project, a.npz")
    facenet = FaceNet(tmp_path / "a.npz")
    assert "somebody/project, a.npz" in facenet.description
    assert digest.startswith(facenet.fingerprint)
    assert "embedded here" in FaceNet().description
    assert all(len(digest) == 64 for digest in SOURCES)
