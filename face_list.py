"""Lists of face images: finding millions of them, keeping the list small, splitting it.

The first listing of a large folder is kept as an index, so that later starts need not wait for it.
Needs no TensorFlow.
"""

import collections.abc
import contextlib
import hashlib
import os
import time
import zipfile
from pathlib import Path

import numpy as np

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})

INDEX_FROM = 50_000  # images; fewer are listed anew at every start, which takes no time
INDEX_VERSION = 1  # of the layout of an index
# Nanoseconds. A folder changed so shortly before it was listed may change again under the same
# time; it is listed anew at the next start.
SETTLED = 2 * 10**9


class DataError(ValueError):
    """Training data that is missing or unusable."""


class FaceList(collections.abc.Sequence):
    """A fixed list of image files below one folder: an item is a `Path`, a slice a `FaceList`.

    Takes some 30 bytes per image; 3.3 million `Path` would take gigabytes.

    Attributes:
        root: `Path` of the folder.
    """

    def __init__(self, root, folders, folder_of, names, ends, chosen=None):
        """Keep the parts of the list.

        Args:
            root: `Path` of the folder.
            folders: list of bytes, the folders of images relative to it, each ending in "/"; b""
                is the root itself.
            folder_of: int32 (N,), which of `folders` each image lies in.
            names: bytes, the file names of all images in one piece.
            ends: int64 (N,), where each name ends.
            chosen: int32 (M,), which of the N images are listed; None lists all.
        """
        self.root = root
        self._parts = folders, folder_of, names, ends
        self._chosen = np.arange(len(ends), dtype=np.int32) if chosen is None else chosen

    def __len__(self):
        return len(self._chosen)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return FaceList(self.root, *self._parts, self._chosen[index])
        return self.root / os.fsdecode(next(self._names(self._chosen[[index]])))

    def __iter__(self):
        return (self.root / os.fsdecode(name) for name in self.names())

    def names(self):
        """Yield the paths of the images relative to the root, as bytes with "/" between parts."""
        for start in range(0, len(self), 1 << 16):
            yield from self._names(self._chosen[start : start + (1 << 16)])

    def _names(self, chosen):
        folders, folder_of, names, ends = self._parts
        starts = np.where(chosen > 0, ends[chosen - 1], 0).tolist()
        for folder, start, end in zip(
            folder_of[chosen].tolist(), starts, ends[chosen].tolist(), strict=True
        ):
            yield folders[folder] + names[start:end]

    def identities(self):
        """Return the folders that images of this list lie in, relative to the root, sorted."""
        folders, folder_of, _, _ = self._parts
        used = np.unique(folder_of[self._chosen])
        return sorted(
            (os.fsdecode(folders[i][:-1]) for i in used), key=lambda name: name.split("/")
        )

    def split(self, identities):
        """Return two `FaceList`: the images outside and inside of some of `identities()`."""
        folders, folder_of, _, _ = self._parts
        inside = {os.fsencode(name + "/" if name else "") for name in identities}
        is_inside = np.array([folder in inside for folder in folders])[folder_of[self._chosen]]
        return tuple(
            FaceList(self.root, *self._parts, self._chosen[is_inside == side])
            for side in (False, True)
        )


