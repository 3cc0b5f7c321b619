"""Where trained networks lie, and what lies beside them."""

from pathlib import Path

RUNS = "output"  # where networks are looked for: OUTPUT_DIR of train.py
FILE_NAME = "model.keras"  # what a finished training calls its network
BEST = "checkpoints/best.keras"  # what an unfinished one has
CONFIG = "config.json"  # lies in the run's folder
PEOPLE = "people.json"  # likewise: whom it was trained on
ELSEWHERE = "elsewhere"  # of a packed network, the folder of what was its maker's
PACKED = ".npz"  # the ending of a packed network; the same name with .json says what made it
PRETRAINED = Path(__file__).parent.parent / "pretrained" / f"ipunet{PACKED}"  # what is shipped


def is_packed(network):
    """Return whether the path of a network is that of a packed one."""
    return network.suffix == PACKED


def run_of(network):
    """Return the output folder of the training that left a network, by the network's path.

    A packed network carries what others have in a folder: it is its own run.
    """
    if is_packed(network):
        return network
    return network.parents[1] if network.name == Path(BEST).name else network.parent
