"""The constants of `train.py`: what each may be, and which of them make a training what it is."""

from hardware.precision import PRECISIONS

import dataclasses
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
    parts_of_sizes,
    sizes,
)
from files import check_apart
from imaging.lists import fingerprint
from model import DOWNSAMPLING, ENCODER, LEAST_FILTERS
from training.start import START, fingerprint_of_start

# What shapes a training: with another value it is another training.
SHAPING = {
    "IMAGE_SIZE": (
        lambda v: type(v) is int and v >= DOWNSAMPLING and v % DOWNSAMPLING == 0,
        "128, 256, ...",
    ),
    "LOW_RESOLUTIONS": sizes(),
    "ANTIALIAS": SWITCH,
    "EIGHT_BITS": SWITCH,
    "CONSISTENT": SWITCH,
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
    "EMBEDDING_PARTS": parts_of_sizes(),
    "UNIT_LENGTH": SWITCH,
}
# Of these, what the loss on held-out faces depends on besides the network.
MEASURING = (
    *("IMAGE_SIZE", "LOW_RESOLUTIONS", "ANTIALIAS", "EIGHT_BITS", "CONSISTENT"),
    *("PIXEL_WEIGHT", "EMBEDDING_WEIGHT", "EMBEDDING_PARTS", "UNIT_LENGTH"),
    "FaceNet",
)
# What may differ when a run goes on: it does not touch what is learned, or what it stands for is
# compared instead (the faces, the weights, the number format).
RESUMABLE = {
    "TRAIN_DIR": PATH,
    "VALIDATION_DIR": optional(PATH),
    "HELD_OUT_IDENTITIES": integer(1),
    "IDENTITY_LEVEL": optional(integer(1)),
    "START_WEIGHTS": optional(PATH),
    "FACENET_WEIGHTS": PATH,
    "FACENET_INPUT": (lambda v: isinstance(v, str), "a string"),  # FaceNet says which
    "OUTPUT_DIR": PATH,
    "PRECISION": one_of(*PRECISIONS),
    "VALIDATION_FACES": integer(1),
    "REPORT_FACES": integer(1),
    "SAMPLE_FACES": integer(1),
    "SAMPLE_RESOLUTIONS": sizes(),
    "SAMPLE_STEPS": integer(1),
    "SAVE_MINUTES": number(0),
    "LOG_STEPS": integer(1),
    "XLA": one_of("auto", True, False),
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
    for name in ("TRAIN_DIR", "VALIDATION_DIR"):
        if constants[name] is not None:
            check_apart("OUTPUT_DIR", constants["OUTPUT_DIR"], name, constants[name])
    if constants["BATCH_SIZE"] == 1 and constants["IMAGE_SIZE"] == DOWNSAMPLING:
        raise Mistake(
            "BATCH_SIZE must be at least 2: batch norm makes zeros of the one pixel that the "
            "innermost layer has for one face, so that it would learn nothing"
        )
    for name in ("LOW_RESOLUTIONS", "SAMPLE_RESOLUTIONS"):
        for size in constants[name]:
            if max(size) > constants["IMAGE_SIZE"]:
                raise Mistake(
                    f"{name} has {size[0]}x{size[1]}, which is larger than the faces of "
                    f"IMAGE_SIZE = {constants['IMAGE_SIZE']}"
                )
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
        START: fingerprint_of_start(constants["START_WEIGHTS"]),
        "precision": precision,
        "FaceNet": facenet.fingerprint,
        "U-Net": hashlib.sha256(unet.to_json().encode()).hexdigest()[:16],
        "training faces": fingerprint(training_faces),
    }


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When a training does what, in steps.

    Attributes:
        epochs: passes over the training faces.
        steps_per_epoch: between validations.
        batch_size: faces per step, of all devices together.
        sample_steps: between sample sheets inside an epoch.
        save_minutes: minutes between checkpoints inside an epoch.
        keep_checkpoints: number of newest checkpoints to keep.
        log_steps: losses of so many steps are fetched and written at once.
    """

    epochs: int
    steps_per_epoch: int
    batch_size: int
    sample_steps: int
    save_minutes: float
    keep_checkpoints: int
    log_steps: int

    @property
    def total_steps(self):
        """Steps of the whole training."""
        return self.epochs * self.steps_per_epoch


def schedule_of(constants, steps_per_epoch):
    """Return the `Schedule` that constants ask for, see `check`."""
    return Schedule(
        constants["EPOCHS"],
        steps_per_epoch,
        constants["BATCH_SIZE"],
        constants["SAMPLE_STEPS"],
        constants["SAVE_MINUTES"],
        constants["KEEP_CHECKPOINTS"],
        constants["LOG_STEPS"],
    )
