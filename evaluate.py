"""Does it still look like the same person? Edit the constants, then run `python evaluate.py`.

Measures bicubic enlargement, SR and HR side by side on faces that the network was not trained on:
picture quality, identification and verification, under the FaceNet of the loss and under a
recogniser that the loss never saw.
"""

from hardware.precision import use_hardware

import functools
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from data import degrade, to_faces, to_pixels
from errors import Mistake
from evaluation import dlib_recogniser, report
from evaluation.groups import read_groups
from evaluation.measuring import PROTOCOLS, Recogniser, group_rows, measure, pair_scores, table_rows
from evaluation.pairs import draw_pairs, read_pairs
from evaluation.verification import judge_by_folds
from facenet import EMBEDDED_WEIGHTS, FaceNet, WeightsError
from imaging.lists import find_faces, fingerprint, hold_out_identities, spread_over_identities
from imaging.pictures import crop_and_resize, read_pixels
from metrics import in_batches
from trained_networks import load_network, newest_network, run_of, write_config

RUN_DIR = "output"  # a training's output folder, or a folder of them: the newest network counts
FACES_DIR = None  # one folder per identity; None: the faces that the training held out
FACES = 96  # faces measured, spread over the identities, if PAIRS is None
PAIRS = None  # CSV (fold,image_a,image_b,same), LFW's pairs.txt, "scikit-learn"; None draws pairs
DRAWN_PAIRS = 600  # half of them genuine, if PAIRS is None
SEED = 0  # of the drawn pairs
CENTRAL_CROP = None  # side in pixels of the square cut out first; 144 for LFW's 250x250 pictures
SIZES = None  # low resolutions as (height, width) in pixels; None: those of the training
UNSEEN_RECOGNISER = "dlib"  # "dlib", the path of another FaceNet weight file, or None
FACE_BOX = (0.15, 0.2, 0.85, 0.9)  # left, top, right, bottom of the face in its picture, for dlib
GROUPS = None  # CSV of identities; None: identities.csv beside the identity folders, if there
GROUP_COLUMNS = ("sex", "skin_tone", "beard", "glasses")  # of that file, to group people by


def check_constants():
    """Raise Mistake, naming the constant, where a value cannot work."""
    constants = globals()

    def is_integer(name, least):
        return type(constants[name]) is int and constants[name] >= least

    def is_path(name):
        return isinstance(constants[name], str | Path)

    is_sizes = SIZES is None or all(
        isinstance(size, list | tuple)
        and len(size) == 2
        and all(type(side) is int and side >= 1 for side in size)
        for size in (SIZES if isinstance(SIZES, list | tuple) and SIZES else [None])
    )
    is_box = (
        isinstance(FACE_BOX, list | tuple)
        and len(FACE_BOX) == 4
        and all(isinstance(side, int | float) for side in FACE_BOX)
        and 0 <= FACE_BOX[0] < FACE_BOX[2] <= 1
        and 0 <= FACE_BOX[1] < FACE_BOX[3] <= 1
    )
    are_columns = isinstance(GROUP_COLUMNS, list | tuple) and all(
        isinstance(column, str) for column in GROUP_COLUMNS
    )
    optional = ("FACES_DIR", "PAIRS", "UNSEEN_RECOGNISER", "GROUPS")
    rules = [
        ("RUN_DIR", is_path("RUN_DIR"), "a path"),
        *((n, constants[n] is None or is_path(n), "None or a path") for n in optional),
        *((n, is_integer(n, 1), "an integer from 1") for n in ("FACES", "DRAWN_PAIRS")),
        ("SEED", is_integer("SEED", 0), "an integer from 0"),
        ("CENTRAL_CROP", CENTRAL_CROP is None or is_integer("CENTRAL_CROP", 1), "None or pixels"),
        ("SIZES", is_sizes, "None or a list of (height, width) in pixels"),
        ("FACE_BOX", is_box, "(left, top, right, bottom) as fractions"),
        ("GROUP_COLUMNS", are_columns, "a list of names of columns"),
    ]
    for name, holds, wanted in rules:
        if not holds:
            raise Mistake(f"{name} must be {wanted}, not {constants[name]!r}")


