"""Lists of pairs of photographs as they come: a CSV, LFW's `pairs.txt` and its like."""

import csv
import itertools
import os
from pathlib import Path

from sklearn.datasets import get_data_home

from errors import Mistake
from evaluation.pairs import FOLDS, Pair
from imaging.lists import EXTENSIONS

COLUMNS = ("fold", "image_a", "image_b", "same")
SCIKIT_LEARN = "scikit-learn"


def read_pairs(source, folder):
    """Read a list of pairs.

    A picture that a list names is also found with another ending, or with one more, as in
    `Ann_0001.png.jpg`: lists name photographs, and folders hold crops of them.

    Args:
        source: a CSV file with the columns `fold,image_a,image_b,same` (paths below `folder`, same
            is 1 or 0); LFW's `pairs.txt`, with or without a head line, as XQLFW and RFW have it;
            or "scikit-learn" for the LFW that `sklearn.datasets.fetch_lfw_pairs` left on this
            machine.
        folder: root of the identity folders; not used for "scikit-learn".

    Returns:
        List of `Pair`. A picture that is not there keeps the name that the list gives it.

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
    return read(lines, source, folder, _Pictures())


class _Pictures:
    """Finds pictures by the names that lists give them."""

    def __init__(self):
        self._by_stem = {}  # {folder: {name without endings: shortest name}}

    def find(self, path):
        """Return the path of the picture that is meant; if there is none, the same path."""
        if path.parent not in self._by_stem:
            try:
                names = sorted(os.listdir(path.parent), key=lambda name: (-len(name), name))
            except OSError:
                names = []
            self._by_stem[path.parent] = {_stem(name): name for name in names if _stem(name)}
            self._by_stem[path.parent] |= {name: name for name in names}
        known = self._by_stem[path.parent]
        return path.with_name(known.get(path.name) or known.get(_stem(path.name)) or path.name)


def _stem(name):
    """Return a file's name without its endings of images, or "" if it has none."""
    stem = name
    while os.path.splitext(stem)[1].lower() in EXTENSIONS:
        stem = os.path.splitext(stem)[0]
    return stem if stem != name else ""


def _read_csv(lines, source, folder, pictures):
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
            found = (pictures.find(path) for path in (pair.image_a, pair.image_b))
            pairs.append(Pair(pair.fold, *found, same))
    except Mistake:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error):
        raise Mistake(
            f"{source}, line {rows.line_num}: not fold,image_a,image_b,same with same 1 or 0"
        ) from None
    return pairs


def _read_lfw(lines, source, folder, pictures):
    """Read LFW's format: a head line or none, then `name n m` or `name n other m`, fold by fold."""
    refusal = (
        f"{source} is neither a CSV with the columns {','.join(COLUMNS)} nor like LFW's pairs.txt"
    )
    folds, per_kind = None, None
    has_head = bool(lines) and len(lines[0].split()) < 3
    try:
        if has_head:
            *folds, per_kind = (int(word) for word in lines[0].split())
    except ValueError:
        raise Mistake(refusal) from None
    named = []
    for number, line in enumerate(lines[has_head:], 1 + has_head):
        words = line.split()
        try:
            if words:
                images = [pictures.find(folder / name) for name in _names(words)]
                named.append((images, len(words) == 3))
        except ValueError:
            raise Mistake(f"{refusal}: line {number} is {line!r}") from None
    kinds = [same for _, same in named]
    if per_kind and len(named) != 2 * per_kind * (folds[0] if folds else 1):
        raise Mistake(f"{source} has {len(named)} pairs, its first line says otherwise")
    if len(set(kinds)) < 2:
        raise Mistake(f"{refusal}: its pairs are not of both kinds")
    by_head = [i // (2 * per_kind) for i in range(len(named))] if folds else None
    numbers = by_head or _folds_of_blocks(kinds)
    return [Pair(n, *images, same) for n, (images, same) in zip(numbers, named, strict=True)]


def _names(words):
    """Return the two pictures that a line of LFW's lists names."""
    if len(words) not in (3, 4):
        raise ValueError
    (name_a, a), (name_b, b) = words[:2], (words[0], words[2]) if len(words) == 3 else words[2:]
    return [f"{name}/{name}_{int(i):04d}.jpg" for name, i in ((name_a, a), (name_b, b))]


def _folds_of_blocks(kinds):
    """Return the folds of pairs that come fold by fold, the genuine ones of each first."""
    starts = [same and not before for before, same in itertools.pairwise(kinds)]
    folds = list(itertools.accumulate(starts, initial=0))
    return folds if folds[-1] else [i % FOLDS for i in range(len(kinds))]
