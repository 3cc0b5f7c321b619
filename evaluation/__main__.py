"""Compare two networks on the same pairs: `python -m evaluation BEFORE AFTER`."""

import argparse

from errors import tell
from evaluation.comparing import METHODS, compare
from evaluation.scores import read_scores

DESCRIPTION = """\
Say how two networks differ that evaluate.py has measured on the same pairs, and with intervals
over people whether that may be chance. What only one of the evaluations has is left out."""


def parse(arguments=None):
    """Return the parsed command line; prints usage and exits with 2 if it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, which in (("BEFORE", "one network"), ("AFTER", "the other one")):
        parser.add_argument(
            name.lower(),
            metavar=name,
            help=f"what evaluate.py wrote for {which}: the folder of its training, evaluation/ in "
            "that, or scores.csv",
        )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default=METHODS[0],
        help="what to compare of both (%(default)s)",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Print the tables.

    Raises:
        Mistake: scores are missing or damaged, or there is nothing in common.
    """
    options = parse(arguments)
    before, after = (read_scores(place) for place in (options.before, options.after))
    print(compare(before, after, options.method))


if __name__ == "__main__":
    tell(main)
