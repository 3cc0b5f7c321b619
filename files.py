"""Files that are written whole or not at all, and folders that can be written to, by one alone."""

import contextlib
import fcntl
import hashlib
import os
import shutil
from pathlib import Path

from errors import Mistake

UNFINISHED = "unfinished_"  # begins the name of what is not whole yet
LOCK = ".lock"  # in a folder that a process writes to; holds the number of the process


@contextlib.contextmanager
def whole(path, alone=False, lasting=False):
    """Let a file, or a folder, appear under its name only when it is whole.

    Used as `with whole(path) as unfinished: ...`, which writes to `unfinished`, a path beside it
    with the same ending. If that fails, nothing is left and an earlier file stays as it was.

    Args:
        path: `Path` of what shall be written; a file or folder there is replaced.
        alone: whether no other process writes this file. Then what a killed process leaves has
            a hidden name that is the same each time, so that the next process replaces it.
        lasting: whether to wait until a file is on the disk, so that not even a loss of power
            takes it once this is left.
    """
    # Not the whole of a long name, which would become too long for a file system.
    name = f"{UNFINISHED}{os.getpid()}_{path.name[-40:]}"
    if alone:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
        name = f".{UNFINISHED}{path.name if len(path.name) <= 40 else digest}"
    unfinished = path.with_name(name)
    try:
        yield unfinished
        if lasting:
            _sync(unfinished)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        unfinished.replace(path)
        if lasting:
            with contextlib.suppress(OSError):  # not every file system can do this for folders
                _sync(path.parent)
    finally:
        remove(unfinished)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path):
    """Remove a file or a folder with all that is in it; nothing happens if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make_writable(folder, name="OUTPUT_DIR"):
    """Create a folder and try whether files can be written to it.

    Args:
        folder: path.
        name: what the user calls it: a constant or an option.

    Raises:
        Mistake: nothing can be written there.
    """
    probe = Path(folder) / f"{UNFINISHED}{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Mistake(f"cannot write to {name}: {error}") from error


def check_apart(name, folder, other_name, other):
    """Raise Mistake if one of two folders lies in the other: what is read is not written to.

    Args:
        name: what the user calls the folder that is written to.
        folder: its path.
        other_name: what the user calls the folder that is read.
        other: its path.
    """
    paths = Path(folder).resolve(), Path(other).resolve()
    inner, outer = sorted(paths, key=lambda path: -len(path.parts))
    if inner.is_relative_to(outer):  # also where they are one
        raise Mistake(f"{name} {folder} and {other_name} {other} must not lie in each other")


@contextlib.contextmanager
def locked(folder, name="OUTPUT_DIR"):
    """Keep other processes from writing to a folder, as long as they ask here.

    The system lets go of the lock when the process ends, however it ends.

    Args:
        folder: `Path`; it is created.
        name: what the user calls it: a constant or an option.

    Raises:
        Mistake: another process has it.
        OSError: nothing can be written there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    while (file := _lock(path)) and not _is_at(path, file):  # removed by who had it before
        file.close()
    if file is None:
        try:
            holder = f" (process {int(path.read_text())})"
        except (OSError, ValueError):  # it has just begun, or ends just now
            holder = ""
        raise Mistake(
            f"{name} {folder} is being written to by another run{holder}: wait for its end, or "
            f"name another {name}"
        )
    with file:
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(path):
    """Return a locked file, or None if another process has it locked."""
    file = open(path, "a")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    except OSError:  # a file system without locks: two runs do not notice each other there
        return file
    return file


def _is_at(path, file):
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