def find_network(folder):
    """Find the newest trained network in a folder, see `super_resolver.newest_network`.

    Returns:
        (the run's folder, path of the network, constants of its training, its recipe).

    Raises:
        Mistake: there is none.
        Mistake: the run's `config.json` is missing or damaged.
    """
    try:
        network = newest_network(folder)
    except Mistake as error:
        raise Mistake(f"RUN_DIR: {error}") from error
    path = run_of(network) / "config.json"
    try:
        config = json.loads(path.read_text())
        return run_of(network), network, config["constants"], config["recipe"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Mistake(f"{path} is missing or damaged: {error}") from error


def choose_pairs(constants, recipe):
    """Return (pairs, paths of the faces to measure) as the constants at the top say.

    Args:
        constants: those of the training.
        recipe: what they resolved to.

    Raises:
        Mistake: faces or pairs are missing, or other faces are held out now than in training.
    """
    folder = faces_folder(constants)
    if PAIRS is not None:
        pairs = read_pairs(PAIRS, folder)
        paths = sorted({path for pair in pairs for path in (pair.image_a, pair.image_b)})
        return pairs, paths
    paths = find_faces(folder)
    if not (FACES_DIR or constants["VALIDATION_DIR"]):
        trained, paths = hold_out_identities(paths, constants["HELD_OUT_IDENTITIES"])
        if fingerprint(trained) != recipe["training faces"]:
            raise Mistake(
                f"{folder} is not what it was when the network was trained, so that faces it was "
                "trained on could count as held out: set FACES_DIR to other people"
            )
    paths = sorted(itertools.islice(spread_over_identities(paths), FACES))
    return draw_pairs(paths, DRAWN_PAIRS, SEED), paths


def count_trained_on(paths, constants):
    """Return how many people of some faces the network was trained on, as far as can be told.

    Args:
        paths: list of `Path` of the faces to measure.
        constants: those of the training; its folders are compared, if they still exist.
    """
    try:
        trained = find_faces(constants["TRAIN_DIR"])
        if not constants["VALIDATION_DIR"]:
            trained, _ = hold_out_identities(trained, constants["HELD_OUT_IDENTITIES"])
    except Mistake:
        return 0
    measured, trained = (
        {folder.resolve() for folder in {path.parent for path in of}} for of in (paths, trained)
    )
    return len(measured & trained)


def faces_folder(constants):
    """Return the folder of identity folders to measure."""
    return Path(FACES_DIR or constants["VALIDATION_DIR"] or constants["TRAIN_DIR"])


def load_pixels(paths, image_size):
    """Read faces.

    Args:
        paths: list of `Path`.
        image_size: height and width of a face in pixels.

    Returns:
        (pixels, index, problems): uint8 (N, size, size, 3), {path: its place in pixels}, and a
        line for each file that could not be read.

    Raises:
        Mistake: not one could be read.
    """
    pixels, index, problems = [], {}, []
    for path in tqdm(paths, "reading", unit="face", leave=False):
        try:
            picture = read_pixels(path)
        except OSError as error:
            problems.append(" ".join(str(error).split()))
            continue
        if CENTRAL_CROP is not None:
            top, left = (max(0, side - CENTRAL_CROP) // 2 for side in picture.shape[:2])
            picture = picture[top : top + CENTRAL_CROP, left : left + CENTRAL_CROP]
        index[path] = len(pixels)
        pixels.append(crop_and_resize(picture, image_size))
    if not pixels:
        reason = problems[0] if problems else "the list is empty"
        raise Mistake(f"none of {len(paths)} faces could be read: {reason}")
    return np.stack(pixels), index, problems


def choose_recognisers(constants, recipe):
    """Return the FaceNet of the loss, and the unseen `Recogniser` if there is one."""
    weights = Path(constants["FACENET_WEIGHTS"])
    if weights.name == EMBEDDED_WEIGHTS.name and not weights.exists():
        weights = EMBEDDED_WEIGHTS  # the repository was moved
    loss_facenet = FaceNet(weights, constants.get("FACENET_INPUT", "auto"))
    if loss_facenet.fingerprint != recipe["FaceNet"]:
        raise Mistake(
            f"{weights} is another FaceNet than the one in the loss: put that "
            "one back, or name this one as UNSEEN_RECOGNISER"
        )
    recognisers = [_from_facenet("FaceNet of the loss", loss_facenet)]
    if UNSEEN_RECOGNISER == "dlib":
        if dlib_recogniser.is_installed():

            def embed(faces):
                return dlib_recogniser.describe(to_pixels(faces).numpy(), FACE_BOX)

            recognisers.append(Recogniser("dlib, unseen by the loss", embed, centred=True))
        else:
            print("dlib-bin and face-recognition-models are not installed: no unseen recogniser")
    elif UNSEEN_RECOGNISER is not None:
        try:
            facenet = FaceNet(UNSEEN_RECOGNISER)
        except WeightsError as error:
            raise Mistake(f"UNSEEN_RECOGNISER: {error}") from error
        if facenet.fingerprint == loss_facenet.fingerprint:
            raise Mistake(
                f"UNSEEN_RECOGNISER {UNSEEN_RECOGNISER} is the FaceNet of the loss: name another"
            )
        name = f"{Path(UNSEEN_RECOGNISER).name}, unseen by the loss"
        recognisers.append(_from_facenet(name, facenet))
    return recognisers


def _from_facenet(name, facenet):
    embed = tf.function(facenet, reduce_retracing=True)
    return Recogniser(name, functools.partial(in_batches, embed))


def main():
    """Write the tables and pictures of one network into `evaluation/` beside it.

    Raises:
        Mistake, Mistake, WeightsError, OSError: one line that names the constant or path to
            change.
    """
    check_constants()
    run, network_path, constants, recipe = find_network(RUN_DIR)
    print(f"Network  {network_path}")
    _, device = use_hardware("float32")
    unet = load_network(network_path)
    super_resolve = tf.function(functools.partial(unet, training=False))
    image_size = constants["IMAGE_SIZE"]
    sizes = list(dict.fromkeys(tuple(size) for size in SIZES or constants["LOW_RESOLUTIONS"]))
    if any(max(size) > image_size or min(size) == image_size for size in sizes):
        raise Mistake(f"SIZES must be below the faces' {image_size}x{image_size}, not {SIZES}")
    recognisers = choose_recognisers(constants, recipe)
    pairs, paths = choose_pairs(constants, recipe)
    folder = run / "evaluation"
    folder.mkdir(exist_ok=True)
    pixels, index, problems = load_pixels(paths, image_size)
    used = [pair for pair in pairs if pair.image_a in index and pair.image_b in index]
    if len(used) < len(pairs):
        problems.append(f"{len(pairs) - len(used)} of {len(pairs)} pairs lack an image")
    if count := count_trained_on(index, constants):
        problems.append(f"the network was trained on {count} of the people measured here")
    for problem in problems:
        print(f"Problem  {problem}")
    first, second = (
        np.array([index[path] for path in images], int)
        for images in ([pair.image_a for pair in used], [pair.image_b for pair in used])
    )
    same = np.array([pair.same for pair in used], bool)
    folds = np.array([pair.fold for pair in used], int)
    if len(np.unique(same)) < 2:
        raise Mistake(
            f"the {len(used)} pairs whose images can be read are not of both kinds, the same "
            f"person and different people (PAIRS is {PAIRS})"
        )
    identities = np.array([str(path.parent) for path in index])
    groups_path = Path(GROUPS) if GROUPS else faces_folder(constants) / "identities.csv"
    groups = {}
    if GROUPS or groups_path.is_file():
        try:
            groups = read_groups(groups_path, GROUP_COLUMNS)
        except Mistake as error:
            if GROUPS:
                raise
            problems.append(f"no groups: {error}")
            print(f"Problem  {problems[-1]}")

    print(f"Faces    {len(pixels)} of {len(set(identities))} people, {len(used)} pairs")
    try:
        judge_by_folds(np.zeros(len(same)), same, folds)  # before the faces are measured
    except Mistake as error:
        raise Mistake(f"PAIRS {PAIRS}: {error}") from None
    versions = measure(pixels, sizes, super_resolve, recognisers, constants["ANTIALIAS"])
    rows = table_rows(versions, recognisers, identities, first, second, same, folds)
    conditions = (
        f"{len(pixels)} faces of {len(set(identities))} people, {same.sum()} genuine and "
        f"{(~same).sum()} impostor pairs, bicubic -> SR"
    )
    settings = {name: value for name, value in globals().items() if name.isupper()}
    write_config(folder / "config.json", settings | {"network": network_path}, recipe, device)
    report.write_csv(folder / "results.csv", rows)
    by_group = group_rows(versions, sizes, recognisers[-1].name, identities, groups)
    if groups and not by_group:
        problems.append(f"no results by group: {groups_path} knows nobody here, or SIZES are large")
        print(f"Problem  {problems[-1]}")
    text = report.write_tables(folder / "results.md", rows, by_group, conditions, problems)
    print(f"\n{text}")
    report.draw_verification(folder / "verification.png", rows)
    # The judge of the last pictures is the unseen recogniser, if there is one.
    scores = {
        key: pair_scores(versions, key, recognisers[-1].name, PROTOCOLS[0], first, second)
        for key in versions
    }
    report.draw_roc(folder / "roc.png", scores, same, recognisers[-1].name)
    worst = report.find_worst(scores, same, folds, sizes)
    if worst:
        cards = []
        for case in worst:
            a, b = pixels[first[case.pair]], pixels[second[case.pair]]
            lr_faces = degrade(to_faces(b[None]), case.size, constants["ANTIALIAS"])
            made = (to_pixels(x).numpy()[0] for x in (lr_faces, super_resolve(lr_faces)))
            cards.append((case, (a, *made, b)))
        report.draw_worst(folder / "worst.png", cards, recognisers[-1].name)
    else:
        (folder / "worst.png").unlink(missing_ok=True)
        print("No pair that bicubic enlargement has right is wrong with SR: no worst.png")
    print(f"Written to {folder}")


if __name__ == "__main__":
    try:
        main()
    except (Mistake, WeightsError, OSError) as error:
        sys.exit(f"evaluate.py: {error}")
