"""What is told of results: a row each in report.csv, a place on a sheet, a summary at the end."""

import csv
import sys

import numpy as np

from errors import Mistake, shown
from imaging.sheets import Card, ComparisonSheets
from inference.resolution import AUTO
from inference.restoration import TELLING_SIZE

COLUMNS = ("source", "result", "input_size", "result_size", "identity_similarity", "problem")


class Report:
    """A CSV file with a row for every result; those of earlier runs stay."""

    def __init__(self, path):
        """Begin a report, or check that an existing one can be continued.

        Args:
            path: `Path`; missing folders are made.

        Raises:
            Mistake: the file cannot be written, or is none of ours.
        """
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open("a+") as file:
                file.seek(0)
                first = file.readline()
                if not first:
                    csv.writer(file).writerow(COLUMNS)
        except OSError as error:
            raise Mistake(f"cannot write to --output: {error}") from error
        if first and first.strip() != ",".join(COLUMNS):
            raise Mistake(
                f"cannot write to --output: {path} is not a report of this script: move it, or "
                "name another -o"
            )

    def add(self, result):
        """Append the row of a `Result`; raises OSError if it cannot be written."""
        row = {"source": result.source, "problem": result.problem}
        if not result.problem:
            after = result.face.sr.shape if result.face else result.size
            row |= {
                "result": result.path,
                "input_size": _text(result.size),
                "result_size": _text(after),
                "identity_similarity": _similarity(result.face),
            }
        with self._open("a") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)

    def _open(self, mode):
        # Names may hold bytes that are no text.
        return open(self._path, mode, newline="", encoding="utf-8", errors="backslashreplace")


class Sheets:
    """Comparison sheets of all faces; one that cannot be written undoes none of them.

    Attributes:
        paths: of the sheets written so far.
        lost: lines that say which sheets could not be written, and why.
    """

    def __init__(self, folder, size):
        """Continue the numbers of a folder, see `ComparisonSheets`."""
        self.lost = []
        self._sheets = ComparisonSheets(folder, size)
        self.paths = self._sheets.paths

    def add(self, result):
        """Put the face of a `Result`, if it has one, on the sheet; a full sheet is written."""
        if face := result.face:
            taken_for = f" (as {_text(face.resolution)})" if face.taken_for_another else ""
            remark = f"{_text(result.size)}{taken_for} → {_text(face.sr.shape)}"
            if similarity := _similarity(face):
                remark += f", similarity {similarity}{'' if face.is_telling else ' (too small)'}"
            card = Card(result.name, remark, (face.picture, face.bicubic, face.sr))
            self._write(lambda: self._sheets.add(card))

    def finish(self):
        """Write the sheet that waits."""
        self._write(self._sheets.flush)

    def _write(self, write):
        try:
            write()
        except OSError as error:
            self.lost.append(f"cannot write a comparison sheet: {error}")


class Summary:
    """Counts of what became of the pictures.

    Attributes:
        problems: lines that say what was not done, and why.
    """

    def __init__(self, size, resolution):
        """Begin at nothing.

        Args:
            size: height and width of the network's faces in pixels.
            resolution: what pictures are taken for, see `resolution.parse_resolution`.
        """
        self.problems = []
        self._size = size
        self._is_guessed = resolution == AUTO
        self._done = self._reduced = self._left = self._too_small = self._enlarged = 0

    def add(self, result):
        """Count a `Result`."""
        if result.problem:
            self.problems.append(result.problem)
            return
        self._done += result.settles
        self._left += result.left
        if face := result.face:
            self._reduced += max(result.size) > self._size
            self._enlarged += self._is_guessed and face.taken_for_another
            self._too_small += bool(_similarity(face)) and not face.is_telling

    def tell(self, sheets, output):
        """Print what was done, and what was not.

        Args:
            sheets: `Sheets`, finished.
            output: `Path` of the folder with the results.
        """
        for problem in self.problems:
            print(f"Not done: {shown(problem)}", file=sys.stderr)
        for problem in sheets.lost:
            print(f"Warning  {shown(problem)}", file=sys.stderr)
        if self._reduced:
            print(
                f"Note     {self._reduced} of the pictures have more than {self._size} pixels on a "
                "side: they were reduced first, so their results have fewer pixels than they"
            )
        if self._enlarged:
            print(
                f"Note     {self._enlarged} of the faces were taken for enlargements of smaller "
                "pictures, see the sheets; with --resolution own none is"
            )
        if self._left:
            print(
                f"Note     {self._left} faces of {self._size} or more pixels were left as they are"
            )
        if self._too_small:
            print(
                f"Warning  {self._too_small} of the faces are smaller than about "
                f"{_text(TELLING_SIZE)}: so few pixels hardly tell who a person is, and their "
                "identity similarity says nothing"
            )
        if sheets.paths:
            more = " ..." if len(sheets.paths) > 3 else ""
            print(f"Compare  {', '.join(map(shown, sheets.paths[:3]))}{more}")
        count = self._done + len(self.problems)
        print(f"Done     {self._done} of {count} pictures, see {shown(output)}")


def _text(shape):
    return f"{shape[0]}x{shape[1]}"


def _similarity(face):
    """Return the similarity of a `Face` as text, "" if there is none."""
    return "" if face is None or np.isnan(face.similarity) else f"{face.similarity:.3f}"
