"""Does it still look like the same person? Edit the constants, then run `python evaluate.py`.

Measures bicubic enlargement, SR and HR side by side on faces that the network was not trained on:
picture quality, identification and verification, under the FaceNet of the loss and under a
recogniser that the loss never saw.
"""

from hardware.precision import use_hardware

import types

from errors import check_constants, refuse_arguments, tell
from evaluation.constants import RULES
from evaluation.measuring import Judges
from evaluation.protocols import measure_degraded, measure_native
from evaluation.recognisers import find_recognisers, shared_teachers
from evaluation.report import Problems, write_results
from files import make_writable
from trained_networks import (
    CONFIG,
    evaluation_folder,
    find_run,
    load_network,
    shown_network,
    write_config,
)

# --- Faces ---
RUN_DIR = "output"  # a training's output folder, or one of many: the newest counts; or a network
FACES_DIR = None  # one folder per identity; None: the faces that the training held out
IDENTITY_LEVEL = None  # folder of a person: None the one that a face lies in, 1 the topmost, ...
FACES = 96  # of FACES_DIR, spread over people, if PAIRS is None; 2,000 for large sets
PAIRS = None  # CSV (fold,image_a,image_b,same), LFW's pairs.txt, "scikit-learn"; None draws pairs
DRAWN_PAIRS = 600  # half of them genuine, if PAIRS is None; 6,000 for large sets, as LFW has
SEED = 0  # of the drawn pairs
CENTRAL_CROP = None  # side in pixels of the square cut out first; 144 for LFW's 250x250 pictures
SIZES = None  # low resolutions as (height, width) in pixels; None: those of the training
PROBE_DIR = None  # faces that came small, one folder per identity: all, instead of FACES_DIR,
GALLERY_DIR = None  # against HR faces of the same people, in folders of the same names

# --- Judges ---
UNSEEN_RECOGNISERS = ("dlib",)  # "dlib", ONNX files, FaceNet weight files; see docs/evaluation.md
LANDMARKS = "HR"  # "HR": a face is aligned alike in all versions; "each version": as it shows
FACE_BOX = (0.15, 0.2, 0.85, 0.9)  # left, top, right, bottom of the face: landmarks are inside
FLIP = False  # embeddings as means over a face and its mirror image: twice the time
QUALITY = ()  # "brisque", "lpips": further measures of pictures, each of a package to install

# --- Groups ---
GROUPS = None  # CSV of identities; None: identities.csv beside the identity folders, if there
GROUP_COLUMNS = ("sex", "skin_tone", "beard", "glasses")  # of that file, to group people by


def main():
    """Write the tables and pictures of one network into `evaluation/` beside it.

    Those of the network of the repository go into a folder of `output`.

    Raises:
        Mistake, OSError: one line that names the constant or path to change.
    """
    constants = check_constants(globals(), RULES)
    chosen = types.SimpleNamespace(**constants)
    run, network, training, recipe = find_run(chosen.RUN_DIR)
    print(f"Network  {shown_network(network)}")
    _, device = use_hardware("float32")
    folder, problems = evaluation_folder(run), Problems()
    make_writable(folder, "RUN_DIR")
    recognisers = find_recognisers(
        training, recipe, chosen.UNSEEN_RECOGNISERS, chosen.FACE_BOX, chosen.FLIP
    )
    judges = Judges(recognisers, chosen.LANDMARKS)
    measure = measure_native if chosen.PROBE_DIR or chosen.GALLERY_DIR else measure_degraded
    trained = run, training, recipe
    results = measure(chosen, trained, load_network(network), judges, problems)
    results.conditions.extend([*shared_teachers(training, recognisers), judges.times])
    if chosen.FLIP:
        results.conditions.append("embeddings are means over a face and its mirror image")
    write_config(folder / CONFIG, constants | {"network": network}, recipe, device)
    print(f"\n{write_results(folder, results, problems)}\nWritten to {folder}")


if __name__ == "__main__":
    refuse_arguments()
    tell(main)
