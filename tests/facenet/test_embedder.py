import time

import numpy as np
import pytest
import tensorflow as tf
from facenet_files import random_arrays, write_keras_2

import facenet as package
from facenet import FaceNet
from facenet.inception_resnet_v1 import build_inception_resnet_v1
from facenet.inputs import prewhiten
from facenet.resizing import resize_bicubic


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
    standardized = np.asarray(prewhiten(tf.constant(sample_faces[0][:3])))
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
    standardized = np.asarray(prewhiten(tf.constant(faces)))
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


# --- Weight files; their formats and damages have files of their own ---


def test_a_full_width_facenet_loads_in_seconds(tmp_path):
    path = tmp_path / "facenet_keras.h5"
    write_keras_2(path, random_arrays(width=1.0))
    start = time.perf_counter()
    facenet = FaceNet(path)
    assert time.perf_counter() - start < 20.0  # 2 on an idle machine
    assert path.stat().st_size > 91_000_000
    assert "22,808,144" in facenet.description


def test_the_package_offers_what_others_use():
    assert set(package.__all__) >= {"FaceNet", "WeightsError", "EMBEDDED_WEIGHTS"}
