"""The constants of `train.py`: what each may be, and which of them make a training what it is."""

from hardware.precision import PRECISIONS

import hashlib

from errors import (
    PATH,
    SWITCH,
    Mistake,
    check_constants,
    integer,
    number,
    one_of,
    optional,
    sizes,
)
from imaging.lists import fingerprint
from model import DOWNSAMPLING, ENCODER, LEAST_FILTERS

# What shapes a training: with another value it is another training.
SHAPING = {
    "HELD_OUT_IDENTITIES": integer(1),
    "IMAGE_SIZE": (
        lambda v: type(v) is int and v >= DOWNSAMPLING and v % DOWNSAMPLING == 0,
        "128, 256, ...",
    ),
    "LOW_RESOLUTIONS": sizes(),
    "ANTIALIAS": SWITCH,
    "SMALLEST_CROP": number(0.01, 1),
    "MIRROR": SWITCH,
    "EPOCHS": integer(1),
    "BATCH_SIZE": integer(1),
    "LEARNING_RATE": number(1e-12),
    "COSINE_DECAY": SWITCH,
    "ADAM_BETA_1": number(0, 0.9999),
    "START_FROM_INPUT": SWITCH,
    "SEED": integer(0),
    "PIXEL_WEIGHT": number(0),
    "EMBEDDING_WEIGHT": number(0),
    "IDENTITY_BLUR": number(0, 100),
}
# What may differ when a run goes on: it does not touch what is learned, or what it stands for is
# compared instead (the faces, the weights, the number format).
RESUMABLE = {
    "TRAIN_DIR": PATH,
    "VALIDATION_DIR": optional(PATH),
    "FACENET_WEIGHTS": PATH,
    "FACENET_INPUT": (lambda v: isinstance(v, str), "a string"),  # FaceNet says which
    "OUTPUT_DIR": PATH,
    "PRECISION": one_of(*PRECISIONS),
    "VALIDATION_FACES": integer(1),
    "REPORT_FACES": integer(1),
    "SAMPLE_FACES": integer(1),
    "SAMPLE_RESOLUTIONS": sizes(),
    "SAVE_STEPS": integer(1),
    "KEEP_CHECKPOINTS": integer(1),
    "CONTINUE_WITH_CHANGES": SWITCH,
}


def check(namespace):
    """Return {name: value} of all constants of a training, checked.

    Args:
        namespace: `globals()` of `train.py`.

    Raises:
        Mistake: a value cannot work; the message names the constant.
    """
    constants = check_constants(namespace, RESUMABLE | SHAPING)
    if constants["START_FROM_INPUT"] and ENCODER[0][0] < LEAST_FILTERS:
        raise Mistake(
            f"START_FROM_INPUT must be False if ENCODER in model.py begins with fewer than "
            f"{LEAST_FILTERS} filters"
        )
    return constants


def recipe_of(constants, precision, facenet, unet, training_faces):
    """Return all that shapes a training, as a JSON-serialisable dict.

    Two trainings of the same recipe learn the same; a checkpoint is continued by its own alone.

    Args:
        constants: see `check`.
        precision: what `PRECISION` resolved to.
        facenet: `FaceNet` of the loss.
        unet: network of `model.build_unet`, as it was built.
        training_faces: `FaceList`.
    """
    return {name: constants[name] for name in SHAPING} | {
        "precision": precision,
        "FaceNet": facenet.fingerprint,
        "U-Net": hashlib.sha256(unet.to_json().encode()).hexdigest()[:16],
        "training faces": fingerprint(training_faces),
    }
