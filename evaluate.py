"""Does it still look like the same person? Edit the constants, then run `python evaluate.py`.

Measures bicubic enlargement, SR and HR side by side on faces that the network was not trained on:
picture quality, identification and verification, under the FaceNet of the loss and under a
recogniser that the loss never saw.
"""

from hardware.precision import use_hardware

import types

from errors import check_constants, tell
from evaluation.constants import RULES
from evaluation.curves import draw_pictures
from evaluation.faces import (
    choose_pairs,
    choose_sizes,
    faces_folder,
    load_faces,
    tell_people_trained_on,
)
from evaluation.groups import choose_groups, group_rows
from evaluation.measuring import judge, measure_faces, table_rows
from evaluation.pairs import Pairs
from evaluation.recognisers import find_recognisers
from evaluation.report import Problems, write_csv, write_tables
from evaluation.restoring import Restorer
from files import make_writable
from trained_networks import CONFIG, find_run, load_network, write_config

RUN_DIR = "output"  # a training's output folder, or a folder of them: the newest network counts
FACES_DIR = None  # one folder per identity; None: the faces that the training held out
FACES = 96  # faces measured, spread over people, if PAIRS is None; 2,000 for large sets
PAIRS = None  # CSV (fold,image_a,image_b,same), LFW's pairs.txt, "scikit-learn"; None draws pairs
DRAWN_PAIRS = 600  # half of them genuine, if PAIRS is None; 6,000 for large sets, as LFW has
SEED = 0  # of the drawn pairs
CENTRAL_CROP = None  # side in pixels of the square cut out first; 144 for LFW's 250x250 pictures
SIZES = None  # low resolutions as (height, width) in pixels; None: those of the training
UNSEEN_RECOGNISER = "dlib"  # "dlib", the path of another FaceNet weight file, or None
FACE_BOX = (0.15, 0.2, 0.85, 0.9)  # left, top, right, bottom of the face in its picture, for dlib
GROUPS = None  # CSV of identities; None: identities.csv beside the identity folders, if there
GROUP_COLUMNS = ("sex", "skin_tone", "beard", "glasses")  # of that file, to group people by


def main():
    """Write the tables and pictures of one network into `evaluation/` beside it.

    Raises:
        Mistake, OSError: one line that names the constant or path to change.
    """
    constants = check_constants(globals(), RULES)
    chosen = types.SimpleNamespace(**constants)
    run, network, training, recipe = find_run(chosen.RUN_DIR)
    print(f"Network  {network}")
    sizes = choose_sizes(chosen.SIZES, training)
    _, device = use_hardware("float32")
    restorer = Restorer(load_network(network), sizes, training)
    recognisers = find_recognisers(training, recipe, chosen.UNSEEN_RECOGNISER, chosen.FACE_BOX)
    judges = [recogniser.name for recogniser in recognisers]

    # Faces and pairs
    folder, problems = run / "evaluation", Problems()
    make_writable(folder, "RUN_DIR")
    listed, paths = choose_pairs(chosen, training, recipe, problems)
    faces = load_faces(paths, training["IMAGE_SIZE"], chosen.CENTRAL_CROP, problems)
    pairs = Pairs.among(listed, faces.index, chosen.PAIRS, problems) if listed else None
    if chosen.FACES_DIR or chosen.PAIRS or training["VALIDATION_DIR"]:
        tell_people_trained_on(faces.paths, run, training, recipe, problems)
    groups = choose_groups(
        chosen.GROUPS, faces_folder(chosen.FACES_DIR, training), chosen.GROUP_COLUMNS, problems
    )
    conditions = f"{faces.description}, {pairs.description if pairs else 'no pairs'}"
    print(f"Faces    {conditions}")

    # Results
    versions = measure_faces(faces.pixels, sizes, restorer, recognisers)
    outcomes = judge(versions, judges, faces.identities, pairs)
    rows = table_rows(outcomes)
    # The judge of groups is the unseen recogniser, if there is one.
    by_group = group_rows(outcomes, judges[-1], faces.identities, groups)
    if groups and not by_group:
        problems.note("no results by group: nobody here is in a group, or SIZES are large")
    write_config(folder / CONFIG, constants | {"network": network}, recipe, device)
    write_csv(folder / "results.csv", rows)
    text = write_tables(
        folder / "results.md", rows, by_group, f"{conditions}, bicubic -> SR", problems
    )
    print(f"\n{text}")
    draw_pictures(folder, rows, outcomes, pairs, faces, restorer.pictures)
    print(f"Written to {folder}")


if __name__ == "__main__":
    tell(main)
