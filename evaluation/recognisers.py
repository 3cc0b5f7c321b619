"""Who judges: the FaceNet of the loss, and recognisers that the loss never saw."""

import dataclasses
import functools
from pathlib import Path

import tensorflow as tf

from data import to_pixels
from errors import Mistake
from evaluation import dlib_recogniser
from facenet import EMBEDDED_WEIGHTS, FaceNet, WeightsError
from metrics import in_batches

DLIB = "dlib"


@dataclasses.dataclass(frozen=True)
class Recogniser:
    """Something that tells faces apart.

    Attributes:
        name: what tables call it.
        embed: function from float32 (B, H, W, 3) in [-1, 1] to float32 (B, E).
        centred: whether the mean embedding of the HR faces is subtracted. dlib's have a large
            part in common, which would hide the differences from a cosine.
    """

    name: str
    embed: callable
    centred: bool = False


def find_recognisers(training, recipe, unseen, face_box):
    """Return a list of `Recogniser`: the FaceNet of the loss, and the unseen one if there is one.

    Args:
        training: constants of the training.
        recipe: what they resolved to.
        unseen: "dlib", the path of another FaceNet weight file, or None.
        face_box: see `dlib_recogniser.describe`.

    Raises:
        Mistake: a weight file is missing, or is not what it should be.
    """
    facenet = _facenet_of_the_loss(training, recipe)
    recognisers = [_from_facenet("FaceNet of the loss", facenet)]
    if unseen == DLIB:
        if dlib_recogniser.is_installed():

            def embed(faces):
                return dlib_recogniser.describe(to_pixels(faces).numpy(), face_box)

            recognisers.append(Recogniser("dlib, unseen by the loss", embed, centred=True))
        else:
            print("dlib-bin and face-recognition-models are not installed: no unseen recogniser")
    elif unseen is not None:
        recognisers.append(_other_facenet(unseen, facenet.fingerprint))
    return recognisers


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
            "one back, or name this one as UNSEEN_RECOGNISER"
        )
    return facenet


def _other_facenet(path, fingerprint_of_the_loss):
    try:
        facenet = FaceNet(path)
    except WeightsError as error:
        raise Mistake(f"UNSEEN_RECOGNISER: {error}") from error
    if facenet.fingerprint == fingerprint_of_the_loss:
        raise Mistake(f"UNSEEN_RECOGNISER {path} is the FaceNet of the loss: name another")
    return _from_facenet(f"{Path(path).name}, unseen by the loss", facenet)


def _from_facenet(name, facenet):
    embed = tf.function(facenet, reduce_retracing=True)
    return Recogniser(name, functools.partial(in_batches, embed))
