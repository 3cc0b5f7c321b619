"""A trained network in use: finding it, loading it, and giving it pictures of any size."""

import os
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from data import to_faces, to_pixels

RUNS = "output"  # where networks are looked for: OUTPUT_DIR of train.py
FILE_NAME = "model.keras"  # what a finished training calls its network


class NetworkError(ValueError):
    """A trained network that is missing, damaged or of another kind."""


def add_model_option(parser):
    """Give an `argparse.ArgumentParser` the option --model; None stands for `newest_network`."""
    parser.add_argument(
        "-m",
        "--model",
        help=f"a .keras file (default: {RUNS}/{FILE_NAME}, or the newest {FILE_NAME} in "
        f"subfolders of {RUNS}, or the best epoch of an unfinished training)",
    )


def newest_network(folder=RUNS):
    """Find the network that was trained last in a folder.

    Args:
        folder: an output folder of `train.py`, or a folder of such folders.

    Returns:
        `Path` of a `model.keras`, or where no training has finished, of the best epoch's
        `checkpoints/best.keras`; the folder's own, or else the newest below it.

    Raises:
        NetworkError: there is none.
    """
    folder = Path(folder)
    names = (FILE_NAME, "checkpoints/best.keras")
    found = [path for name in names for path in folder.rglob(name) if os.path.isfile(path)]
    if not found:
        raise NetworkError(f"there is no trained network in {folder}: run train.py first")
    return max(
        found,
        key=lambda path: (path.name == FILE_NAME, run_of(path) == folder, path.stat().st_mtime_ns),
    )


def run_of(network):
    """Return the output folder of the training that left a network, by the network's path."""
    return network.parent if network.name == FILE_NAME else network.parents[1]


def load_network(path):
    """Load a trained U-Net in float32.

    Args:
        path: `.keras` file of a training or an export.

    Returns:
        `keras.Model` from lr_faces to sr_faces, both float32 (B, S, S, 3) in [-1, 1]; call it
        with `training=False`.

    Raises:
        NetworkError: the file is missing, unreadable, damaged, or maps something else than faces
            to faces.
    """
    path = Path(path)
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        message = f"there is no file {path}: name a trained network with --model"
        raise NetworkError(message) from error
    except OSError as error:
        raise NetworkError(f"cannot read --model {path}: {error.strerror}") from error
    try:
        network = keras.models.load_model(path, compile=False)
        shapes = tuple(network.input_shape), tuple(network.output_shape)
    except Exception as error:  # Keras raises many kinds for damaged files
        reason = " ".join(str(error).split())[:200]
        raise NetworkError(f"{path} is not a whole .keras file: {reason}") from error
    size = shapes[0][1] if len(shapes[0]) == 4 else None
    if size is None or shapes != ((None, size, size, 3),) * 2:
        raise NetworkError(
            f"{path} maps {shapes[0]} to {shapes[1]}; expected (None, S, S, 3) to the same"
        )
    return network


def enlarge(pixels, size=128):
    """Make pictures of any size the input of the network.

    Pictures that are not square are padded to one by repeating their edges, so that faces keep
    their proportions. Smaller ones are enlarged by the bicubic kernel that training enlarges with,
    larger ones reduced by the antialiased one that it reduces with. Works in graphs as well.

    Args:
        pixels: uint8 RGB (B, H, W, 3), of any H and W from 1.
        size: height and width of the network's faces.

    Returns:
        lr_faces, float32 (B, size, size, 3) in [-1, 1].
    """
    height, width = tf.unstack(tf.shape(pixels)[1:3])
    side = tf.maximum(height, width)
    for axis, length in ((1, height), (2, width)):
        positions = tf.range(side) - (side - length) // 2
        pixels = tf.gather(pixels, tf.clip_by_value(positions, 0, length - 1), axis=axis)
    faces = to_faces(pixels)
    faces = tf.cond(
        side > size,
        lambda: tf.image.resize(faces, (size, size), "bicubic", antialias=True),
        lambda: tf.image.resize(faces, (size, size), "bicubic"),
    )
    return tf.clip_by_value(tf.ensure_shape(faces, (None, size, size, 3)), -1.0, 1.0)


def without_padding(faces, height, width):
    """Cut off what `enlarge` added to a picture that was not square.

    Args:
        faces: (S, S, 3) array of one face, enlarged or super-resolved.
        height: height of the picture before, in pixels.
        width: its width.

    Returns:
        View (H, W, 3) of `faces` with the longer side S and the proportions of the picture.
    """
    size, side = faces.shape[0], max(height, width)
    box = []
    for length in (height, width):
        kept = max(1, round(length * size / side))
        start = min(round((side - length) // 2 * size / side), size - kept)
        box.append(slice(start, start + kept))
    return faces[box[0], box[1]]


class SuperResolver:
    """A network that takes and returns pictures.

    Attributes:
        size: height and width of the network's faces in pixels.
    """

    def __init__(self, network, batch_size=16):
        """Compile a network for batches of any length.

        Args:
            network: `keras.Model`, see `load_network`.
            batch_size: most faces computed at a time; it changes memory and speed alone.
        """
        self.size = network.input_shape[1]
        self._batch_size = batch_size
        self._run = tf.function(
            lambda lr_faces: network(lr_faces, training=False),
            input_signature=[tf.TensorSpec((None, self.size, self.size, 3), tf.float32)],
        )

    def __call__(self, pictures):
        """Super-resolve pictures, each of its own size.

        Args:
            pictures: list of uint8 RGB arrays (H, W, 3).

        Returns:
            (lr_faces, sr_faces): NumPy arrays, float32 (N, S, S, 3) in [-1, 1], the padding of
            pictures that are not square still with them; see `without_padding`.
        """
        lr_faces = np.concatenate([enlarge(picture[None], self.size) for picture in pictures])
        starts = range(0, len(lr_faces), self._batch_size)
        sr_faces = [self._run(lr_faces[start : start + self._batch_size]) for start in starts]
        return lr_faces, np.concatenate(sr_faces)


def cut_pixels(face, picture):
    """Return one face (S, S, 3) in [-1, 1] as uint8 pixels in the proportions of its picture."""
    return without_padding(to_pixels(face).numpy(), *picture.shape[:2])
