"""A trained network read from its file, and at work."""

import zipfile
from pathlib import Path

import keras
import tensorflow as tf

from errors import Mistake, expanded
from trained_networks.packed import read_packed
from trained_networks.places import is_packed


def load_network(path):
    """Load a trained U-Net in float32.

    Args:
        path: `.keras` file of a training or an export, or a packed `.npz` file.

    Returns:
        `keras.Model` from lr_faces to sr_faces, both float32 (B, S, S, 3) in [-1, 1]; call it
        with `training=False`.

    Raises:
        Mistake: the file is missing, unreadable, damaged, or maps something else than faces to
            faces.
    """
    path = expanded(Path(path))
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        raise Mistake(f"there is no trained network {path}") from error
    except OSError as error:
        raise Mistake(f"cannot read the trained network {path}: {error.strerror}") from error
    if is_packed(path):
        return read_packed(path)
    try:
        network = keras.models.load_model(path, compile=False)
        shapes = tuple(network.input_shape), tuple(network.output_shape)
    except Exception as error:  # Keras raises many kinds for damaged files
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        # Not every error is about the file.
        trouble = "cannot be loaded" if _is_whole(path) else "is not a whole .keras file"
        raise Mistake(f"{path} {trouble}: {reason}") from error
    size = shapes[0][1] if len(shapes[0]) == 4 else None
    if size is None or shapes != ((None, size, size, 3),) * 2:
        raise Mistake(
            f"{path} maps {shapes[0]} to {shapes[1]}; expected (None, S, S, 3) to the same"
        )
    return network


def _is_whole(path):
    """Return whether a file is a `.keras` archive and all its checksums are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None and "config.json" in archive.namelist()
    except Exception:  # zipfile raises many kinds for damaged files
        return False


def take_weights(unet, path):
    """Give a U-Net the weights of a trained network.

    Args:
        unet: network of `model.build_unet`; changed in place.
        path: see `load_network`.

    Raises:
        Mistake: see `load_network`; or the network has other layers or another image size.
    """
    network = load_network(path)
    shapes = [[tuple(w.shape) for w in n.weights] for n in (network, unet)]
    if shapes[0] != shapes[1] or network.input_shape != unet.input_shape:
        raise Mistake(f"START_WEIGHTS {path} is another network than this one of model.py")
    unet.set_weights(network.get_weights())


def super_resolution(network, correct):
    """Return what a network makes of faces as a compiled function, for use, not training.

    Args:
        network: `keras.Model` from lr_faces to sr_faces, both (B, S, S, 3) in [-1, 1].
        correct: function from (sr_faces, lr_faces, low_resolutions) to sr_faces, see
            `data.Degradation.correct`.

    Returns:
        Function from (lr_faces, low_resolutions), float32 (B, S, S, 3) and int32 (B, 2) of any B,
        to sr_faces.
    """
    lr_faces = tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)
    low_resolutions = tf.TensorSpec((None, 2), tf.int32)

    @tf.function(input_signature=[lr_faces, low_resolutions])
    def run(lr_faces, low_resolutions):
        return correct(network(lr_faces, training=False), lr_faces, low_resolutions)

    return run
