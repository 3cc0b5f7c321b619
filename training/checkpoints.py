"""Checkpoints that are whole or not there at all: one file each, checked by its checksums.

A checkpoint is an `.npz` with every variable of the training and a JSON record. It is written
under another name, brought to the disk and renamed before an older one is removed, so neither a
kill nor a loss of power at any moment takes all; reading verifies the CRC-32 of every array, so a
damaged file is noticed and passed over.
"""

import concurrent.futures
import dataclasses
import json
import re
from pathlib import Path

import numpy as np

from errors import Mistake
from files import whole

RECORD = "record.json"


class Saving:
    """Writes checkpoints in a thread, one at a time, while the training goes on.

    The process does not end before its thread has.
    """

    def __init__(self, folder):
        """Write nothing yet.

        Args:
            folder: `Path` of the checkpoints; it exists when the first one is saved.
        """
        self._folder = folder
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")
        self._last = None

    def save(self, step, variables, record, keep=3):
        """Copy variables and begin to write them; wait for the checkpoint before this one first.

        Args:
            step: training steps done.
            variables: list of Keras variables: all that training changes.
            record: JSON-serialisable dict that nobody changes afterwards.
            keep: number of newest checkpoints that are kept.

        Raises:
            Mistake: the checkpoint before this one could not be written.
        """
        self.wait()
        arguments = self._folder, step, copies(variables), record, keep
        self._last = self._thread.submit(save_checkpoint, *arguments)

    def wait(self):
        """Wait until all is written.

        Raises:
            Mistake: that was not possible, see `save_checkpoint`.
        """
        last, self._last = self._last, None
        if last is not None:
            last.result()


def save_checkpoint(folder, step, arrays, record, keep=3):
    """Write a checkpoint atomically, then remove old ones.

    Args:
        folder: `Path` of the checkpoints; it exists.
        step: training steps done.
        arrays: {name: array} of `copies`.
        record: JSON-serialisable dict.
        keep: number of newest checkpoints that are kept.

    Returns:
        `Path` of the checkpoint.

    Raises:
        Mistake: a variable holds NaN or infinity, or the disk is full or not writable.
            The checkpoints before it stay as they are.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Mistake(f"step {step}: {name} is not finite, so nothing was saved")
    path = folder / f"step_{step:08d}.npz"
    try:
        with whole(path, lasting=True) as unfinished:
            np.savez(unfinished, **{RECORD: np.array(json.dumps(record))}, **arrays)
    except OSError as error:
        raise Mistake(f"cannot save {path}: {error.strerror or error}") from error
    others = [other for other in list_checkpoints(folder) if other != path]
    for old in others[: max(0, len(others) - keep + 1)]:
        old.unlink()
    return path


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read whole.

    Attributes:
        path: `Path` of the file.
        record: the dict that was saved.
        arrays: {name: array}.
    """

    path: Path
    record: dict
    arrays: dict

    def assign(self, variables):
        """Give a list of Keras variables the values of the checkpoint.

        Raises:
            Mistake: they are not the variables that were saved; none is changed then.
        """
        names = _names(variables)
        expected = {name: tuple(v.shape) for name, v in zip(names, variables, strict=True)}
        found = {name: array.shape for name, array in self.arrays.items()}
        if expected != found:
            different = sorted(set(expected.items()) ^ set(found.items()))
            raise Mistake(
                f"{self.path} belongs to another network or optimiser (first difference: "
                f"{different[0][0]}): set OUTPUT_DIR to another folder, or delete this one to "
                "start anew"
            )
        for name, variable in zip(names, variables, strict=True):
            variable.assign(self.arrays[name])


def load_newest_checkpoint(folder):
    """Read the newest checkpoint that is whole; damaged ones are named and passed over.

    Args:
        folder: `Path` of the checkpoints; it may be missing.

    Returns:
        `Checkpoint`, or None if there is no checkpoint at all.

    Raises:
        Mistake: there are checkpoints but none is whole. Training never starts anew silently.
    """
    damaged = []
    for path in reversed(list_checkpoints(folder)):
        try:
            checkpoint = read_checkpoint(path)
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # zipfile, NumPy and JSON raise many kinds for damaged files
            damaged.append(f"{path} is damaged ({error}), trying the one before it")
            continue
        for line in damaged:
            print(line)
        return checkpoint
    if damaged:
        raise Mistake(
            f"no checkpoint in {folder} is whole ({'; '.join(damaged)}): delete the folder to "
            "start anew, or set OUTPUT_DIR to another"
        )
    return None


def list_checkpoints(folder):
    """Return the paths of the checkpoints in a folder, oldest first."""
    return sorted(
        (p for p in Path(folder).glob("step_*.npz") if re.fullmatch(r"step_\d+", p.stem)), key=_step
    )


def read_checkpoint(path):
    """Read one checkpoint; any damage raises.

    NumPy reads every member to its end, which is where zipfile compares its CRC-32. It would leave
    a damaged file open that it opened itself.
    """
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    record = json.loads(str(arrays.pop(RECORD)))
    return Checkpoint(path, record, arrays)


def _step(path):
    return int(path.stem.removeprefix("step_"))


def copies(variables):
    """Return {name: array} of a list of Keras variables; later steps do not change them."""
    # A copy in any case: on a CPU, NumPy may be given the variable's own memory.
    names = _names(variables)
    return {name: np.asarray(v).copy() for name, v in zip(names, variables, strict=True)}


def _names(variables):
    """Name variables by path; the running number keeps equal paths apart.

    Keras numbers seed generators and optimisers through the whole process, so their numbers are
    left out.
    """
    numbered = r"^(seed_generator|adam|loss_scale_optimizer)_\d+"
    paths = [re.sub(numbered, r"\1", v.path) for v in variables]
    return [f"{i:03d}/{path}" for i, path in enumerate(paths)]
