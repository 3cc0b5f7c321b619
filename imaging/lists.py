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

from errors import Mistake, shown
from imaging.index import index_path, read_index, state_of, write_index
from imaging.pictures import EXTENSIONS, crop_and_resize, read_or_note

# Folders that systems leave, with copies or previews of pictures; hidden ones never count either.
OF_SYSTEMS = frozenset(
    (b"__MACOSX", b"@eaDir", b"@Recycle", b"#recycle", b"$RECYCLE.BIN", b"lost+found")
)
# Files beside pictures that nobody would take for one; all others passed over are counted.
NO_PICTURES = frozenset(
    (".csv", ".tsv", ".txt", ".json", ".xml", ".yaml", ".yml", ".html", ".md", ".log", ".pdf")
    + (".ini", ".db", ".npy", ".npz", ".mat", ".pts")
)
KINDS_SHOWN = 5  # of files passed over
FACES_PER_ROUND = 2  # of an identity, when faces are spread over identities
INDEX_FROM = 50_000  # images; fewer are listed anew at every start, which takes no time


class FaceList(collections.abc.Sequence):
    """A fixed list of image files below one folder: an item is a `Path`, a slice a `FaceList`.

    Takes some 30 bytes per image; 3.3 million `Path` would take gigabytes.

    Attributes:
        root: `Path` of the folder.
        level: which folder below the root stands for a person, from 1; None: a face's own.
        passed_over: {ending: number of files below the root that are not read}.
    """

    def __init__(
        self, root, folders, folder_of, names, ends, chosen=None, level=None, passed_over=None
    ):
        """Keep the parts of the list.

        Args:
            root: `Path` of the folder.
            folders: list of bytes, the folders of images relative to it, each ending in "/"; b""
                is the root itself.
            folder_of: int32 (N,), which of `folders` each image lies in.
            names: bytes, the file names of all images in one piece.
            ends: int64 (N,), where each name ends.
            chosen: int32 (M,), which of the N images are listed; None lists all.
            level: see the attribute.
            passed_over: see the attribute.
        """
        self.root = root
        self.level = level
        self.passed_over = passed_over or {}
        self._parts = folders, folder_of, names, ends
        self._chosen = np.arange(len(ends), dtype=np.int32) if chosen is None else chosen

    def __len__(self):
        return len(self._chosen)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self._choose(self._chosen[index])
        return self.root / os.fsdecode(next(self._names(self._chosen[[index]])))

    def _choose(self, chosen):
        return FaceList(self.root, *self._parts, chosen, self.level, self.passed_over)

    def __iter__(self):
        return (self.root / os.fsdecode(name) for name in self.names())

    def names(self):
        """Yield the paths of the images relative to the root, as bytes with "/" between parts."""
        for start in range(0, len(self), 1 << 16):
            yield from self._names(self._chosen[start : start + (1 << 16)])

    def encoded(self, indices):
        """Return the paths of some indices as a list of bytes, in one go."""
        root = os.path.join(os.fsencode(self.root), b"")
        return [root + name for name in self._names(self._chosen[indices])]

    def _names(self, chosen):
        folders, folder_of, names, ends = self._parts
        starts = np.where(chosen > 0, ends[chosen - 1], 0).tolist()
        for folder, start, end in zip(
            folder_of[chosen].tolist(), starts, ends[chosen].tolist(), strict=True
        ):
            yield folders[folder] + names[start:end]

    def folders(self):
        """Return the folders that images of this list lie in, relative to the root, sorted."""
        folders, folder_of, _, _ = self._parts
        used = np.unique(folder_of[self._chosen])
        return sorted((os.fsdecode(folders[i][:-1]) for i in used), key=_by_parts)

    def identity(self, path):
        """Return the `Path` of the folder that stands for the person of a face of this list."""
        return self.root.joinpath(*path.relative_to(self.root).parts[:-1][: self.level])

    def identities(self):
        """Return the folders that stand for people, relative to the root, sorted."""
        return sorted({self._identity(folder) for folder in self.folders()}, key=_by_parts)

    def _identity(self, folder):
        return "/".join(folder.split("/")[: self.level])

    def first_of_each(self):
        """Return {identity: `Path` of its first image}, as `identities` names and sorts them."""
        folders, folder_of, _, _ = self._parts
        used, places = np.unique(folder_of[self._chosen], return_index=True)
        first = {}
        for place, folder in sorted(zip(places.tolist(), used.tolist(), strict=True)):
            first.setdefault(self._identity(os.fsdecode(folders[folder][:-1])), self[place])
        return {name: first[name] for name in self.identities()}

    def split(self, identities):
        """Return two `FaceList`: the images outside and inside of some of `identities()`."""
        folders, folder_of, _, _ = self._parts
        inside = set(identities)
        is_inside = [self._identity(os.fsdecode(folder[:-1])) in inside for folder in folders]
        is_inside = np.array(is_inside)[folder_of[self._chosen]]
        return tuple(self._choose(self._chosen[is_inside == side]) for side in (False, True))


