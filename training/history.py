"""CSV files that grow with a training and shrink with it when it steps back."""

import csv
import itertools
import os


def append_rows(path, rows):
    """Append rows to a CSV file; the first ones bring their names as its header.

    Args:
        path: `Path` of the file.
        rows: non-empty list of dicts with the same keys, "step" among them.
    """
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        if new:
            writer.writeheader()
        writer.writerows(rows)


def read_rows(path, every=1):
    """Return the rows of a CSV file as a list of dicts of strings; empty if there is no file.

    Args:
        path: `Path` of the file.
        every: 1 for all rows, 10 for every tenth, and so on.
    """
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(itertools.islice(csv.DictReader(file), 0, None, every))


def cut_after(path, step):
    """Remove the rows after a step, so that a run continued there can write them again.

    A last line that a killed run left unfinished goes, too: its step is later, or unreadable.
    """
    rows = read_rows(path)
    kept = [row for row in rows if _is_whole(row) and int(row["step"]) <= step]
    if len(kept) == len(rows):
        return
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    if kept:
        append_rows(temporary, kept)
        os.replace(temporary, path)
    else:
        path.unlink()


def _is_whole(row):
    return None not in row.values() and row["step"].isdigit()
