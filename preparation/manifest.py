"""The list of what was done: which picture became which crop, and why others did not."""

import collections
import csv
import dataclasses
import itertools
import json

from errors import Mistake
from files import whole

PART = 16  # pictures; the unit of work, of detection and of going on
DETECTORS = {"vggface2": "VGGFace2", "detect": "mtcnn", "cropped": ""}  # by FACES
COLUMNS = (
    *("source", "crop", "left", "top", "width", "height"),
    *(f"landmark{i}_{axis}" for i in range(1, 6) for axis in "xy"),
    *("detector", "margin", "reason"),
)


def row_of(picture, crop, settings):
    """Return what the manifest says of a picture.

    Args:
        picture: `crops.Picture`.
        crop: name of its crop, or "".
        settings: `crops.Settings`.

    Returns:
        List of strings, one per column.
    """
    numbers = [*(picture.box or [""] * 4), *itertools.chain(*(picture.landmarks or [[""] * 2] * 5))]
    margin = "" if settings.faces == "cropped" else f"{settings.margin:g}"
    return [
        *(picture.name, crop),
        *(number if number == "" else f"{number:g}" for number in numbers),
        *(DETECTORS[settings.faces], margin, picture.reason),
    ]


class Manifest:
    """The list of what was done, whole parts only, in the order of the pictures.

    Attributes:
        done: number of pictures in it.
        counts: {reason: number of pictures}, "" for crops.
    """

    STYLE = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}

    def __init__(self, output, names, settings):
        """Begin a list, or continue the one that is in a folder.

        Args:
            output: `Path` of the folder of crops.
            names: list of the pictures' names.
            settings: `crops.Settings`.

        Raises:
            Mistake: the folder holds something else, or crops of other settings or pictures.
        """
        self._finished = output / "manifest.csv"
        self._path = output / "manifest_unfinished.csv"
        self.counts = collections.Counter()
        self.done = 0
        self._check_settings(output, settings)
        if self._finished.exists():
            self._count(self._finished, names)
            if self.done != len(names):
                raise self._changed(names[self.done])
        else:
            if self._path.exists():
                self._repair(names)
            else:
                self._write(self._path, [])
            self._file = open(self._path, "a", **self.STYLE)  # noqa: SIM115

    def _check_settings(self, output, settings):
        path, ours = output / "prepare.json", dataclasses.asdict(settings)
        if not path.exists():
            left = output.iterdir() if output.is_dir() else ()
            if any(not p.name.startswith(".") for p in left):  # hidden: a start that was killed
                raise Mistake(f"OUTPUT_DIR {output} holds something else: name a new folder")
            output.mkdir(parents=True, exist_ok=True)
            with whole(path, alone=True) as unfinished:
                unfinished.write_text(json.dumps(ours, indent=2) + "\n")
        try:
            before = json.loads(path.read_text())
            changes = [n.upper() for n in ours if before.get(n) != ours[n]]
        except (ValueError, AttributeError) as error:
            raise Mistake(f"{path} is damaged: delete OUTPUT_DIR to begin anew") from error
        if changes:
            was = ", ".join(f"{name} = {before.get(name.lower())!r}" for name in changes)
            raise Mistake(f"{output} holds crops made with {was}: name another OUTPUT_DIR")

    def _changed(self, name):
        return Mistake(
            f"the pictures of SOURCE_DIR or EXCLUDE changed since {self._finished.parent} was "
            f"begun, first at {name}: name another OUTPUT_DIR"
        )

    def _rows(self, path):
        """Yield the rows that are whole; the last one is not if it was being written."""
        with open(path, **self.STYLE) as file:
            lines = iter(file.readline, "")
            rows = csv.reader(line for line in lines if line.endswith(("\n", "\r")))
            next(rows, None)
            try:
                yield from (row for row in rows if len(row) == len(COLUMNS))
            except csv.Error:
                return

    def _count(self, path, names):
        for row, name in itertools.zip_longest(self._rows(path), names):
            if row is None:
                return
            if row[0] != name:
                raise self._changed(row[0])
            self.counts[row[-1]] += 1
            self.done += 1

    def _repair(self, names):
        """Keep the whole parts of a list that was interrupted."""
        total = sum(1 for _ in self._rows(self._path))
        kept = total if total == len(names) else total - total % PART
        self._write(self._path, itertools.islice(self._rows(self._path), kept))
        self._count(self._path, names)

    def _write(self, path, rows):
        with whole(path, alone=True) as unfinished, open(unfinished, "w", **self.STYLE) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)

    def add(self, rows):
        """Write the rows of a part whose crops are all written."""
        csv.writer(self._file, lineterminator="\n").writerows(rows)
        self._file.flush()
        self.counts.update(row[-1] for row in rows)
        self.done += len(rows)

    def finish(self):
        """Give the list its final name and write the summary; return the latter."""
        if not self._finished.exists():
            self._file.close()
            self._path.replace(self._finished)
        reasons = collections.Counter()
        for reason, count in self.counts.items():
            reasons[reason.partition(":")[0]] += count
        lines = [f"{reasons.pop('', 0)} of {self.done} pictures became crops"]
        lines += [f"{count} left out: {reason}" for reason, count in sorted(reasons.items())]
        summary = "\n".join(lines) + "\n"
        with whole(self._finished.with_name("summary.txt"), alone=True) as unfinished:
            unfinished.write_text(summary, **self.STYLE)
        return summary