def _by_parts(name):
    return name.split("/")


def find_faces(folder, identity_level=None):
    """List the images below a folder, sorted, so that the order is the same on every machine.

    Hidden files and folders never count, nor do those of `OF_SYSTEMS`. From `INDEX_FROM` images
    on, the list is also written to `index_path`, and later calls read it from there unless the
    size or time of a folder changed.

    Args:
        folder: root of one folder per identity, at any depth.
        identity_level: which folder below the root stands for a person, from 1: 1 for
            person/video/frame.jpg. None: the folder that a face lies in.

    Returns:
        `FaceList`.

    Raises:
        Mistake: the folder does not exist, cannot be listed or holds no image.
    """
    root = Path(folder)
    if not root.is_dir():
        raise Mistake(f"there is no folder {root}")
    index = index_path(root)
    parts, passed_over = read_index(index, root) or (None, None)
    if parts is None:
        started = time.time_ns()
        try:
            names, states, passed_over = _list_images(root, started)
        except OSError as error:
            raise Mistake(f"cannot list {os.fsdecode(error.filename)}: {error.strerror}") from error
        if not names:
            others = f", but {_kinds(passed_over)}" if passed_over else ""
            raise Mistake(f"{root} holds no image ({', '.join(sorted(EXTENSIONS))}){others}")
        parts = _pack(names)
        if len(names) >= INDEX_FROM:
            write_index(index, root, parts, states, passed_over)
            seconds = (time.time_ns() - started) / 1e9
            print(
                f"Listed {len(names):,} images in {seconds:.0f} s; later starts read {shown(index)}"
            )
    return FaceList(root, *parts, level=identity_level, passed_over=passed_over)


def passed_over_note(faces):
    """Return a line about the files below a `FaceList`'s root that are not read, "" if none."""
    if not faces.passed_over:
        return ""
    return f"Passed over in {shown(faces.root)}, as no pictures: {_kinds(faces.passed_over)}"


