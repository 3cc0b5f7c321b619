"""A trained network as a file: saved, found again and loaded, with what made it.

`python -m trained_networks RUN_DIR` packs one into the small file that the repository ships.
"""

import hardware  # noqa: F401  # before TensorFlow

from trained_networks.degrading import degradation_options, options_of
from trained_networks.finding import (
    PRETRAINED,
    add_model_option,
    evaluation_folder,
    find_run,
    newest_network,
    read_config,
    shown_network,
)
from trained_networks.loading import load_network, super_resolution, take_weights
from trained_networks.people import names_of, people_of, picture_mark, read_people, write_people
from trained_networks.places import BEST, CONFIG, ELSEWHERE, FILE_NAME, RUNS, run_of
from trained_networks.saving import save_network, write_config

__all__ = [
    "BEST",
    "CONFIG",
    "ELSEWHERE",
    "FILE_NAME",
    "PRETRAINED",
    "RUNS",
    "add_model_option",
    "degradation_options",
    "evaluation_folder",
    "find_run",
    "load_network",
    "newest_network",
    "names_of",
    "options_of",
    "people_of",
    "picture_mark",
    "read_config",
    "read_people",
    "run_of",
    "save_network",
    "shown_network",
    "super_resolution",
    "take_weights",
    "write_config",
    "write_people",
]
