"""Groups of people: whom does a network serve better, whom worse?"""

import csv

import numpy as np

from errors import Mistake

NO_VALUE = ("na", "n/a", "nan")  # as an empty cell, in any case
MOST_VALUES = 4  # a column of numbers with more different ones is cut in two at its median


def read_groups(path, columns):
    """Read what is known of each identity.

    Args:
        path: CSV file with a column `identity`, the folder's name, and one column per property.
        columns: names of the properties to group by.

    Returns:
        {(column, value): set of identities}, values as text; of properties with many numbers two
        groups, "up to" and "above" the median. Identities without a value are in no group.

    Raises:
        Mistake: the file cannot be read, or lacks a column.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Mistake(f"cannot read the groups of {path}: {error}") from error
    found = set(rows[0]) if rows else set()
    if missing := {"identity", *columns} - found:
        raise Mistake(f"{path} lacks the columns {', '.join(sorted(missing))}")
    groups = {}
    for column in columns:
        known = [row for row in rows if row[column] and row[column].lower() not in NO_VALUE]
        name = _naming([row[column] for row in known])
        for row in known:
            groups.setdefault((column, name(row[column])), set()).add(row["identity"])
    return dict(sorted(groups.items()))


def _naming(values):
    """Return a function from a value of a column to the name of its group."""
    try:
        numbers = sorted(float(value) for value in values)
    except ValueError:
        return str
    if len(set(numbers)) <= MOST_VALUES:
        return str
    median = float(np.median(numbers))
    return lambda value: f"{'up to' if float(value) <= median else 'above'} {median:g}"
