"""The trained network that a training may start from, known by what its file holds."""

import hashlib
from pathlib import Path

from trained_networks import take_weights
from training.checkpoints import list_checkpoints

START = "start weights"  # its name in a recipe
GONE = "a file that is gone"


def start_from_network(unet, path, folder):
    """Give a U-Net the weights that its training starts from.

    A training that goes on has all it needs in its checkpoints: then the file may be gone.

    Args:
        unet: network of `model.build_unet`; changed in place.
        path: `START_WEIGHTS`.
        folder: `OUTPUT_DIR`.

    Raises:
        Mistake: see `take_weights`.
    """
    if Path(path).exists() or not list_checkpoints(Path(folder) / "checkpoints"):
        take_weights(unet, path)


def fingerprint_of_start(path):
    """Return a line that tells networks to start from apart, wherever their files lie.

    Args:
        path: `START_WEIGHTS`; None gives None.
    """
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except FileNotFoundError:
        return GONE


def compared_starts(before, now):
    """Return two recipes as they are to be compared in what the training started from.

    Args:
        before: recipe of a checkpoint; earlier versions kept the path, which may have moved.
        now: recipe of the constants, whose file may be gone: then it counts as the one before.
    """
    start, started = now.get(START), before.get("START_WEIGHTS")
    if START not in before and started is not None:
        before = before | {START: start or started}
    if before.get(START) == GONE and start:  # it was gone when an older training went on
        before = before | {START: start}
    if start == GONE and before.get(START):
        now = now | {START: before[START]}
    return before, now
