"""Pack a trained network into a small file: `python -m trained_networks RUN_DIR`."""

import hardware  # noqa: F401  # before TensorFlow

import argparse
from pathlib import Path

from errors import expanded, tell
from trained_networks.cost import cost_table
from trained_networks.finding import find_run
from trained_networks.loading import load_network
from trained_networks.packed import STEP, read_packed, write_packed
from trained_networks.people import read_people, without_names
from trained_networks.places import PRETRAINED, is_packed
from trained_networks.summary import write_summary

DESCRIPTION = """\
Pack a trained network into the small file that the repository ships, with a JSON file beside it
that says what made it. Both have no names of people and no paths of this machine."""


def parse(arguments=None):
    """Return the parsed command line; prints usage and exits with 2 if it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m trained_networks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run", metavar="RUN_DIR", help="a training's output folder, or its .keras file"
    )
    parser.add_argument(
        "-o", "--output", default=str(PRETRAINED), help="the file (default: %(default)s)"
    )
    parser.add_argument(
        "--step",
        type=float,
        default=STEP,
        help="what weights are rounded to, in root mean squares of their channel (%(default)s)",
    )
    parser.add_argument("--data", help="what it was trained on, in words, for the JSON file")
    parser.add_argument(
        "--faces",
        metavar="FOLDER",
        action="append",
        help="print, and write into the JSON file, what packing costs on faces of a folder; can "
        "be given again",
    )
    parser.add_argument("--count", type=int, default=48, help="of --faces (%(default)s)")
    options = parser.parse_args(arguments)
    options.output = expanded(Path(options.output))
    if not is_packed(options.output) or not 0.0 < options.step <= 4.0 or options.count < 1:
        parser.error("--output must end in .npz, --step lie in (0, 4], --count be 1 or more")
    return options


def main(arguments=None):
    """Do what the command line asks for.

    Raises:
        Mistake: the run has no network, or no whole one, or faces are missing.
        OSError: a file cannot be written.
    """
    options = parse(arguments)
    run, path, constants, recipe = find_run(options.run)
    network = load_network(path)
    write_packed(options.output, network, without_names(read_people(run)), options.step)
    packed = read_packed(options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB, from {path}")
    cost = None
    if options.faces:
        cost = cost_table(network, packed, constants, options.faces, options.count)
    summary = write_summary(options.output, path, constants, recipe, options.data, cost)
    print(f"{summary}: what made it; commit both")


if __name__ == "__main__":
    tell(main)
