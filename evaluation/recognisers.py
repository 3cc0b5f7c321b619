"""Who judges: the FaceNet of the loss, and recognisers that the loss never saw."""

import dataclasses
import functools
from pathlib import Path

import tensorflow as tf

from data import to_pixels
from errors import Mistake
from evaluation import dlib_recogniser
from evaluation.onnx_recogniser import POINTS, OnnxRecogniser
from facenet import EMBEDDED_WEIGHTS, FaceNet, WeightsError
from metrics import in_batches

DLIB = "dlib"
UNSEEN = "unseen by the loss"
TEACHERS = (
    "dlib and FaceRes taught the embedded FaceNet of the loss, which never asked them itself: "
    "where they judge, they are not independent of it"
)


@dataclasses.dataclass(frozen=True)
class Recogniser:
    """Something that tells faces apart.

    Attributes:
        name: what tables call it.
        embed: function from float32 (B, H, W, 3) in [-1, 1] and landmarks to float32 (B, E).
        locate: function from float32 (B, H, W, 3) to the landmarks that `embed` wants, an array of
            B; None if it wants none.
        centred: whether the mean embedding of the HR faces is subtracted. dlib's have a large
            part in common, which would hide the differences from a cosine.
    """

    name: str
    embed: callable
    locate: callable = None
    centred: bool = False


def find_recognisers(training, recipe, unseen, face_box, flip=False):
    """Return a list of `Recogniser`: the FaceNet of the loss, then the unseen ones.

    Args:
        training: constants of the training.
        recipe: what they resolved to.
        unseen: list of "dlib", paths of ONNX files or of FaceNet weight files, and dicts: the path
            of an ONNX file, and fields of `Convention`.
        face_box: where in a picture dlib looks for landmarks, see `dlib_recogniser`.
        flip: whether embeddings are means over a face and its mirror image.

    Raises:
        Mistake: a file is missing, or is not what it should be.
    """
    facenet = _facenet_of_the_loss(training, recipe)
    recognisers = [_from_facenet("FaceNet of the loss", facenet, flip)]
    # One function, so that all who want these landmarks share them.
    locate = functools.partial(_locate, dlib_recogniser.find_five_landmarks, face_box)
    for spec in unseen:
        said = dict(spec) if isinstance(spec, dict) else {"path": spec}
        path = said.pop("path", None)
        if path is None:
            raise Mistake(f'UNSEEN_RECOGNISERS: {spec} lacks "path"')
        try:
            if path == DLIB and not dlib_recogniser.is_installed():
                print(f"dlib does not judge: {dlib_recogniser.INSTALL}")
            elif path == DLIB:
                recognisers.append(_dlib(face_box, flip))
            elif said or Path(path).suffix.lower() == ".onnx":
                recognisers.append(_from_onnx(path, said, locate, flip))
            else:
                recognisers.append(_other_facenet(path, facenet.fingerprint, flip))
        except (Mistake, WeightsError) as error:
            raise Mistake(f"UNSEEN_RECOGNISERS: {error}") from error
    names = [recogniser.name for recogniser in recognisers]
    if len(set(names)) < len(names):
        raise Mistake(f"UNSEEN_RECOGNISERS: two are called alike: {', '.join(names[1:])}")
    return recognisers


def shared_teachers(training, recognisers):
    """Return a list of lines about who judges: that the loss knows some of them at second hand.

    Args:
        training: constants of the training.
        recognisers: see `find_recognisers`.
    """
    is_embedded = Path(training["FACENET_WEIGHTS"]).name == EMBEDDED_WEIGHTS.name
    asked = training.get("EMBEDDING_WEIGHT", 1.0) > 0.0
    return [TEACHERS] if is_embedded and asked and len(recognisers) > 1 else []


def _locate(find, face_box, faces):
    return find(to_pixels(faces).numpy(), face_box)


def _dlib(face_box, flip):
    def embed(faces, landmarks):
        return dlib_recogniser.describe(to_pixels(faces).numpy(), landmarks, flip)

    locate = functools.partial(_locate, dlib_recogniser.find_own_landmarks, face_box)
    return Recogniser(f"dlib, {UNSEEN}", embed, locate, centred=True)


def _from_onnx(path, said, locate, flip):
    network = OnnxRecogniser(path, **said)
    if network.convention.face == POINTS and not dlib_recogniser.is_installed():
        raise Mistake(
            f"{path} wants faces aligned by landmarks, which dlib finds: {dlib_recogniser.INSTALL}"
            '; or name it as {"path": ..., "face": "whole"}, if the faces are aligned already'
        )

    def embed(faces, landmarks):
        return network.embed(to_pixels(faces).numpy(), landmarks, flip)

    locate = locate if network.convention.face == POINTS else None
    return Recogniser(f"{Path(path).name}, {UNSEEN}", embed, locate, network.convention.centred)


def _facenet_of_the_loss(training, recipe):
    weights = Path(training["FACENET_WEIGHTS"])
    if weights.name == EMBEDDED_WEIGHTS.name and not weights.exists():
        weights = EMBEDDED_WEIGHTS  # the repository was moved
    try:
        facenet = FaceNet(weights, training.get("FACENET_INPUT", "auto"))
    except WeightsError as error:
        raise Mistake(f"the FaceNet of the loss: {error}") from error
    if facenet.fingerprint != recipe["FaceNet"]:
        raise Mistake(
            f"{weights} is another FaceNet than the one in the loss: put that "
            "one back, or name this one in UNSEEN_RECOGNISERS"
        )
    return facenet


def _other_facenet(path, fingerprint_of_the_loss, flip):
    facenet = FaceNet(path)
    if facenet.fingerprint == fingerprint_of_the_loss:
        raise Mistake(f"{path} is the FaceNet of the loss: name another")
    return _from_facenet(f"{Path(path).name}, {UNSEEN}", facenet, flip)


def _from_facenet(name, facenet, flip):
    def mean_of_both(faces):
        return (facenet(faces) + facenet(faces[:, :, ::-1])) / 2

    network = tf.function(mean_of_both if flip else facenet, reduce_retracing=True)
    return Recogniser(name, lambda faces, landmarks: in_batches(network, faces))
