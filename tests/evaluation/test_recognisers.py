import csv

import numpy as np
import pytest
from networks import keep_facenet
from project import SAMPLES

from errors import Mistake
from evaluation import dlib_recogniser
from evaluation.constants import is_box
from evaluation.recognisers import find_recognisers, shared_teachers
from facenet import EMBEDDED_WEIGHTS
from imaging.lists import find_faces, load_faces

BOX = (0.15, 0.2, 0.85, 0.9)
with_dlib = pytest.mark.skipif(
    not dlib_recogniser.is_installed(),
    reason="the optional dlib-bin and face-recognition-models are not installed",
)


@pytest.fixture(autouse=True)
def _facenet_is_kept(monkeypatch):
    keep_facenet(monkeypatch)


def test_another_facenet_than_that_of_the_loss_is_refused(facenet):
    training = {"FACENET_WEIGHTS": EMBEDDED_WEIGHTS}
    with pytest.raises(Mistake, match="is another FaceNet than the one in the loss"):
        find_recognisers(training, {"FaceNet": "0123456789abcdef"}, [], BOX)
    for place in (EMBEDDED_WEIGHTS, f"/before/it/was/moved/{EMBEDDED_WEIGHTS.name}"):
        training = {"FACENET_WEIGHTS": str(place)}
        (first,) = find_recognisers(training, {"FaceNet": facenet.fingerprint}, [], BOX)
        assert first.name == "FaceNet of the loss"
    with pytest.raises(Mistake, match=r"UNSEEN_RECOGNISERS: .*missing\.h5"):
        find_recognisers(training, {"FaceNet": facenet.fingerprint}, ["missing.h5"], BOX)


def test_unseen_recognisers_that_cannot_be_are_named(facenet, tmp_path):
    training, recipe = {"FACENET_WEIGHTS": EMBEDDED_WEIGHTS}, {"FaceNet": facenet.fingerprint}
    (tmp_path / "no.onnx").write_bytes(b"<html>")
    for spec, message in (
        (EMBEDDED_WEIGHTS, "is the FaceNet of the loss: name another"),
        ("gone.onnx", r"there is no file gone\.onnx"),
        ({"path": "gone.onnx", "size": 112}, r"there is no file gone\.onnx"),
        ({"size": 112}, 'lacks "path"'),
        (tmp_path / "no.onnx", r"no\.onnx is no ONNX network"),
    ):
        with pytest.raises(Mistake, match=f"UNSEEN_RECOGNISERS: .*{message}") as error:
            find_recognisers(training, recipe, [spec], BOX)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("left", [0.1, 0.2, 0.3])
def test_a_box_may_be_a_tenth_wide_wherever_it_is(left):
    right = round(left + 0.1, 1)
    assert is_box((left, left, right, right))
    assert not is_box((left, left, right - 0.01, right))


def test_judges_that_taught_the_facenet_of_the_loss_are_named():
    (line,) = shared_teachers(
        {"FACENET_WEIGHTS": f"/moved/{EMBEDDED_WEIGHTS.name}"}, ["loss", "dlib"]
    )
    assert line.startswith("dlib and FaceRes taught the embedded FaceNet of the loss")
    for weights, weight, judges in (
        ("facenet_keras.h5", 0.02, ["loss", "dlib"]),
        (EMBEDDED_WEIGHTS, 0.0, ["loss", "dlib"]),  # pixels alone
        (EMBEDDED_WEIGHTS, 0.02, ["loss"]),
    ):
        training = {"FACENET_WEIGHTS": weights, "EMBEDDING_WEIGHT": weight}
        assert shared_teachers(training, judges) == []


def test_flipped_faces_have_the_same_embedding(facenet, sample_faces):
    training, recipe = {"FACENET_WEIGHTS": EMBEDDED_WEIGHTS}, {"FaceNet": facenet.fingerprint}
    faces = sample_faces[0][:2]
    for flip in (False, True):
        (recogniser,) = find_recognisers(training, recipe, [], BOX, flip)
        a, b = (recogniser.embed(x, None) for x in (faces, faces[:, :, ::-1]))
        assert np.allclose(a, b, atol=1e-3) == flip


@with_dlib
def test_dlib_tells_people_apart(sample_faces):
    faces, identities = sample_faces
    pixels = np.uint8((faces + 1) * 127.5)
    landmarks = dlib_recogniser.find_own_landmarks(pixels, BOX)
    embeddings = dlib_recogniser.describe(pixels, landmarks)
    embeddings -= embeddings.mean(0)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = embeddings @ embeddings.T
    same = identities[:, None] == identities[None]
    assert similarity[same].mean() > similarity[~same].mean() + 0.4


@with_dlib
def test_a_face_and_its_mirror_image_have_the_same_mean_for_dlib(sample_faces):
    pixels = np.uint8((sample_faces[0][:1] + 1) * 127.5)
    mirrored = np.ascontiguousarray(pixels[:, :, ::-1])
    landmarks = dlib_recogniser.find_own_landmarks(pixels, BOX)
    # The corners of one eye, those of the other, the nose.
    of_mirrored = (127 - landmarks[..., :1], landmarks[..., 1:])
    of_mirrored = np.concatenate(of_mirrored, axis=-1)[:, [2, 3, 0, 1, 4]]
    a = dlib_recogniser.describe(pixels, landmarks, flip=True)
    b = dlib_recogniser.describe(mirrored, of_mirrored, flip=True)
    plain = dlib_recogniser.describe(pixels, landmarks)
    assert np.abs(a - b).mean() < 0.3 * np.abs(a - plain).mean() + 0.005


@with_dlib
def test_five_landmarks_are_where_the_samples_have_them(sample_faces):
    names = [f"{p.parent.name}/{p.name}" for p in find_faces(SAMPLES)][:12]
    pixels, _, _ = load_faces([SAMPLES / name for name in names], 12, 192)
    with open(SAMPLES / "attributes.csv", newline="") as file:
        known = {f"{row['identity']}/{row['image']}": row for row in csv.DictReader(file)}
    found = dlib_recogniser.find_five_landmarks(pixels, BOX)
    columns = [k for k in next(iter(known.values())) if k.endswith(("_x", "_y"))]
    truth = np.array([[float(known[name][k]) for k in columns] for name in names])
    off = np.linalg.norm(found - truth.reshape(-1, 5, 2), axis=-1)
    assert np.median(off) < 6  # of 192 pixels; people and dlib mark the corners of a mouth apart
