"""Which faces are measured, and reading them."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np

from console.progress import track
from errors import Mistake
from evaluation.pair_lists import read_pairs
from evaluation.pairs import draw_pairs, own_folder
from imaging.lists import (
    EXTENSIONS,
    find_faces,
    fingerprint,
    hold_out_identities,
    passed_over_note,
    split_faces,
)
from imaging.pictures import crop_and_resize, read_pixels
from trained_networks import ELSEWHERE, names_of, people_of, picture_mark, read_people

SAMPLES = Path(__file__).parents[1] / "samples"
MOST_NAMED = 5  # pictures that cannot be read
HELD_OUT_SAMPLES = 8  # people, the last by name, as in train.py


@dataclasses.dataclass(frozen=True)
class Faces:
    """The faces that are measured.

    Attributes:
        pixels: uint8 (N, S, S, 3).
        paths: list of N `Path`.
        folders: list of N `Path`, the folder that stands for the person of each.
    """

    pixels: np.ndarray
    paths: list
    folders: list

    def __len__(self):
        return len(self.paths)

    @property
    def index(self):
        """{path: its place in `pixels`}."""
        return {path: i for i, path in enumerate(self.paths)}

    @property
    def identities(self):
        """Array of N folders: whom a face shows."""
        return np.array([str(folder) for folder in self.folders])

    @property
    def description(self):
        """How many faces of how many people."""
        people = len(set(self.identities))
        return f"{len(self)} faces of {people} {'people' if people > 1 else 'folder'}"


def faces_folder(faces_dir, training):
    """Return the folder of identity folders to measure.

    FACES_DIR, or else the training's, or `SAMPLES` if that was another machine's.
    """
    return Path(faces_dir or (SAMPLES if _is_elsewhere(training) else _own_folder(training)))


def _own_folder(training):
    return Path(training["VALIDATION_DIR"] or training["TRAIN_DIR"])


def _is_elsewhere(training):
    return _own_folder(training).parts[0] == ELSEWHERE


def identity_level(chosen, training):
    """Return which folder stands for a person: that of FACES_DIR, or else the training's."""
    return chosen.IDENTITY_LEVEL if chosen.FACES_DIR else training.get("IDENTITY_LEVEL")


def identity_in(folder, level):
    """Return a function from the path of a face below a folder to the folder of its person."""

    def identity(path):
        below = path.is_relative_to(folder)
        return (
            folder.joinpath(*path.relative_to(folder).parts[:-1][:level]) if below else path.parent
        )

    return own_folder if level is None else identity


def names_below(folder, paths):
    """Return the paths of pictures as they are called below their folder, on any machine.

    Of pictures elsewhere, as scikit-learn's, it is the last folder and the name.
    """

    def name(path):
        return path.relative_to(folder) if path.is_relative_to(folder) else Path(*path.parts[-2:])

    return [name(path).as_posix() for path in paths]


def list_faces(folder, level=None):
    """Return the `FaceList` of a folder, see `find_faces`; say what is passed over there."""
    faces = find_faces(folder, level)
    if note := passed_over_note(faces):
        print(note)
    return faces


def choose_faces(faces_dir, training, recipe, level=None):
    """Return the `FaceList` to choose from: FACES_DIR, or the faces that the training held out.

    If those are another machine's, the faces of `samples/` that `train.py` holds out.

    Args:
        faces_dir: folder of identity folders, or of faces; or None.
        training: constants of the training.
        recipe: what they resolved to.
        level: see `find_faces`.

    Raises:
        Mistake: there are none, or other faces are held out now than in training.
    """
    folder = faces_folder(faces_dir, training)
    if not faces_dir and not folder.is_dir():
        raise Mistake(
            f"the faces that the training held out were in {folder}, which is not here: set "
            "FACES_DIR to where they are now, or to other people"
        )
    faces = list_faces(folder, level)
    if not faces_dir and _is_elsewhere(training):
        print(f"The faces that the training held out are not here: the last of {folder} instead")
        return hold_out_identities(faces, HELD_OUT_SAMPLES)[1]
    if faces_dir or training["VALIDATION_DIR"]:
        return faces
    trained, faces = hold_out_identities(faces, training["HELD_OUT_IDENTITIES"])
    if fingerprint(trained) != recipe["training faces"]:
        raise Mistake(
            f"{folder} is not what it was when the network was trained, so that faces it was "
            "trained on could count as held out: set FACES_DIR to other people"
        )
    return faces