def _kinds(counts):
    kinds = [
        f"{count:,} {shown(ending) or 'without ending'}"
        for ending, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    more = f" and {len(kinds) - KINDS_SHOWN} more kinds" if len(kinds) > KINDS_SHOWN else ""
    return ", ".join(kinds[:KINDS_SHOWN]) + more


def nested_note(faces):
    """Return a line if one person's faces may lie in several folders of a `FaceList`, else ""."""
    parents = collections.defaultdict(list)
    for folder in faces.folders():
        parents[folder.split("/")[0]].append(folder)
    nested = [folders for folders in parents.values() if len(folders) > 1]
    if faces.level is not None or len(parents) == 1 or not nested:
        return ""
    first, second = nested[0][:2]
    parent, depth = first.split("/")[0], second.count("/") + 1
    return (
        f"Each of {sum(map(len, parents.values())):,} folders counts as a person, {shown(first)} "
        f"as well as {shown(second)}: set IDENTITY_LEVEL = 1 if {shown(parent)} is one person, "
        f"= {depth} if not"
    )


def split_faces(train_dir, validation_dir, count, identity_level=None):
    """Find the faces to train on and those of other people that are held out.

    Args:
        train_dir: folder of identity folders.
        validation_dir: folder of other identities; None holds out some of `train_dir`.
        count: number of identities to hold out then, see `hold_out_identities`.
        identity_level: see `find_faces`.

    Returns:
        (training faces, held-out faces), both `FaceList`.

    Raises:
        Mistake: see `find_faces`, `hold_out_identities` and `check_identities_apart`.
    """
    faces = find_faces(train_dir, identity_level)
    if validation_dir is None:
        return hold_out_identities(faces, count)
    held_out = find_faces(validation_dir, identity_level)
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

    Args:
        paths: `FaceList`; or list of `Path`, one identity per parent folder.
    """
    by_identity, identity = collections.defaultdict(list), _identity_in(paths)
    for path in paths:
        by_identity[identity(path)].append(path)
    for start in range(0, max(map(len, by_identity.values())), FACES_PER_ROUND):
        for members in by_identity.values():
            yield from members[start : start + FACES_PER_ROUND]


def _identity_in(paths):
    return getattr(paths, "identity", lambda path: path.parent)


def load_faces(paths, count, image_size=128):
    """Read a fixed choice of faces, the first of `spread_over_identities` that can be read.

    Args:
        paths: see `spread_over_identities`.
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
        picture = read_or_note(path, lambda path, error: unreadable.update({path: str(error)}))
        if picture is not None:
            pixels.append(crop_and_resize(picture, image_size))
            chosen.append(path)
    if not pixels:
        reason = next(iter(unreadable.values()), "there are none")
        raise Mistake(f"no readable image among {len(paths)} files: {reason}")
    order = np.argsort([str(path) for path in chosen], kind="stable")
    identities = np.array([str(folder) for folder in map(_identity_in(paths), chosen)])
    return np.stack(pixels)[order], identities[order], unreadable


# --- Listing ---------------------------------------------------------------------------------


def _list_images(root, now):
    """List all there is, but for what is hidden and `OF_SYSTEMS`.

    Returns:
        (sorted relative paths as bytes, {relative folder as bytes: its state}, {ending: number of
        files passed over}).
    """
    extensions = {os.fsencode(extension) for extension in EXTENSIONS}
    names, states, waiting = [], {}, [(b"", frozenset())]
    passed_over = collections.Counter()
    while waiting:
        folder, above = waiting.pop()
        status = os.stat(os.path.join(os.fsencode(root), folder))
        here = status.st_dev, status.st_ino
        if here in above:
            continue  # a link back to a folder that it lies in
        # Before it is listed, so that a change shows next time.
        states[folder] = state_of(root, folder, now)
        with os.scandir(os.path.join(os.fsencode(root), folder)) as entries:
            for entry in entries:
                ending = os.path.splitext(entry.name)[1].lower()
                if entry.name.startswith(b".") or entry.name in OF_SYSTEMS:
                    continue
                if entry.is_dir():  # or a link to one, as to another disk
                    waiting.append((folder + entry.name + b"/", above | {here}))
                elif ending in extensions and entry.is_file():
                    names.append(folder + entry.name)
                else:
                    passed_over[os.fsdecode(ending)] += 1
    names.sort()
    counts = {ending: n for ending, n in passed_over.items() if ending not in NO_PICTURES}
    return names, states, counts


def _pack(names):
    """Turn sorted relative paths into the parts of a `FaceList`."""
    folders, folder_of, lengths = {}, np.empty(len(names), np.int32), np.empty(len(names), int)
    for i, name in enumerate(names):
        length = name.rfind(b"/") + 1
        folder_of[i] = folders.setdefault(name[:length], len(folders))
        names[i] = name[length:]
        lengths[i] = len(name) - length
    return list(folders), folder_of, b"".join(names), np.cumsum(lengths)
