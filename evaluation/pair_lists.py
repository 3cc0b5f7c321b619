"""Lists of pairs of photographs as they come: a CSV, LFW's `pairs.txt`, scikit-learn's cache."""

import csv
from pathlib import Path

from sklearn.datasets import get_data_home

from errors import Mistake
from evaluation.pairs import FOLDS, Pair

COLUMNS = ("fold", "image_a", "image_b", "same")
SCIKIT_LEARN = "scikit-learn"


def read_pairs(source, folder):
    """Read a list of pairs.

    Args:
        source: a CSV file with the columns `fold,image_a,image_b,same` (paths below `folder`, same
            is 1 or 0); LFW's `pairs.txt`; or "scikit-learn" for the LFW that
            `sklearn.datasets.fetch_lfw_pairs` left on this machine.
        folder: root of the identity folders; not used for "scikit-learn".

    Returns:
        List of `Pair`. Whether the images exist is not looked at.

    Raises:
        Mistake: the list is missing, a line of it cannot be understood, or a CSV names a picture
            beside itself, a pair with both answers, or a path outside `folder`.
    """
    if source == SCIKIT_LEARN:
        home = Path(get_data_home()) / "lfw_home"
        source, folder = home / "pairs.txt", home / "lfw_funneled"
    source, folder = Path(source), Path(folder)
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(f"cannot read the pairs of {source}: {error}") from error
    lines = text.splitlines()
    read = _read_csv if lines and "image_a" in lines[0] else _read_lfw
    return read(lines, source, folder)


def _read_csv(lines, source, folder):
    rows = csv.DictReader(lines)
    if missing := set(COLUMNS) - set(rows.fieldnames):
        raise Mistake(f"{source} lacks the columns {', '.join(sorted(missing))}")
    pairs, known = [], {}
    try:
        for row in rows:
            same = {"1": True, "0": False}[row["same"].strip()]
            pair = Pair(int(row["fold"]), folder / row["image_a"], folder / row["image_b"], same)
            images = frozenset((pair.image_a, pair.image_b))
            fault = None
            if len(images) < 2:
                fault = "a picture is paired with itself"
            elif known.setdefault(images, same) != same:
                fault = "an earlier line says the opposite of this pair"
            elif any(".." in path.parts or not path.is_relative_to(folder) for path in images):
                fault = f"a path leads out of {folder}"
            if fault:
                raise Mistake(f"{source}, line {rows.line_num}: {fault}")
            pairs.append(pair)
    except Mistake:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error):
        raise Mistake(
            f"{source}, line {rows.line_num}: not fold,image_a,image_b,same with same 1 or 0"
        ) from None
    return pairs


def _read_lfw(lines, source, folder):
    """Read LFW's format: a head line, then `name n m` or `name n other m`, in folds in turn."""
    refusal = f"{source} is neither a CSV with the columns {','.join(COLUMNS)} nor like LFW's"
    try:
        head = [int(word) for word in lines[0].split()]
        folds, per_kind = head if len(head) == 2 else (None, *head)
        if per_kind < 1:
            raise ValueError
    except (IndexError, ValueError, TypeError):
        raise Mistake(f"{refusal} pairs.txt") from None
    pairs = []
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        try:
            if len(words) == 3:
                name_a, a, b = words
                name_b = name_a
            else:
                name_a, a, name_b, b = words
            images = [
                folder / name / f"{name}_{int(i):04d}.jpg" for name, i in ((name_a, a), (name_b, b))
            ]
        except ValueError:
            raise Mistake(f"{refusal} pairs.txt: line {number} is {line!r}") from None
        i = len(pairs)
        fold = i % FOLDS if folds is None else i // (2 * per_kind)
        pairs.append(Pair(fold, *images, same=len(words) == 3))
    if len(pairs) != 2 * per_kind * (folds or 1):
        raise Mistake(f"{source} has {len(pairs)} pairs, its first line says otherwise")
    return pairs
