"""How faces were degraded in the training of a network, which is how they are in its use."""

from pathlib import Path

from errors import Mistake, expanded
from trained_networks.finding import read_config


def options_of(constants):
    """Return the options of `data.Degradation` by the constants of a training.

    Earlier trainings lack some: they neither rounded nor corrected.
    """
    return {
        "antialias": constants["ANTIALIAS"],
        "eight_bits": constants.get("EIGHT_BITS", False),
        "consistent": constants.get("CONSISTENT", False),
    }


def degradation_options(network):
    """Return the options of `data.Degradation` by the training that left a network.

    Args:
        network: its path; of a file that came alone, nothing is known: {}, for the usual ones.
    """
    try:
        return options_of(read_config(expanded(Path(network)).absolute())[0])
    except (Mistake, KeyError, TypeError):
        return {}
