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
from PIL import Image

from data import DataError, find_faces, hold_out_identities, load_faces, to_faces, to_pixels
from facenet import FaceNet, WeightsError
from metrics import HeldOut, quality_table

RUN_DIR = "output"  # the output folder of a finished training
FACES_DIR = None  # one folder per identity; None: the faces that the training held out
FACES = 96  # number of faces measured, spread over the identities


def dlib_recogniser():
    """Return dlib's recogniser as a function from faces to embeddings; None if not installed.

    It wants aligned 150x150 pictures; the faces, which fill their frames much like those, are
    only resized. The function takes float32 (B, H, W, 3) in [-1, 1] and returns (B, 128).
    """
    if not all(importlib.util.find_spec(name) for name in ("dlib", "face_recognition_models")):
        return None
    import dlib

    # Found, not imported: importing the package needs a setuptools older than 81.
    folder = Path(importlib.util.find_spec("face_recognition_models").origin).parent
    weights = folder / "models" / "dlib_face_recognition_resnet_model_v1.dat"
    network = dlib.face_recognition_model_v1(str(weights))

    def embed(faces):
        chips = [
            np.asarray(Image.fromarray(face).resize((150, 150), Image.Resampling.BICUBIC))
            for face in to_pixels(faces).numpy()
        ]
        return np.array(network.compute_face_descriptor(chips), np.float32)

    return embed


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

    unet = keras.models.load_model(network_path, compile=False)
    super_resolve = tf.function(functools.partial(unet, training=False))
    facenet = FaceNet(constants["FACENET_WEIGHTS"])
    recognisers = {"FaceNet, the recogniser of the loss": tf.function(facenet)}
    if embed := dlib_recogniser():
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
