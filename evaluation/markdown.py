"""Numbers with their intervals as Markdown, and what the tables call them; without TensorFlow."""

import math

from evaluation.intervals import is_certain
from evaluation.verification import HR_LR, LR_LR

# heading, name of the number, digits after the point
VERIFICATION = (
    ("accuracy (%)", "accuracy", 1),
    ("AUC (%)", "auc", 1),
    ("TAR at FAR 1 % (%)", "tar", 1),
    ("at FAR 0.1 % (%)", "tar_strict", 1),
    ("EER (%)", "eer", 1),
)
MEANINGS = {
    HR_LR: "an HR face against a low-resolution one",
    LR_LR: "two faces of the same low resolution",
}
TOO_FEW, UNKNOWN = "too few pairs", "-"  # stand for a number


def legend(before, after):
    """Return a line that says how a cell is to be read."""
    return (
        f"{before} -> {after} (95 % interval of the difference, over people); ~ instead of -> "
        "where the interval holds 0, or there is none, so that both may be alike"
    )


def head(first, columns):
    """Return the two lines that a table begins with.

    Args:
        first: heading of the first column.
        columns: (heading, name of the number, digits after the point) of the others.
    """
    titles = [first, *(heading for heading, _, _ in columns)]
    line = f"| {' | '.join(titles)} |"
    return [line, "|" + "---|" * (line.count("|") - 1)]


def cell(before, after, low, high, digits):
    """Return two numbers, as `number` gives them, and the interval of their difference."""
    if before == after and before in (TOO_FEW, UNKNOWN):
        return after
    if is_nan(low):
        return f"{before} ~ {after}"
    arrow = "->" if is_certain(low, high) else "~"
    return f"{before} {arrow} {after} ({low:+.{digits}f} to {high:+.{digits}f})"


def number(numbers, name, digits):
    """Return a number as text, or why there is none."""
    if name not in numbers or is_nan(numbers[name]):
        return TOO_FEW if "tar" in name.split()[-1] else UNKNOWN
    return f"{numbers[name]:.{digits}f}"


def is_nan(value):
    """Whether a value is a number that is none."""
    return isinstance(value, float) and math.isnan(value)
