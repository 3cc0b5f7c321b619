"""The tables that come with VGGFace2: boxes and landmarks of every picture, names of the people."""

import array
import csv
import math
import os
import unicodedata

import numpy as np

from errors import Mistake, shown
from preparation.crops import Picture

BOX_COLUMNS = ("NAME_ID", "X", "Y", "W", "H")
LANDMARK_COLUMNS = ("NAME_ID", *(f"P{i}{axis}" for i in range(1, 6) for axis in "XY"))


class Table:
    """Numbers per picture, from a CSV file whose first column is like `n000002/0001_01`.

    The 3.1 million rows of landmarks for VGGFace2's training take 16 seconds and 0.9 GB.

    Attributes:
        path: `Path` of the file.
    """

    def __init__(self, path, columns):
        """Read the file.

        Args:
            path: `Path` of the file.
            columns: names of its columns, `BOX_COLUMNS` or `LANDMARK_COLUMNS`.

        Raises:
            Mistake: the file cannot be read, has other columns, or a row is damaged or twice.
        """
        self.path = path
        self._row_of, values = {}, array.array("d")
        for number, row in read_rows(path, columns):
            try:
                numbers = [float(value) for value in row[1:]]
            except ValueError:
                numbers = [math.nan]
            if len(row) != len(columns) or not all(map(math.isfinite, numbers)):
                expected = ", ".join(columns)
                raise Mistake(f"{path}, line {number}: expected {expected}, found {row}")
            count = len(self._row_of)
            if self._row_of.setdefault(_key(row[0]), count) != count:
                raise Mistake(f"{path}, line {number}: a second row for {row[0]}")
            values.extend(numbers)
        self._values = np.array(values).reshape(-1, len(columns) - 1)

    def find(self, name):
        """Return the list of numbers of a picture, or None if it has no row.

        Args:
            name: bytes, its path below `train` or `test` without `.jpg`.
        """
        row = self._row_of.get(_key(os.fsdecode(name)))
        return None if row is None else self._values[row].tolist()


def _key(name):
    return os.fsencode(unicodedata.normalize("NFC", name))  # some systems decompose file names


def read_rows(path, columns):
    """Yield (line number, list of str) of each row of a CSV file, the header checked and left out.

    Quotes, spaces after commas, CRLF and a byte order mark are understood.

    Raises:
        Mistake: the file cannot be read, or its header differs.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.reader(file, skipinitialspace=True)
            header = [name.strip() for name in next(reader, [])]
            if header != list(columns):
                expected = ", ".join(columns)
                raise Mistake(f"{path}: expected the columns {expected}, found {header}")
            for row in reader:
                if row:
                    yield reader.line_num, [value.strip() for value in row]
    except (OSError, csv.Error) as error:
        raise Mistake(f"cannot read {path}: {error}") from error


def read_names(path):
    """Return {name: identity} from `identity_meta.csv`, names as `comparable` makes them.

    Raises:
        Mistake: see `read_rows`.
    """
    columns = ("Class_ID", "Name", "Sample_Num", "Flag", "Gender")
    return {comparable(row[1]): row[0] for _, row in read_rows(path, columns) if len(row) > 1}


def comparable(name):
    """Return a person's name without case, quotes, and difference of space and underscore."""
    return name.strip().strip('"').replace(" ", "_").casefold()


def read_exclusions(path):
    """Return the identities of a text file: one a line, empty lines and those after # left out.

    Raises:
        Mistake: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise Mistake(f"cannot read {path}: {error}") from error
    return [line for line in lines if line and not line.startswith("#")]


def read_excluded(paths, source):
    """Read which identities to leave out.

    Args:
        paths: text files with one identity a line: the name of its folder, or of the person as in
            VGGFace2's `identity_meta.csv`, if that lies in `source` or its folder `meta`. Case,
            and spaces for underscores, make no difference to the latter.
        source: `Path` of the folder of photographs.

    Returns:
        Set of folder names.

    Raises:
        Mistake: a file cannot be read.
    """
    tables = [p for p in (source / "meta", source) if (p / "identity_meta.csv").is_file()]
    names = read_names(tables[0] / "identity_meta.csv") if tables else {}
    excluded = set()
    for path in paths:
        lines = read_exclusions(path)
        known = [names[key] for key in map(comparable, lines) if key in names]
        if names:
            count = f"{len(known)} of {len(lines)}"
            print(f"{shown(path)}: {count} lines are names in {shown(tables[0])}")
        excluded |= {*lines, *known}
    return excluded


class Tables:
    """Boxes and landmarks of VGGFace2's `train` and `test`, from its folder `bb_landmark`."""

    def __init__(self, source):
        """Read the tables of the folders that exist.

        Raises:
            Mistake: there is no table of boxes.
            Mistake: a table is damaged.
        """
        self._boxes, self._landmarks = {}, {}
        for part in ("train", "test"):
            boxes = source / "bb_landmark" / f"loose_bb_{part}.csv"
            landmarks = source / "bb_landmark" / f"loose_landmark_{part}.csv"
            if (source / part).is_dir() and boxes.is_file():
                self._boxes[part] = Table(boxes, BOX_COLUMNS)
                if landmarks.is_file():
                    self._landmarks[part] = Table(landmarks, LANDMARK_COLUMNS)
        if not self._boxes:
            raise Mistake(
                f"{source} holds no train or test with bb_landmark/loose_bb_train.csv or "
                'loose_bb_test.csv: set SOURCE_DIR to the folder they lie in, or FACES = "detect"'
            )

    def look_up(self, name):
        """Return the `Picture` of a name such as `train/n000002/0001_01.jpg`."""
        part, _, rest = name.partition("/")
        key = os.fsencode(os.path.splitext(rest)[0])
        box = self._boxes[part].find(key) if part in self._boxes else None
        points = self._landmarks[part].find(key) if part in self._landmarks else None
        landmarks = [points[i : i + 2] for i in range(0, 10, 2)] if points else None
        return Picture(name, box, landmarks, "" if box else "no box in the tables")


def check_people_apart(names):
    """Raise Mistake if a person of VGGFace2 is in `train` and in `test`."""
    people = {"train": set(), "test": set()}
    for name in names:
        part, _, rest = name.partition("/")
        if part in people and "/" in rest:
            people[part].add(rest.partition("/")[0])
    if shared := sorted(people["train"] & people["test"]):
        raise Mistake(
            f"{len(shared)} identities are in train and in test, the first is {shared[0]}: who is "
            "trained on cannot validate; list them in a file of EXCLUDE"
        )