def find_faces(folder):
    """List the images below a folder, sorted, so that the order is the same on every machine.

    From `INDEX_FROM` images on, the list is also written to `index_path`, and later calls read it
    from there unless the size or time of a folder changed.

    Args:
        folder: root of one folder per identity, at any depth.

    Returns:
        `FaceList`. The identity of a face is its parent folder.

    Raises:
        DataError: the folder does not exist, cannot be listed or holds no image.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    index = index_path(root)
    parts = _read_index(index, root)
    if parts is None:
        started = time.time_ns()
        try:
            names, states = _list_images(root, started)
        except OSError as error:
            raise DataError(
                f"cannot list {os.fsdecode(error.filename)}: {error.strerror}"
            ) from error
        if not names:
            raise DataError(f"{root} holds no image ({', '.join(sorted(EXTENSIONS))})")
        parts = _pack(names)
        if len(names) >= INDEX_FROM:
            _write_index(index, root, parts, states)
            seconds = (time.time_ns() - started) / 1e9
            print(f"Listed {len(names):,} images in {seconds:.0f} s; later starts read {index}")
    return FaceList(root, *parts)


def hold_out_identities(paths, count):
    """Split faces into two lists that share no identity.

    Args:
        paths: `FaceList`.
        count: number of identities to hold out: the last ones by name.

    Returns:
        (training paths, held-out paths), both `FaceList`.

    Raises:
        DataError: fewer than `count` + 1 identities, so that nothing would remain.
    """
    identities = paths.identities()
    if not 0 < count < len(identities):
        raise DataError(
            f"cannot hold out {count} of {len(identities)} identities: TRAIN_DIR needs one folder "
            "per person; lower HELD_OUT_IDENTITIES or set VALIDATION_DIR"
        )
    return paths.split(identities[-count:])


def check_identities_apart(training_paths, held_out_paths):
    """Raise DataError if two `FaceList` have folders of the same name, the same people then."""
    names = (
        {name.rpartition("/")[2] for name in p.identities()}
        for p in (training_paths, held_out_paths)
    )
    if shared := sorted(set.intersection(*names) - {""}):
        raise DataError(
            f"{len(shared)} identities are in both {training_paths.root} and "
            f"{held_out_paths.root}, the first is {shared[0]}: who is trained on cannot validate. "
            "Remove them from one, or rename folders that are only called alike"
        )


def fingerprint(paths):
    """Return a line that changes when a `FaceList` does, but not when its folder moves."""
    digest = hashlib.sha256()
    for i, name in enumerate(paths.names()):
        digest.update(b"\n" + name if i else name)
    return f"{len(paths)} files, {digest.hexdigest()[:16]}"


# --- Listing and the index -------------------------------------------------------------------


def index_path(root):
    """Return the `Path` of a folder's index, in the user's cache: data may be read-only."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    digest = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
    return Path(cache) / "ipu-net" / f"{digest[:16]}.npz"


def _list_images(root, now):
    """Return (sorted relative paths as bytes, {relative folder as bytes: its state})."""
    extensions = {os.fsencode(extension) for extension in EXTENSIONS}
    names, states, waiting = [], {}, [(b"", frozenset())]
    while waiting:
        folder, above = waiting.pop()
        status = os.stat(os.path.join(os.fsencode(root), folder))
        here = status.st_dev, status.st_ino
        if here in above:
            continue  # a link back to a folder that it lies in
        states[folder] = _state(root, folder, now)  # before it is listed: a change shows next time
        with os.scandir(os.path.join(os.fsencode(root), folder)) as entries:
            for entry in entries:
                if entry.is_dir():  # or a link to one, as to another disk
                    waiting.append((folder + entry.name + b"/", above | {here}))
                elif os.path.splitext(entry.name)[1].lower() in extensions and entry.is_file():
                    names.append(folder + entry.name)
    names.sort()
    return names, states


def _state(root, folder, now=None):
    """Return (size, time of contents, time of status) of a folder; a time of -1 never matches."""
    status = os.stat(os.path.join(os.fsencode(root), folder))
    unsettled = now is not None and status.st_ctime_ns > now - SETTLED
    return status.st_size, -1 if unsettled else status.st_mtime_ns, status.st_ctime_ns


def _pack(names):
    """Turn sorted relative paths into the parts of a `FaceList`."""
    folders, folder_of, lengths = {}, np.empty(len(names), np.int32), np.empty(len(names), int)
    for i, name in enumerate(names):
        length = name.rfind(b"/") + 1
        folder_of[i] = folders.setdefault(name[:length], len(folders))
        names[i] = name[length:]
        lengths[i] = len(name) - length
    return list(folders), folder_of, b"".join(names), np.cumsum(lengths)


def _write_index(path, root, parts, states):
    """Write an index, whole or not at all; a cache that cannot be written is done without."""
    folders, folder_of, names, ends = parts
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, "wb") as file:
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
            )
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        print(f"The list of {root} is not kept for later starts: {error}")


def _read_index(path, root):
    """Return the parts of a `FaceList`, or None if there is no index that is still true."""
    try:
        with np.load(path) as index:
            if index["version"] != INDEX_VERSION:
                return None
            if _to_list(index["root"]) != [os.fsencode(root.resolve())]:
                return None
            listed = _to_list(index["listed"])
            if [_state(root, folder) for folder in listed] != list(map(tuple, index["states"])):
                return None
            return (
                _to_list(index["folders"]),
                index["folder_of"],
                index["names"].tobytes(),
                index["ends"],
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _to_array(names):
    return np.frombuffer(b"\0".join(names), np.uint8)  # no file name holds a zero byte


def _to_list(array):
    return array.tobytes().split(b"\0")
