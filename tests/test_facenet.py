import functools

import h5py
import numpy as np
import pytest
import tensorflow as tf

import facenet as package
from facenet import EMBEDDED_WEIGHTS, FaceNet, WeightsError, resize_bicubic
from facenet.embedder import standardize
from facenet.inception_resnet_v1 import build_inception_resnet_v1


def cosine(a, b):
    a, b = np.asarray(a), np.asarray(b)
    return np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


# --- The network ---


@pytest.mark.parametrize(
    ("width", "embedding_size", "parameters"),
    [(1.0, 128, 22_808_144), (1.0, 512, 23_497_424), (0.5, 128, 5_775_848)],
)
def test_parameters_are_those_of_the_published_networks(width, embedding_size, parameters):
    network = build_inception_resnet_v1(width, embedding_size)
    assert network.count_params() == parameters
    assert network.output_shape == (None, embedding_size)


def test_shapes_at_every_stage():
    network = build_inception_resnet_v1()
    stages = {
        "Conv2d_1a_3x3": (79, 79, 32),
        "Conv2d_2a_3x3": (77, 77, 32),
        "Conv2d_2b_3x3": (77, 77, 64),
        "MaxPool_3a_3x3": (38, 38, 64),
        "Conv2d_3b_1x1": (38, 38, 80),
        "Conv2d_4a_3x3": (36, 36, 192),
        "Conv2d_4b_3x3": (17, 17, 256),
        "Block35_5_Activation": (17, 17, 256),
        "Mixed_6a": (8, 8, 896),
        "Block17_10_Activation": (8, 8, 896),
        "Mixed_7a": (3, 3, 1792),
        "Block8_6_Add": (3, 3, 1792),
    }
    for name, shape in stages.items():
        assert tuple(network.get_layer(name).output.shape[1:]) == shape, name


def test_the_last_block_is_linear_and_unscaled():
    network = build_inception_resnet_v1(0.5)
    assert "Block8_6_Activation" not in {layer.name for layer in network.layers}
    assert network.get_layer("Block8_6_Scale").scale == 1.0
    assert network.get_layer("Block8_5_Scale").scale == 0.2
    assert network.get_layer("Block17_1_Scale").scale == 0.1
    assert network.get_layer("Block35_1_Scale").scale == 0.17


# --- From faces to embeddings ---


def test_the_embedded_network_tells_people_apart(facenet, sample_faces):
    faces, identities = sample_faces
    embeddings = facenet(faces)
    assert embeddings.shape == (12, facenet.embedding_size) == (12, 128)
    similarity = cosine(embeddings[:, None], embeddings[None])
    same = identities[:, None] == identities[None]
    others = ~np.eye(12, dtype=bool)
    assert similarity[same & others].mean() > similarity[~same].mean() + 0.2


def test_embeddings_are_raw_with_about_unit_deviation(facenet, sample_faces):
    embeddings = np.asarray(facenet(sample_faces[0]))
    assert 0.5 < embeddings.std() < 2.0
    assert np.linalg.norm(embeddings, axis=1).min() > 5.0


def test_each_face_is_standardised_by_itself(facenet, sample_faces):
    faces = sample_faces[0][:2] * np.array([1.0, 0.3], np.float32)[:, None, None, None]
    singly = np.concatenate([facenet(faces[:1]), facenet(faces[1:])])
    np.testing.assert_allclose(facenet(faces), singly, atol=1e-4)


def test_standardised_faces_have_zero_mean_and_unit_deviation(sample_faces):
    standardized = np.asarray(standardize(tf.constant(sample_faces[0][:3])))
    np.testing.assert_allclose(standardized.mean(axis=(1, 2, 3)), 0.0, atol=1e-5)
    np.testing.assert_allclose(standardized.std(axis=(1, 2, 3)), 1.0, atol=1e-5)


