"""Lists of face images: finding millions of them, keeping the list small, splitting it.

The first listing of a large folder is kept as an index, so that later starts need not wait for it.
Needs no TensorFlow.
"""

import collections
import collections.abc
import hashlib
import os
import time
from pathlib import Path

import numpy as np

from errors import Mistake
from imaging.index import index_path, read_index, state_of, write_index
from imaging.pictures import crop_and_resize, read_pixels

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})

FACES_PER_ROUND = 2  # of an identity, when faces are spread over identities
INDEX_FROM = 50_000  # images; fewer are listed anew at every start, which takes no time


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

    def first_of_each(self):
        """Return {identity: `Path` of its first image}, as `identities` names and sorts them."""
        folders, folder_of, _, _ = self._parts
        _, places = np.unique(folder_of[self._chosen], return_index=True)
        first = {self[int(place)].parent: self[int(place)] for place in places}
        return {name: first[self.root / name] for name in self.identities()}

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
        Mistake: the folder does not exist, cannot be listed or holds no image.
    """
    root = Path(folder)
    if not root.is_dir():
        raise Mistake(f"there is no folder {root}")
    index = index_path(root)
    parts = read_index(index, root)
    if parts is None:
        started = time.time_ns()
        try:
            names, states = _list_images(root, started)
        except OSError as error:
            raise Mistake(f"cannot list {os.fsdecode(error.filename)}: {error.strerror}") from error
        if not names:
            raise Mistake(f"{root} holds no image ({', '.join(sorted(EXTENSIONS))})")
        parts = _pack(names)
        if len(names) >= INDEX_FROM:
            write_index(index, root, parts, states)
            seconds = (time.time_ns() - started) / 1e9
            print(f"Listed {len(names):,} images in {seconds:.0f} s; later starts read {index}")
    return FaceList(root, *parts)


def split_faces(train_dir, validation_dir, count):
    """Find the faces to train on and those of other people that are held out.

    Args:
        train_dir: folder of identity folders.
        validation_dir: folder of other identities; None holds out some of `train_dir`.
        count: number of identities to hold out then, see `hold_out_identities`.

    Returns:
        (training faces, held-out faces), both `FaceList`.

    Raises:
        Mistake: see `find_faces`, `hold_out_identities` and `check_identities_apart`.
    """
    faces = find_faces(train_dir)
    if validation_dir is None:
        return hold_out_identities(faces, count)
    held_out = find_faces(validation_dir)
    check_identities_apart(faces, held_out)
    return faces, held_out


def hold_out_identities(paths, count):
    """Split faces into two lists that share no identity.

    Args:
        paths: `FaceList`.
        count: number of identities to hold out: the last ones by name.

    Returns:
        (training paths, held-out paths), both `FaceList`.

    Raises:
        Mistake: fewer than `count` + 1 identities, so that nothing would remain.
    """
    identities = paths.identities()
    if not 0 < count < len(identities):
        raise Mistake(
            f"cannot hold out {count} of {len(identities)} identities: TRAIN_DIR needs one folder "
            "per person; lower HELD_OUT_IDENTITIES or set VALIDATION_DIR"
        )
    return paths.split(identities[-count:])


def check_identities_apart(training_paths, held_out_paths):
    """Raise Mistake if two `FaceList` have folders of the same name, the same people then."""
    names = (
        {name.rpartition("/")[2] for name in p.identities()}
        for p in (training_paths, held_out_paths)
    )
    if shared := sorted(set.intersection(*names) - {""}):
        raise Mistake(
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


# --- A fixed choice of faces ---------------------------------------------------------------------


def spread_over_identities(paths):
    """Yield faces so that the first ones are spread evenly over the identities.

    Two of each identity come first, then two more, and so on: only with a second face of the same
    person can be told whether the person is recognised.
    """
    by_identity = collections.defaultdict(list)
    for path in paths:
        by_identity[path.parent].append(path)
    for start in range(0, max(map(len, by_identity.values())), FACES_PER_ROUND):
        for members in by_identity.values():
            yield from members[start : start + FACES_PER_ROUND]


def load_faces(paths, count, image_size=128):
    """Read a fixed choice of faces, the first of `spread_over_identities` that can be read.

    Args:
        paths: `FaceList` or list of `Path`, one identity per parent folder.
        count: number of faces wanted.
        image_size: height and width of a face in pixels.

    Returns:
        (pixels, identities, unreadable): uint8 (N, size, size, 3) with N at most `count`, an
        array of N folder names, and {path: reason} of the files passed over.

    Raises:
        Mistake: not one of the files could be read.
    """
    in_turn = spread_over_identities(paths)
    pixels, chosen, unreadable = [], [], {}
    while len(pixels) < count and (path := next(in_turn, None)) is not None:
        try:
            pixels.append(crop_and_resize(read_pixels(path), image_size))
            chosen.append(path)
        except OSError as error:
            unreadable[path] = str(error)
    if not pixels:
        reason = next(iter(unreadable.values()), "there are none")
        raise Mistake(f"no readable image among {len(paths)} files: {reason}")
    order = np.argsort([str(path) for path in chosen], kind="stable")
    identities = np.array([str(path.parent) for path in chosen])
    return np.stack(pixels)[order], identities[order], unreadable


# --- Listing ---------------------------------------------------------------------------------


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
        states[folder] = state_of(
            root, folder, now
        )  # before it is listed: a change shows next time
        with os.scandir(os.path.join(os.fsencode(root), folder)) as entries:
            for entry in entries:
                if entry.is_dir():  # or a link to one, as to another disk
                    waiting.append((folder + entry.name + b"/", above | {here}))
                elif os.path.splitext(entry.name)[1].lower() in extensions and entry.is_file():
                    names.append(folder + entry.name)
    names.sort()
    return names, states


def _pack(names):
    """Turn sorted relative paths into the parts of a `FaceList`."""
    folders, folder_of, lengths = {}, np.empty(len(names), np.int32), np.empty(len(names), int)
    for i, name in enumerate(names):
        length = name.rfind(b"/") + 1
        folder_of[i] = folders.setdefault(name[:length], len(folders))
        names[i] = name[length:]
        lengths[i] = len(name) - length
    return list(folders), folder_of, b"".join(names), np.cumsum(lengths)
