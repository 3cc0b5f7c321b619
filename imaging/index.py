"""The list of a large folder, kept so that later starts need not list millions of files again."""

import hashlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from errors import shown
from files import whole

INDEX_VERSION = 2  # of the layout of an index
# Nanoseconds. A folder changed so shortly before it was listed may change again under the same
# time; it is listed anew at the next start.
SETTLED = 2 * 10**9


def index_path(root):
    """Return the `Path` of a folder's index, in the user's cache: data may be read-only."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
    return Path(cache) / "ipu-net" / f"{digest[:16]}.npz"


def state_of(root, folder, now=None):
    """Return (size, time of contents, time of status) of a folder; a time of -1 never matches."""
    status = os.stat(os.path.join(os.fsencode(root), folder))
    unsettled = now is not None and status.st_ctime_ns > now - SETTLED
    return status.st_size, -1 if unsettled else status.st_mtime_ns, status.st_ctime_ns


def write_index(path, root, parts, states, passed_over):
    """Write an index, whole or not at all; a cache that cannot be written is done without."""
    folders, folder_of, names, ends = parts
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as unfinished, open(unfinished, "wb") as file:
            np.savez(
                file,
                version=INDEX_VERSION,
                root=_to_array([os.fsencode(root.resolve())]),
                listed=_to_array(states),
                states=np.array(list(states.values()), np.int64),
                folders=_to_array(folders),
                folder_of=folder_of,
                names=np.frombuffer(names, np.uint8),
                ends=ends,
                passed_over=json.dumps(passed_over),
            )
    except OSError as error:
        print(f"The list of {shown(root)} is not kept for later starts: {shown(error)}")


def read_index(path, root):
    """Read an index.

    Returns:
        (parts of a `FaceList`, {ending: number of files passed over}), or None if there is no
        index that is still true.
    """
    try:
        with path.open("rb") as stream, np.load(stream) as index:
            if index["version"] != INDEX_VERSION:
                return None
            if _to_list(index["root"]) != [os.fsencode(root.resolve())]:
                return None
            listed = _to_list(index["listed"])
            if [state_of(root, folder) for folder in listed] != list(map(tuple, index["states"])):
                return None
            names, ends = index["names"].tobytes(), index["ends"]
            parts = _to_list(index["folders"]), index["folder_of"], names, ends
            return parts, json.loads(str(index["passed_over"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _to_array(names):
    return np.frombuffer(b"\0".join(names), np.uint8)  # no file name holds a zero byte


def _to_list(array):
    return array.tobytes().split(b"\0")