def test_flat_faces_have_finite_embeddings_and_gradients(facenet):
    faces = tf.Variable(tf.fill((1, 128, 128, 3), 0.25))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(facenet(faces) ** 2)
    assert np.isfinite(float(total))
    assert np.isfinite(tape.gradient(total, faces).numpy()).all()


def test_the_floor_is_that_of_facenet():
    faces = np.full((1, 4, 4, 3), 0.0, np.float32)
    # Half of the pixels are 0.001 of a level brighter: deviation 0.0005, far below 1 / sqrt(48).
    faces[0, :2] += 0.001 / 127.5
    standardized = np.asarray(standardize(tf.constant(faces)))
    np.testing.assert_allclose(standardized[0, 0], 0.0005 * np.sqrt(48), rtol=0.05)


def test_faces_of_160_pixels_are_not_resampled():
    faces = tf.random.uniform((2, 160, 160, 3), -1, 1)
    assert resize_bicubic(faces, 160) is faces


@pytest.mark.parametrize("size", [(128, 128), (96, 112), (320, 320)])
def test_bicubic_resizing_agrees_with_tensorflow(sample_faces, size):
    faces = tf.image.resize(sample_faces[0][:2], size, antialias=True)
    expected = tf.image.resize(faces, (160, 160), "bicubic", antialias=True)
    np.testing.assert_allclose(resize_bicubic(faces, 160), expected, atol=2e-3)