def spread(paths, count, pairs, identity=own_folder):
    """Return some faces, sorted: so many of each person that enough pairs can be drawn.

    People with two faces or more come first; more people are better, so that no more faces of each
    are taken than the genuine pairs need.

    Args:
        paths: iterable of `Path`.
        count: most faces.
        pairs: pairs wanted, half of them genuine.
        identity: function from a path to the folder that stands for its person.
    """
    members = {}
    for path in paths:
        members.setdefault(identity(path), []).append(path)
    # n faces, m of each person, make n (m - 1) / 2 genuine pairs.
    per_person = max(2, 1 + math.ceil(2 * (pairs // 2) / count))
    in_turn = sorted(members.values(), key=lambda faces: len(faces) < 2)
    rounds = range(0, max(map(len, in_turn)), per_person)
    chosen = (path for i in rounds for faces in in_turn for path in faces[i : i + per_person])
    return sorted(itertools.islice(chosen, count))


def choose_pairs(chosen, training, recipe, problems):
    """Return (list of `Pair`, paths of the faces to measure, function from a path to its person).

    Args:
        chosen: constants of `evaluate.py`.
        training: constants of the training.
        recipe: what they resolved to.
        problems: `Problems`, which notes why there are no pairs, or fewer than are wanted.

    Raises:
        Mistake: faces or the list of pairs are missing, or other faces are held out now than in
            training.
    """
    folder, level = faces_folder(chosen.FACES_DIR, training), identity_level(chosen, training)
    identity = identity_in(folder, level)
    if chosen.PAIRS is not None:
        pairs = read_pairs(chosen.PAIRS, folder)
        paths = sorted({path for pair in pairs for path in (pair.image_a, pair.image_b)})
        return pairs, paths, identity
    faces = choose_faces(chosen.FACES_DIR, training, recipe, level)
    paths = spread(faces, chosen.FACES, chosen.DRAWN_PAIRS, identity)
    try:
        pairs = draw_pairs(paths, chosen.DRAWN_PAIRS, chosen.SEED, identity)
    except Mistake as mistake:
        problems.note(f"no verification: {mistake}")
        return [], paths, identity
    if len(pairs) < chosen.DRAWN_PAIRS:
        problems.note(
            f"only {len(pairs)} of {chosen.DRAWN_PAIRS} pairs could be drawn among {len(paths)} "
            f"faces of {len(set(map(identity, paths)))} people: raise FACES, or add faces"
        )
    return pairs, paths, identity


def choose_sizes(sizes, training):
    """Return the low resolutions to measure: `sizes`, or else those of the training.

    Raises:
        Mistake: one is no smaller than the faces.
    """
    sides = training["IMAGE_SIZE"]
    chosen = list(dict.fromkeys(tuple(size) for size in sizes or training["LOW_RESOLUTIONS"]))
    if any(max(size) > sides or min(size) == sides for size in chosen):
        raise Mistake(f"SIZES must be below the faces' {sides}x{sides}, not {sizes}")
    return chosen


def tell_people_trained_on(faces, run, training, recipe, problems):
    """Note whether the network was trained on people of some faces, or that it cannot be told.

    Args:
        faces: {path: folder of its person} of the faces to measure.
        run: see `trained_networks.run_of`; it keeps whom it trained on, see `write_people`.
        training: constants of the training, whose faces tell where the run keeps nothing.
        recipe: what they resolved to.
        problems: `Problems`.
    """
    people = read_people(run).get("people") or _people_of(training, recipe)
    if people is None:
        problems.note(
            "it cannot be told whether the network was trained on people measured here: its run "
            "keeps no list of them, and the faces it was trained on are gone"
        )
        return
    marks, called = set(people.values()) - {None}, names_of(people)
    by_folder = {}
    for path, folder in faces.items():
        by_folder.setdefault(folder, set()).add(path)
    same, called_alike = 0, 0
    for folder, pictures in by_folder.items():
        pictures |= _first_picture(min(pictures).parent)  # which the training remembers
        if marks & {picture_mark(picture) for picture in pictures}:
            same += 1
        elif called(folder.name):
            called_alike += 1
    if same:
        problems.note(f"the network was trained on {same} of the people measured here")
    if called_alike:
        problems.note(
            f"the network was trained on people called as {called_alike} of the people measured "
            "here, of whom it had other pictures: they may be the same"
        )


def _first_picture(folder):
    """Return the picture of a folder that comes first by name, as a set, empty if it has none."""
    names = (path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS)
    return set(sorted(path for path in names if not path.name.startswith("."))[:1])


def _people_of(training, recipe):
    """Return the people of TRAIN_DIR as `write_people` keeps them; None if they are not there."""
    try:
        faces, _ = split_faces(
            training["TRAIN_DIR"],
            training["VALIDATION_DIR"],
            training["HELD_OUT_IDENTITIES"],
            training.get("IDENTITY_LEVEL"),
        )
    except Mistake:
        return None
    return people_of(faces) if fingerprint(faces) == recipe["training faces"] else None


def central(picture, side):
    """Return the square of a side in pixels out of the middle; None, and smaller pictures: all."""
    if side is None:
        return picture
    top, left = (max(0, length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def read_pictures(paths, problems):
    """Yield (path, uint8 RGB (H, W, 3)) of the pictures that can be read.

    Args:
        paths: list of `Path`.
        problems: `Problems`, which notes the first that cannot be read, and how many more.
    """
    unreadable = 0
    for path in track(paths, "face", "reading"):
        try:
            yield path, read_pixels(path)
        except OSError as error:
            unreadable += 1
            if unreadable <= MOST_NAMED:
                problems.note(" ".join(str(error).split()))
    if unreadable > MOST_NAMED:
        problems.note(f"{unreadable - MOST_NAMED} more pictures cannot be read")


def load_faces(paths, image_size, central_crop, problems, identity=own_folder):
    """Read faces.

    Args:
        paths: list of `Path`.
        image_size: height and width of a face in pixels.
        central_crop: side in pixels of the square that is cut out of the middle first, or None.
        problems: see `read_pictures`.
        identity: function from a path to the folder that stands for its person.

    Returns:
        `Faces`, those that can be read.

    Raises:
        Mistake: not one could be read.
    """
    pixels, readable = [], []
    for path, picture in read_pictures(paths, problems):
        readable.append(path)
        pixels.append(crop_and_resize(central(picture, central_crop), image_size))
    if not pixels:
        reason = problems[0] if problems else "the list is empty"
        raise Mistake(f"none of {len(paths)} faces could be read: {reason}")
    return Faces(np.stack(pixels), readable, [identity(path) for path in readable])
