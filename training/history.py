"""CSV files that grow with a training and shrink with it when it steps back."""

import csv
import itertools
import mmap
import time

import numpy as np
from tensorboard.summary import Writer

from errors import Mistake

SAMPLED_FROM = 4_000_000  # bytes; of larger files, curves are drawn from evenly spread rows
SAMPLED_ROWS = 20_000


def append_rows(path, rows):
    """Append rows to a CSV file; the first ones bring their names as its header.

    Args:
        path: `Path` of the file.
        rows: non-empty list of dicts with the same keys, "step" the first of them.
    """
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        if new:
            writer.writeheader()
        writer.writerows(rows)


def read_rows(path):
    """Return the rows of a CSV file as a list of dicts of strings; empty if there is no file.

    Of a file above `SAMPLED_FROM` bytes about `SAMPLED_ROWS` evenly spread ones, and the last, are
    read: enough for a curve, in the same time whatever the length.
    """
    if not path.exists():
        return []
    if path.stat().st_size > SAMPLED_FROM:
        with open(path, "rb") as file, _mapped(file) as text:
            starts = [0]
            for position in np.linspace(text.find(b"\n"), len(text), SAMPLED_ROWS, endpoint=False):
                starts.append(text.find(b"\n", int(position)) + 1)
            starts.append(text.rfind(b"\n", 0, len(text) - 1) + 1)
            ends = (text.find(b"\n", start) for start in starts)
            spans = dict.fromkeys(zip(starts, ends, strict=True))
            lines = [text[start:end].decode().strip() for start, end in spans]
        return list(csv.DictReader(lines))
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def cut_after(path, step):
    """Remove the rows after a step, so that a run continued there can write them again.

    A last line that a killed run left unfinished goes, too. Only what goes is read.
    """
    if not path.exists():
        return
    end = 0
    if path.stat().st_size:
        with open(path, "rb") as file, _mapped(file) as text:
            end = text.rfind(b"\n") + 1
            while start := text.rfind(b"\n", 0, max(0, end - 1)) + 1:
                first = text[start:end].partition(b",")[0]
                if first.isdigit() and int(first) <= step:
                    break
                end = start
            else:
                end = 0  # nothing but the header is left
    if end == 0:
        path.unlink()
    elif end < path.stat().st_size:
        with open(path, "r+b") as file:
            file.truncate(end)


def set_aside(path):
    """Give a file a name with a number, such as `history_1.csv`, so that a new one can begin.

    Returns:
        `Path` of where it is now; None if there was none.
    """
    if not path.exists():
        return None
    number = 1
    while (aside := path.with_name(f"{path.stem}_{number}{path.suffix}")).exists():
        number += 1
    return path.rename(aside)


def _mapped(file):
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class StepLog:
    """The losses of every step, fetched from the device and written in blocks.

    A loss on a device is a promise: asking for its value waits for the step. So losses are kept as
    they are until `every` steps wait, or a second has passed, and are fetched together then.

    Attributes:
        last: {name: float} of the last step written, empty before.
        images_per_second: rate over the last block.
    """

    SECONDS = 1.0

    def __init__(self, folder, every, fetch):
        """Write to `history.csv` and, for TensorBoard, to `logs` in a folder.

        Args:
            folder: `Path` of the output folder, None to write nothing.
            every: steps in a block.
            fetch: function from a list of {name: tensor} to the list of {name: float}.
        """
        self.last = {}
        self.images_per_second = 0.0
        self._folder = folder
        self._every = every
        self._fetch = fetch
        self._waiting = []
        self._since = time.perf_counter()
        self._writer = None if folder is None else Writer(str(folder / "logs"))

    def add(self, step, faces, values):
        """Keep the losses of a step; return whether the block is due to be flushed.

        Args:
            step: number of the step, counted from 1.
            faces: faces that it trained on, of all devices together.
            values: {name: scalar tensor}.
        """
        self._waiting.append((step, faces, values))
        late = time.perf_counter() - self._since > self.SECONDS
        return late or len(self._waiting) >= self._every

    def restart_clock(self):
        """Let the rate begin anew: something else than steps took its time."""
        self._since = time.perf_counter()

    def flush(self):
        """Write all that waits.

        Raises:
            Mistake: a loss is NaN or infinite. The steps before are written.
        """
        if not self._waiting:
            return
        (steps, faces, values), self._waiting = zip(*self._waiting, strict=True), []
        rows = [{"step": step, **row} for step, row in zip(steps, self._fetch(values), strict=True)]
        finite = [np.isfinite(list(row.values())).all() for row in rows]
        sound = list(itertools.compress(rows, itertools.accumulate(finite, min)))
        if sound and self._folder is not None:
            append_rows(self._folder / "history.csv", sound)
            for row in sound:
                self.scalars(row["step"], {f"train/{k}": row[k] for k in row if k != "step"})
        if sound:
            self.last = {name: value for name, value in sound[-1].items() if name != "step"}
        if len(sound) < len(rows):
            bad = rows[len(sound)]
            raise Mistake(f"the loss became {bad['total']} at step {bad['step']}")
        now = time.perf_counter()
        self.images_per_second = sum(faces) / max(now - self._since, 1e-9)
        self._since = now

    @property
    def line(self):
        """The last losses for a progress bar; empty before there are any."""
        if not self.last:
            return ""
        return (
            f"loss {self.last['total']:.3f} = pixel {self.last['pixel']:.4f}, embedding "
            f"{self.last['embedding']:.3f}, {self.images_per_second:.1f} images/s"
        )

    def scalars(self, step, values):
        """Write {name: float} for TensorBoard."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def show(self):
        """Let TensorBoard see all that was written."""
        if self._writer is not None:
            self._writer.flush()
