"""Measure a trained network on people it never saw, also with a recogniser it never met.

Edit the constants below, then run `python evaluate.py`. Bicubic enlargement and super-resolution
are compared on the same faces, under the FaceNet of the loss and, if dlib is installed, under
dlib's recogniser. A gain under the first alone would only mean that the network learned to please
it; a gain under both is identity.
"""

import functools
import importlib.util
import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hardware
from data import DataError, find_faces, hold_out_identities, load_faces, to_faces, to_pixels
from facenet import FaceNet, WeightsError
from metrics import HeldOut, quality_table

RUN_DIR = "output"  # the output folder of a finished training
FACES_DIR = None  # one folder per identity; None: the faces that the training held out
FACES = 96  # number of faces measured, spread over the identities
FACE_BOX = (0.15, 0.2, 0.85, 0.9)  # left, top, right, bottom of the face in its picture, for dlib


def dlib_recogniser(hr_faces):
    """Return dlib's recogniser as a function from faces to embeddings; None if not installed.

    Each picture is aligned as dlib wants it, by five landmarks found in that picture alone. The
    mean descriptor of the HR faces is subtracted: dlib's descriptors have a large part in common,
    which would hide the differences from a cosine.

    Args:
        hr_faces: float32 (N, H, W, 3) in [-1, 1], the faces whose mean is subtracted.

    Returns:
        Function from float32 (B, H, W, 3) in [-1, 1] to float32 (B, 128).
    """
    if not all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models")):
        return None
    import dlib

    # Found, not imported: importing the package needs a setuptools older than 81.
    package = Path(importlib.util.find_spec("face_recognition_models").origin).parent
    models = package / "models"
    network = dlib.face_recognition_model_v1(
        str(models / "dlib_face_recognition_resnet_model_v1.dat")
    )
    find_landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))

    def align(pixels):
        height, width = pixels.shape[:2]
        left, top, right, bottom = FACE_BOX
        box = dlib.rectangle(
            round(left * width), round(top * height), round(right * width), round(bottom * height)
        )
        return dlib.get_face_chip(pixels, find_landmarks(pixels, box), size=150, padding=0.25)

    def describe(faces):
        chips = [align(pixels) for pixels in to_pixels(faces).numpy()]
        return np.array(network.compute_face_descriptor(chips), np.float32)

    mean = describe(hr_faces).mean(axis=0)
    return lambda faces: describe(faces) - mean


def main():
    """Print one table per recogniser and write them to `evaluation.md` in the run's folder.

    Raises:
        DataError, WeightsError, OSError: one line that names the constant or path to change.
    """
    folder = Path(RUN_DIR)
    config_path, network_path = folder / "config.json", folder / "model.keras"
    if not (config_path.is_file() and network_path.is_file()):
        raise DataError(f"RUN_DIR {folder} holds no finished training: run train.py first")
    constants = json.loads(config_path.read_text())["constants"]
    if FACES_DIR is not None:
        paths = find_faces(FACES_DIR)
    elif constants["VALIDATION_DIR"] is not None:
        paths = find_faces(constants["VALIDATION_DIR"])
    else:
        paths = find_faces(constants["TRAIN_DIR"])
        _, paths = hold_out_identities(paths, constants["HELD_OUT_IDENTITIES"])
    pixels, identities, unreadable = load_faces(paths, FACES, constants["IMAGE_SIZE"])
    for reason in unreadable.values():
        print(f"Passed over {reason}")

    hardware.use_hardware("float32")
    unet = keras.models.load_model(network_path, compile=False)
    super_resolve = tf.function(functools.partial(unet, training=False))
    facenet = FaceNet(constants["FACENET_WEIGHTS"], constants.get("FACENET_INPUT", "auto"))
    recognisers = {"FaceNet, the recogniser of the loss": tf.function(facenet)}
    if embed := dlib_recogniser(to_faces(pixels)):
        recognisers["dlib, a recogniser that was not in the loss"] = embed
    else:
        print("dlib-bin and face-recognition-models are not installed: no unseen recogniser")

    report = []
    for name, embed in recognisers.items():
        sizes = constants["LOW_RESOLUTIONS"]
        held_out = HeldOut(to_faces(pixels), identities, embed, sizes, constants["ANTIALIAS"])
        table = quality_table(held_out, held_out.measure(super_resolve))
        report.append(f"{name}: {table}\n")
        print(f"\n{report[-1]}", flush=True)
    (folder / "evaluation.md").write_text("\n".join(report))


if __name__ == "__main__":
    try:
        main()
    except (DataError, WeightsError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
