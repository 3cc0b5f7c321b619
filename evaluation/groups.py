"""Groups of people: whom does a network serve better, whom worse?"""

import csv
from pathlib import Path

import numpy as np

from errors import Mistake
from metrics import BICUBIC, HR, SR, known_mean

GROUP_HEIGHT = 16  # group results are means over the low resolutions of at most so many rows
GROUPED = ("psnr", "similarity", "rank1")
OWN_FILE = "identities.csv"  # lies beside the identity folders
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


def choose_groups(path, folder, columns, problems):
    """Return the groups of a file, see `read_groups`, or of `identities.csv` if that is there.

    Args:
        path: the file, or None for `identities.csv` in `folder`; that may be missing or damaged.
        folder: `Path` of the identity folders.
        columns: see `read_groups`.
        problems: `Problems`, which notes a damaged `identities.csv`.

    Raises:
        Mistake: the file that was named cannot be used.
    """
    if path:
        return read_groups(path, columns)
    try:
        return read_groups(folder / OWN_FILE, columns) if (folder / OWN_FILE).is_file() else {}
    except Mistake as mistake:
        problems.note(f"no groups: {mistake}")
        return {}


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


def group_rows(outcomes, recogniser, identities, groups, people):
    """Return one flat dict per group of people: means over faces and the smaller low resolutions.

    Args:
        outcomes: see `measuring.judge`.
        recogniser: name.
        identities: array of N folders.
        groups: {(column, value): set of names of folders}.
        people: `People`, for the 95 % intervals of what SR changes, from `name low` to `name high`.
    """
    of_faces = {}  # (N,) each, means over the sizes
    for method in (BICUBIC, SR):
        made = [
            outcome.of_faces
            for (name, key), outcome in outcomes.items()
            if name == recogniser and key != HR and key[1] == method and key[0][0] <= GROUP_HEIGHT
        ]
        if not made:
            return []
        of_faces[method] = {
            n: np.mean([x[n] for x in made], axis=0) for n in GROUPED if n in made[0]
        }
    rows = []
    for (column, value), members in groups.items():
        chosen = np.array([Path(identity).name in members for identity in identities])
        if not chosen.any():
            continue
        count = len(set(identities[chosen]))
        row = {"group": f"{column} {value}", "people": count}
        for name, bicubic in of_faces[BICUBIC].items():
            own = [np.where(chosen, x, np.nan) for x in (bicubic, of_faces[SR][name])]
            row[f"{BICUBIC} {name}"], row[f"{SR} {name}"] = map(known_mean, own)
            change = people.means(own[1]) - people.means(own[0])
            row[f"{name} low"], row[f"{name} high"] = people.interval(change, count)
        rows.append(row)
    return rows
