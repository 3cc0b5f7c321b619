"""Checkpoints that are whole or not there at all: one file each, checked by its checksums.

A checkpoint is an `.npz` with every variable of the training and a JSON record. It is written
under another name and then renamed, so a run killed at any moment leaves the older ones intact;
reading verifies the CRC-32 of every array, so a damaged file is noticed and passed over.
"""

import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np

from errors import Mistake

RECORD = "record.json"


def save_checkpoint(folder, step, variables, record, keep=3):
    """Write a checkpoint atomically, then remove old ones.

    Args:
        folder: `Path` of the checkpoints; it exists.
        step: training steps done.
        variables: list of Keras variables: all that training changes.
        record: JSON-serialisable dict.
        keep: number of newest checkpoints that are kept.

    Returns:
        `Path` of the checkpoint.

    Raises:
        Mistake: a variable holds NaN or infinity, or the disk is full or not writable.
            The checkpoints before it stay as they are.
    """
    arrays = _arrays(variables)
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Mistake(f"step {step}: {name} is not finite, so nothing was saved")
    path = folder / f"step_{step:08d}.npz"
    temporary = path.with_suffix(".tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **{RECORD: np.array(json.dumps(record))}, **arrays)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise Mistake(f"cannot save {path}: {error.strerror or error}") from error
    others = [other for other in list_checkpoints(folder) if other != path]
    for old in others[: max(0, len(others) - keep + 1)]:
        old.unlink()
    return path


def load_newest_checkpoint(folder, variables, check=None):
    """Restore the newest checkpoint that is whole.

    Args:
        folder: `Path` of the checkpoints; it may be missing.
        variables: list of Keras variables; assigned only when a whole checkpoint fits them all.
        check: function called with the record before anything is assigned; it may raise.

    Returns:
        (record, messages): the dict that was saved, or None if there is no checkpoint at all,
        and one line for each damaged file that was passed over.

    Raises:
        Mistake: there are checkpoints but none is whole, or the newest whole one belongs
            to another network. Training never starts anew silently.
    """
    messages = []
    for leftover in Path(folder).glob("*.tmp"):  # of a run that was killed while saving
        leftover.unlink(missing_ok=True)
    for path in reversed(list_checkpoints(folder)):
        try:
            record, arrays = read_checkpoint(path)
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # zipfile, NumPy and JSON raise many kinds for damaged files
            messages.append(f"{path} is damaged ({error}), trying the one before it")
            continue
        if check is not None:
            check(record)
        _assign(path, variables, arrays)
        return record, messages
    if messages:
        raise Mistake(
            f"no checkpoint in {folder} is whole ({'; '.join(messages)}): delete the folder to "
            "start anew, or set OUTPUT_DIR to another"
        )
    return None, messages


def list_checkpoints(folder):
    """Return the paths of the checkpoints in a folder, oldest first."""
    return sorted(
        (p for p in Path(folder).glob("step_*.npz") if re.fullmatch(r"step_\d+", p.stem)), key=_step
    )


def read_checkpoint(path):
    """Return (record, {name: array}) of one checkpoint; any damage raises."""
    with zipfile.ZipFile(path) as file:
        broken = file.testzip()  # reads every array and compares its CRC-32
        if broken is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {broken}")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop(RECORD))), arrays


def _step(path):
    return int(path.stem.removeprefix("step_"))


def _arrays(variables):
    return {name: np.asarray(v) for name, v in zip(_names(variables), variables, strict=True)}


def _names(variables):
    """Name variables by path; the running number keeps equal paths apart.

    Keras numbers seed generators through the whole process, so their numbers are left out.
    """
    paths = [re.sub(r"^seed_generator_\d+", "seed_generator", v.path) for v in variables]
    return [f"{i:03d}/{path}" for i, path in enumerate(paths)]


def _assign(path, variables, arrays):
    expected = {name: tuple(v.shape) for name, v in zip(_names(variables), variables, strict=True)}
    found = {name: array.shape for name, array in arrays.items()}
    if expected != found:
        different = sorted(set(expected.items()) ^ set(found.items()))
        raise Mistake(
            f"{path} belongs to another network or optimiser (first difference: "
            f"{different[0][0]}): set "
            "OUTPUT_DIR to another folder, or delete this one to start anew"
        )
    for (name, _), variable in zip(expected.items(), variables, strict=True):
        variable.assign(arrays[name])
