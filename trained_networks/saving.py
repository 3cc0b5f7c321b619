"""A trained network and what made it, written to a run's folder."""

import functools
import json
import platform

from errors import Mistake
from files import whole
from trained_networks.packed import build_float32_unet


def save_network(unet, path):
    """Write the U-Net as a float32 `.keras` file, whatever precision it was trained in.

    Raises:
        Mistake: the disk is full or not writable; a file saved before stays as it is.
    """
    network = _kept_unet(unet.input_shape[1])
    network.set_weights(unet.get_weights())
    try:
        with whole(path) as unfinished:
            network.save(unfinished)
    except OSError as error:
        raise Mistake(f"cannot save {path}: {error.strerror or error}") from error


_kept_unet = functools.lru_cache(maxsize=1)(build_float32_unet)  # Keras never frees a network


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
