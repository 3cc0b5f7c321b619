"""A trained network as a file: saved, found again, and loaded, with the constants that made it."""

import functools
import hashlib
import json
import os
import platform
import zipfile
from pathlib import Path

import keras
import tensorflow as tf

from errors import Mistake, expanded
from files import whole
from imaging.lists import fingerprint
from model import build_unet

RUNS = "output"  # where networks are looked for: OUTPUT_DIR of train.py
FILE_NAME = "model.keras"  # what a finished training calls its network
BEST = "checkpoints/best.keras"  # what an unfinished one has
CONFIG = "config.json"  # lies in the run's folder
PEOPLE = "people.json"  # likewise: whom it was trained on
MOST_MARKS = 2_000  # people of whom a picture is remembered: seconds, also on slow disks


# --- Saving ----------------------------------------------------------------------------------


def save_network(unet, path):
    """Write the U-Net as a float32 `.keras` file, whatever precision it was trained in.

    Raises:
        Mistake: the disk is full or not writable; a file saved before stays as it is.
    """
    network = _float32_unet(unet.input_shape[1])
    network.set_weights(unet.get_weights())
    try:
        with whole(path) as unfinished:
            network.save(unfinished)
    except OSError as error:
        raise Mistake(f"cannot save {path}: {error.strerror or error}") from error


@functools.lru_cache(maxsize=1)  # Keras never frees the memory of a network it built
def _float32_unet(image_size):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return build_unet(image_size)
    finally:
        keras.config.set_dtype_policy(policy)


def write_config(path, constants, recipe, device):
    """Write what made a result: constants, what they resolved to, the hardware, the versions.

    Args:
        path: `Path` of the JSON file.
        constants: {name: value} of a command; values that JSON does not know become strings.
        recipe: what the training's constants resolved to, see `training.constants.recipe_of`.
        device: a line about the hardware.
    """
    packages = {name: __import__(name).__version__ for name in ("tensorflow", "keras", "numpy")}
    config = {
        "constants": constants,
        "recipe": recipe,
        "device": device,
        "versions": {
            "python": platform.python_version(),
            **packages,
            "platform": platform.platform(),
        },
    }
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(config, indent=2, default=str) + "\n")


# --- Whom it was trained on --------------------------------------------------------------------


def write_people(run, faces, start=None):
    """Keep with a run whom it trains on, so that it can be told later where the faces are gone.

    Of every person (of `MOST_MARKS` of them, if there are more) the mark of one picture is kept:
    folders are moved, renamed and copied, pictures stay what they are.

    Args:
        run: `Path` of the run's folder.
        faces: `FaceList` of the training faces.
        start: path of the trained network that it starts from, whose people count as well.
    """
    path = run / PEOPLE
    faces_line = fingerprint(faces)
    if path.exists() and read_people(run).get("faces") == faces_line:
        return  # the run goes on
    before = read_people(run_of(Path(start).resolve())).get("people", {}) if start else {}
    people = {"faces": faces_line, "people": before | people_of(faces)}
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(people, indent=0) + "\n")


def people_of(faces):
    """Return {name: mark of the first picture, or None} of the people of a `FaceList`."""
    first = faces.first_of_each()
    every = -(-len(first) // MOST_MARKS)
    return {
        name: picture_mark(picture) if i % every == 0 else None
        for i, (name, picture) in enumerate(first.items())
    }


def read_people(run):
    """Return {"faces": fingerprint, "people": {name: mark or None}} of a run; {} if unknown."""
    try:
        known = json.loads((run / PEOPLE).read_text())
        return known if isinstance(known["people"], dict) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def picture_mark(path):
    """Return a line that tells an image file from others, whatever its name; None if unreadable.

    Size and first 16 kB are enough and quick to read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(1 << 14)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    return f"{size} {hashlib.sha256(start).hexdigest()[:16]}"


# --- Finding and loading ---------------------------------------------------------------------


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
        Mistake: there is none.
    """
    folder = expanded(Path(folder))
    found = [p for name in (FILE_NAME, BEST) for p in folder.rglob(name) if os.path.isfile(p)]
    if not found:
        raise Mistake(f"there is no trained network in {folder}: run train.py first")
    return max(
        found,
        key=lambda path: (path.name == FILE_NAME, run_of(path) == folder, path.stat().st_mtime_ns),
    )


def run_of(network):
    """Return the output folder of the training that left a network, by the network's path."""
    return network.parent if network.name == FILE_NAME else network.parents[1]


def read_config(network):
    """Return (constants, recipe) of the training that left a network, see `write_config`.

    Args:
        network: `Path`, see `newest_network`.

    Raises:
        Mistake: the run's `config.json` is missing or damaged.
    """
    path = run_of(network) / CONFIG
    try:
        config = json.loads(path.read_text())
        return config["constants"], config["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Mistake(f"{path} is missing or damaged: {error}") from error


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


def find_run(folder):
    """Find the newest trained network in a folder, see `newest_network`, and what made it.

    Args:
        folder: RUN_DIR of a command.

    Returns:
        (the run's folder, path of the network, constants of its training, its recipe).

    Raises:
        Mistake: there is none, or the run's `config.json` is missing or damaged.
    """
    try:
        network = newest_network(folder)
    except Mistake as mistake:
        raise Mistake(f"RUN_DIR: {mistake}") from mistake
    return run_of(network), network, *read_config(network)


def load_network(path):
    """Load a trained U-Net in float32.

    Args:
        path: `.keras` file of a training or an export.

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