def test_gradients_reach_the_faces_and_not_the_network(facenet, sample_faces):
    faces = tf.Variable(sample_faces[0][:2])
    assert facenet.network.trainable_variables == []
    before = facenet.network.get_weights()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(facenet(faces) ** 2)
    gradient = tape.gradient(loss, faces).numpy()
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max(axis=(1, 2, 3)) > 0).all()
    for a, b in zip(before, facenet.network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# --- Weight files ---


@functools.cache
def random_arrays(width=0.5, embedding_size=128):
    """Plausible weights under the names `<layer>/<array>`; do not change the arrays."""
    rng = np.random.default_rng(0)
    arrays = {}
    for layer in build_inception_resnet_v1(width, embedding_size).layers:
        for variable in layer.weights:
            scale = 1.0 / np.sqrt(np.prod(variable.shape[:-1]))
            value = rng.normal(0.0, scale, variable.shape)
            if variable.name == "moving_variance":
                value = rng.uniform(0.5, 2.0, variable.shape)
            arrays[f"{layer.name}/{variable.name}"] = value.astype(np.float32)
    return arrays


def write_keras_h5(path, arrays, full_model, names_as_bytes):
    """Write arrays as Keras 2 did: layer groups, `layer_names` and `weight_names`."""

    def text(names):
        return np.array([n.encode() for n in names] if names_as_bytes else names, dtype=object)

    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if full_model else file
        if full_model:
            file.attrs["keras_version"] = "2.1.2"
            file.attrs["model_config"] = '{"class_name": "Model", "config": "not read"}'
        layers = {}
        for name in arrays:
            layers.setdefault(name.split("/")[0], []).append(name)
        string = h5py.string_dtype()
        root.attrs.create("layer_names", text(["input_1", *layers]), dtype=string)
        root.create_group("input_1").attrs["weight_names"] = np.zeros(0)
        for layer, names in layers.items():
            group = root.create_group(layer)
            stored = [f"{name}:0" for name in names]
            group.attrs.create("weight_names", text(stored), dtype=string)
            for name, dataset in zip(names, stored, strict=True):
                group[dataset] = arrays[name]


@pytest.mark.parametrize(("full_model", "names_as_bytes"), [(True, True), (False, False)])
def test_keras_files_give_the_same_embeddings_as_npz(
    tmp_path, sample_faces, full_model, names_as_bytes
):
    arrays = random_arrays()
    np.savez(tmp_path / "a.npz", **arrays)
    write_keras_h5(tmp_path / "a.h5", arrays, full_model, names_as_bytes)
    faces = sample_faces[0][:2]
    np.testing.assert_array_equal(
        FaceNet(tmp_path / "a.h5")(faces), FaceNet(tmp_path / "a.npz")(faces)
    )


def test_the_full_width_facenet_loads(tmp_path):
    write_keras_h5(tmp_path / "facenet_keras.h5", random_arrays(1.0), True, True)
    facenet = FaceNet(tmp_path / "facenet_keras.h5")
    assert facenet.network.count_params() == 22_808_144
    assert "22,808,144" in facenet.description


def without(arrays, name):
    return {k: v for k, v in arrays.items() if k != name}


KERNEL = "Block17_3_Branch_1_Conv2d_0b_1x7/kernel"
VARIANCE = "Bottleneck_BatchNorm/moving_variance"
DAMAGES = {
    "missing": (lambda a: without(a, KERNEL), "1 arrays missing .*Block17_3"),
    "renamed": (lambda a: without(a, KERNEL) | {"other/kernel": a[KERNEL]}, "unknown .*other"),
    "extra": (lambda a: a | {"Logits/kernel": np.ones((4, 4), np.float32)}, "unknown .*Logits"),
    "reshaped": (lambda a: a | {KERNEL: a[KERNEL][:, :5]}, "should be floats of shape"),
    "transposed": (lambda a: a | {KERNEL: a[KERNEL].transpose(1, 0, 2, 3)}, "should be floats"),
    "integers": (lambda a: a | {KERNEL: a[KERNEL].astype(int)}, "should be floats"),
    "NaN": (lambda a: a | {KERNEL: a[KERNEL] * np.nan}, "not finite"),
    "negative": (lambda a: a | {VARIANCE: -a[VARIANCE]}, "negative variance"),
    "another network": (lambda a: {"conv1/kernel": a[KERNEL]}, "so it is no FaceNet"),
}


@pytest.mark.parametrize(
    ("damage", "suffix"), [*((damage, ".npz") for damage in DAMAGES), ("NaN", ".h5")]
)
def test_files_that_do_not_fit_are_refused_with_a_reason(tmp_path, damage, suffix):
    change, message = DAMAGES[damage]
    arrays = change(dict(random_arrays()))
    path = tmp_path / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        write_keras_h5(path, arrays, full_model=True, names_as_bytes=True)
    with pytest.raises(WeightsError, match=message):
        FaceNet(path)


def test_an_embedding_of_512_numbers_is_refused_not_misread(tmp_path):
    np.savez(tmp_path / "a.npz", **random_arrays(0.5, 512))
    with pytest.raises(WeightsError, match="128 outputs"):
        FaceNet(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"just text", b"PK\x03\x04 half", b"\x89HDF\r\n\x1a\n"])
def test_foreign_files_are_refused(tmp_path, content):
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="weights.h5"):
        FaceNet(path)


def test_truncated_files_are_refused(tmp_path):
    whole = EMBEDDED_WEIGHTS.read_bytes()
    for part in (0.1, 0.5, 0.99):
        (tmp_path / "cut.npz").write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(WeightsError, match="cut.npz"):
            FaceNet(tmp_path / "cut.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match="no FaceNet weight file at .*none.h5"):
        FaceNet(tmp_path / "none.h5")


def test_links_to_other_files_are_not_followed(tmp_path):
    arrays = random_arrays()
    write_keras_h5(tmp_path / "a.h5", arrays, full_model=False, names_as_bytes=True)
    layer, array = KERNEL.split("/")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        group = file[layer][layer]
        del group[f"{array}:0"]
        group[f"{array}:0"] = h5py.ExternalLink("secret.h5", "/kernel")
    with pytest.raises(WeightsError, match="link to elsewhere"):
        FaceNet(tmp_path / "a.h5")


def test_the_package_offers_what_others_use():
    assert set(package.__all__) >= {"FaceNet", "WeightsError", "EMBEDDED_WEIGHTS"}
