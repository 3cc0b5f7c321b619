"""Which trained network is meant, and what made it."""

import json
import os
from pathlib import Path

from errors import Mistake, expanded, shown
from trained_networks.places import (
    BEST,
    CONFIG,
    FILE_NAME,
    PRETRAINED,
    RUNS,
    is_packed,
    run_of,
)


def add_model_option(parser):
    """Give an `argparse.ArgumentParser` the option --model; None stands for `newest_network`."""
    parser.add_argument(
        "-m",
        "--model",
        help=f"a .keras file, or a packed .npz file (default: {RUNS}/{FILE_NAME}, or the newest "
        f"{FILE_NAME} in subfolders of {RUNS}, or the best epoch of an unfinished training, or "
        "the network of the repository)",
    )


def newest_network(folder=RUNS):
    """Find the network that was trained last in a folder.

    Args:
        folder: an output folder of `train.py`, or a folder of such folders; or a network.

    Returns:
        `Path` of a `model.keras`, or where no training has finished, of the best epoch's
        `checkpoints/best.keras`; the folder's own, or else the newest below it. Where `RUNS` has
        none, `PRETRAINED`.

    Raises:
        Mistake: there is none.
    """
    is_default = str(folder) == RUNS
    folder = expanded(Path(folder))
    if os.path.isfile(folder):
        return folder
    found = [p for name in (FILE_NAME, BEST) for p in folder.rglob(name) if os.path.isfile(p)]
    if not found and is_default and os.path.isfile(PRETRAINED):
        return PRETRAINED
    if not found:
        raise Mistake(f"there is no trained network in {folder}: run train.py first")
    return max(
        found,
        key=lambda path: (path.name == FILE_NAME, run_of(path) == folder, path.stat().st_mtime_ns),
    )


def shown_network(network):
    """Return the path of a network for the user, who did not train the shipped one."""
    of_repository = " (of the repository, trained beforehand)" if network == PRETRAINED else ""
    return f"{shown(network)}{of_repository}"


def find_run(folder):
    """Find the newest trained network in a folder, see `newest_network`, and what made it.

    Args:
        folder: RUN_DIR of a command.

    Returns:
        (the run, see `run_of`, path of the network, constants of its training, its recipe).

    Raises:
        Mistake: there is none, or what made it is missing or damaged.
    """
    try:
        network = newest_network(folder)
    except Mistake as mistake:
        raise Mistake(f"RUN_DIR: {mistake}") from mistake
    return run_of(network), network, *read_config(network)


def evaluation_folder(run):
    """Return where the results of a run are written: in it, or for a packed network, in `RUNS`."""
    return (Path(RUNS, run.stem) if is_packed(run) else run) / "evaluation"


def read_config(network):
    """Return (constants, recipe) of the training that left a network, see `write_config`.

    Args:
        network: `Path`, see `newest_network`.

    Raises:
        Mistake: the run's `config.json`, or the JSON file of a packed network, is missing or
            damaged.
    """
    path = network.with_suffix(".json") if is_packed(network) else run_of(network) / CONFIG
    try:
        config = json.loads(path.read_text())
        return config["constants"], config["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Mistake(f"{path} is missing or damaged: {error}") from error
