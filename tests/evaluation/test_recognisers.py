import numpy as np
import pytest

from errors import Mistake
from evaluation import dlib_recogniser
from evaluation.recognisers import find_recognisers
from facenet import EMBEDDED_WEIGHTS

BOX = (0.15, 0.2, 0.85, 0.9)
with_dlib = pytest.mark.skipif(
    not dlib_recogniser.is_installed(),
    reason="the optional dlib-bin and face-recognition-models are not installed",
)


def test_another_facenet_than_that_of_the_loss_is_refused(facenet):
    training = {"FACENET_WEIGHTS": EMBEDDED_WEIGHTS}
    with pytest.raises(Mistake, match="is another FaceNet than the one in the loss"):
        find_recognisers(training, {"FaceNet": "0123456789abcdef"}, None, BOX)
    for place in (EMBEDDED_WEIGHTS, f"/before/it/was/moved/{EMBEDDED_WEIGHTS.name}"):
        training = {"FACENET_WEIGHTS": str(place)}
        (first,) = find_recognisers(training, {"FaceNet": facenet.fingerprint}, None, BOX)
        assert first.name == "FaceNet of the loss"
    with pytest.raises(Mistake, match=r"UNSEEN_RECOGNISER: .*missing\.h5"):
        find_recognisers(training, {"FaceNet": facenet.fingerprint}, "missing.h5", BOX)


@with_dlib
def test_dlib_tells_people_apart(sample_faces):
    faces, identities = sample_faces
    pixels = np.uint8((faces + 1) * 127.5)
    embeddings = dlib_recogniser.describe(pixels, BOX)
    embeddings -= embeddings.mean(0)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = embeddings @ embeddings.T
    same = identities[:, None] == identities[None]
    assert similarity[same].mean() > similarity[~same].mean() + 0.4
