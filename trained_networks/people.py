"""Whom a network was trained on, so that it can be told where the faces are gone."""

import hashlib
import json
import os
from pathlib import Path

from errors import Mistake
from files import whole
from imaging.lists import fingerprint
from trained_networks.packed import read_packed_people
from trained_networks.places import PEOPLE, is_packed, run_of

MOST_MARKS = 2_000  # people of whom a picture is remembered: seconds, also on slow disks
NAMELESS = "person "  # begins what stands for a name in a packed network


def write_people(run, faces, start=None, goes_on=False):
    """Keep with a run whom it trains on, so that it can be told later where the faces are gone.

    Of every person (of `MOST_MARKS` of them, if there are more) the mark of one picture is kept:
    folders are moved, renamed and copied, pictures stay what they are.

    Args:
        run: `Path` of the run's folder.
        faces: `FaceList` of the training faces.
        start: path of the trained network that it starts from, whose people count as well.
        goes_on: whether the network has been trained in this run before: then so do the people
            that the run has kept.
    """
    path = run / PEOPLE
    faces_line = fingerprint(faces)
    known = read_people(run) if goes_on else {}
    before = known.get("people", {})
    if known.get("faces") == faces_line and before.keys() >= set(faces.identities()):
        return
    if start:
        before = read_people(run_of(Path(start).resolve())).get("people", {}) | before
    people = {"faces": faces_line, "people": before | people_of(faces)}
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(people, indent=0) + "\n")


def people_of(faces):
    """Return {name: mark of the first picture, or None} of the people of a `FaceList`."""
    first = faces.first_of_each()
    every = -(-len(first) // MOST_MARKS)
    return {
        name: picture_mark(picture) if i % every == 0 else None
        for i, (name, picture) in enumerate(first.items())
    }


def read_people(run):
    """Return {"faces": fingerprint, "people": {name: mark or None}} of a run; {} if unknown.

    Args:
        run: `Path` of the run's folder, or of a packed network, which has no names but what
            `without_names` makes of them.
    """
    try:
        known = read_packed_people(run) if is_packed(run) else _read_json(run / PEOPLE)
        return known if isinstance(known["people"], dict) else {}
    except (OSError, ValueError, KeyError, TypeError, Mistake):
        return {}


def _read_json(path):
    return json.loads(path.read_text())


def without_names(people):
    """Return what `read_people` returned with hashes in place of names, to be handed on.

    They keep names from being read, not from being guessed and compared, which is their use.
    """
    if not people:
        return people
    marks = {_nameless(Path(name).name): mark for name, mark in people["people"].items()}
    return people | {"people": dict(sorted(marks.items()))}


def _nameless(name):
    if name.startswith(NAMELESS):  # from a packed network that a training started from
        return name
    return NAMELESS + hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:12]


def names_of(people):
    """Return a function from a name to whether one of the people is called so.

    Args:
        people: {name: mark or None}, see `read_people`.
    """
    names = {Path(name).name for name in people}
    return lambda name: not names.isdisjoint({name, _nameless(name)})


def picture_mark(path):
    """Return a line that tells an image file from others, whatever its name; None if unreadable.

    Size and first 16 kB are enough and quick to read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(1 << 14)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    return f"{size} {hashlib.sha256(start).hexdigest()[:16]}"
