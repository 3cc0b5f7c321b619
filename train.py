"""Train IPU-Net: edit the constants below, then run `python train.py`.

A run that was interrupted continues where it stopped when it is started again. Where a constant
comes from stands beside it: (paper), (original) for the code of the original repository, (ours).
"""

from hardware.devices import Devices, apply_gradients, scale_loss
from hardware.precision import use_hardware

import functools
from pathlib import Path

import keras
import tensorflow as tf

import losses
from console.progress import progress
from data import Degradation, to_faces
from errors import refuse_arguments, tell
from facenet import EMBEDDED_WEIGHTS, FaceNet
from imaging.lists import split_faces
from model import build_unet, start_from_input
from trained_networks import PRETRAINED  # noqa: F401  # for START_WEIGHTS
from training.constants import check, recipe_of, schedule_of
from training.faces import TrainingFaces
from training.run import Run, claimed
from training.signals import StopSignals
from training.start import start_from_network
from training.validation import HeldOutFaces, Validation

# --- Paths ---
TRAIN_DIR = Path(__file__).parent / "samples"  # one folder per identity; VGGFace2: README
VALIDATION_DIR = None  # folder of other identities; None holds out some of TRAIN_DIR
HELD_OUT_IDENTITIES = 8  # of TRAIN_DIR, the last by name, if VALIDATION_DIR is None (ours)
IDENTITY_LEVEL = None  # folder of a person: None the one that a face lies in, 1 the topmost, ...
FACENET_WEIGHTS = EMBEDDED_WEIGHTS  # or facenet_keras.h5 (original), see facenet/README.md
FACENET_INPUT = "auto"  # how FaceNet's faces are standardised; "auto" goes by the weight file
OUTPUT_DIR = "output"  # everything a run writes

# --- Images ---
IMAGE_SIZE = 128  # pixels, height and width; a multiple of 128 (paper)
# (height, width) in pixels, one drawn for each face, all as likely (original)
LOW_RESOLUTIONS = (
    *((7, 6), (11, 8), (14, 12), (16, 12), (16, 14)),
    *((16, 16), (18, 16), (21, 15), (32, 32), (112, 96)),
)
EIGHT_BITS = True  # low-resolution faces are 8-bit pictures; False restores the original (ours)
ANTIALIAS = True  # reduce as a camera does; False restores the original's aliasing (ours)
SMALLEST_CROP = 0.92  # training squares are drawn with this to 1 times the largest side (ours)
MIRROR = True  # mirror half of the training faces (ours)

# --- Optimisation ---
EPOCHS = 4  # passes over the training faces; more help; original: 50, on VGGFace2
BATCH_SIZE = 4  # faces per step, of all devices together; few for many steps; original: 64
LEARNING_RATE = 2e-4  # of Adam, at the start (original)
COSINE_DECAY = True  # from LEARNING_RATE to 0; False keeps it constant, as the original (ours)
ADAM_BETA_1 = 0.5  # (original)
CONSISTENT = True  # correct SR faces by what the input says; False restores the original (ours)
START_FROM_INPUT = True  # the untrained network returns its input; original: noise (ours)
START_WEIGHTS = None  # or a trained network to begin from: PRETRAINED, or a path (ours)
SEED = 0  # of weights, dropout, order and degradation: the same seed, the same run

# --- Loss weights ---
PIXEL_WEIGHT = 5.0  # (original)
EMBEDDING_WEIGHT = 0.02  # 0.06 for millions of faces; original: 1.0, without gradient (ours)
# Part of it at low resolutions that leave too much of a face open, or nothing; original: () (ours)
EMBEDDING_PARTS = (((7, 6), 0.25), ((11, 8), 0.5), ((112, 96), 0.0))
UNIT_LENGTH = True  # embeddings are compared at one length; False restores the original (ours)

# --- Hardware ---
XLA = "auto"  # whether a step becomes one program: True, False, or "auto": on a GPU
PRECISION = "auto"  # "float32", "bfloat16", "float16", or "auto": 16 bits where hardware gains

# --- Output ---
VALIDATION_FACES = 16  # held-out faces measured after each epoch
REPORT_FACES = 96  # held-out faces in the table at the end
SAMPLE_FACES = 8  # held-out faces on the sample sheets
SAMPLE_RESOLUTIONS = ((7, 6), (11, 8), (14, 12), (16, 16), (21, 15))  # on the sample sheets
SAMPLE_STEPS = 60  # between sample sheets inside an epoch; 10_000 for long ones
SAVE_MINUTES = 10  # between checkpoints inside an epoch; one is written after each, too
LOG_STEPS = 10  # whose losses are fetched from the device and written at once
KEEP_CHECKPOINTS = 3  # newest ones kept, 584 MB each
CONTINUE_WITH_CHANGES = False  # let a run go on although constants were changed since


# --- One step --------------------------------------------------------------------------------


def train_step(
    unet,
    facenet,
    degradation,
    optimizer,
    hr_pixels,
    low_resolutions,
    pixel_weight,
    embedding_weight,
    unit_length=True,
    embedding_parts=(),
):
    """Update the U-Net once: both networks run inside the tape, only the U-Net is changed.

    Args:
        unet: `keras.Model` from lr_faces to sr_faces, both float32 (B, S, S, 3) in [-1, 1].
        facenet: function from faces to raw embeddings, differentiable and frozen.
        degradation: `Degradation`.
        optimizer: built `keras.optimizers.Optimizer`.
        hr_pixels: uint8 (B, S, S, 3), high-resolution faces.
        low_resolutions: int32 (B, 2), height and width in pixels that each is reduced to.
        pixel_weight: weight of the pixel loss.
        embedding_weight: weight of the embedding loss; with 0, FaceNet is not asked at all.
        unit_length: see `losses.embedding_loss`.
        embedding_parts: ((height, width), part) pairs, see `losses.identity_parts`.

    Returns:
        {"total", "pixel", "embedding", "learning_rate"}: float32 scalars of this update.
    """
    hr_faces = to_faces(hr_pixels)
    lr_faces = degradation(hr_faces, low_resolutions)
    with tf.GradientTape() as tape:
        sr_faces = unet(lr_faces, training=True)
        sr_faces = degradation.correct(sr_faces, lr_faces, low_resolutions)
        pixel = losses.pixel_loss(sr_faces, hr_faces)
        embedding = tf.constant(0.0)
        if embedding_weight:
            sr_embeddings, hr_embeddings = facenet(sr_faces), facenet(hr_faces)
            parts = losses.identity_parts(low_resolutions, embedding_parts)
            embedding = losses.embedding_loss(sr_embeddings, hr_embeddings, unit_length, parts)
        total = losses.total_loss(pixel, embedding, pixel_weight, embedding_weight)
        scaled = scale_loss(optimizer, total)  # for float16 and for several devices
    gradients = tape.gradient(scaled, unet.trainable_variables)
    learning_rate = optimizer.learning_rate
    apply_gradients(optimizer, gradients, unet.trainable_variables)
    return {
        "total": total,
        "pixel": pixel,
        "embedding": embedding,
        "learning_rate": learning_rate,
    }


def decayed(learning_rate, total_steps, cosine):
    """Return the learning rate over the training: down to 0 in half a cosine, or constant."""
    # A schedule in both cases: a plain number would become a variable to be restored.
    final_part = 0.0 if cosine else 1.0
    return keras.optimizers.schedules.CosineDecay(float(learning_rate), total_steps, final_part)


# --- The loop --------------------------------------------------------------------------------


def train(run, batches, step_fn, stop):
    """Do the steps that are left, with a progress bar.

    Args:
        run: `Run` at the step where it goes on; it validates, draws and saves in between.
        batches: iterator of (hr_pixels, low_resolutions) from that step on.
        step_fn: function from these to named losses; it updates the U-Net.
        stop: `StopSignals`.

    Raises:
        Stopped: a signal came; `run` stands between two steps.
        Mistake: a loss is NaN or infinite; the checkpoints before it are whole.
    """
    total_steps = run.schedule.total_steps
    with progress(total_steps, "step", run.step) as bar:
        while True:
            run.catch_up(stop.watch)  # with the validation, sheets and checkpoint of this step
            if run.step >= total_steps:
                return
            stop.check()
            run.count_step(step_fn(*next(batches)))
            bar.note(f"epoch {run.epoch}", run.log.line)
            bar.update(1)


def main():
    """Train with the constants above, or go on with the training in OUTPUT_DIR.

    Raises:
        Mistake, OSError: one line that names the constant or path to change; every checkpoint
            written before stays usable.
        Stopped: a signal came; the run is saved and can go on.
    """
    constants = check(globals())
    precision, device = use_hardware(PRECISION)
    devices = Devices(BATCH_SIZE, precision, XLA)
    with claimed(constants["OUTPUT_DIR"], devices), StopSignals(devices.share_signal) as stop:
        folders = constants["TRAIN_DIR"], constants["VALIDATION_DIR"]
        training_list, held_out_list = split_faces(*folders, HELD_OUT_IDENTITIES, IDENTITY_LEVEL)
        sizes = IMAGE_SIZE, LOW_RESOLUTIONS
        faces = TrainingFaces(training_list, BATCH_SIZE, *sizes, SMALLEST_CROP, MIRROR, SEED)
        form = ANTIALIAS, EIGHT_BITS, CONSISTENT
        degradation = Degradation(*sizes, *form)
        # Its own for what is measured and drawn: sizes that the step need not know.
        measured = Degradation(IMAGE_SIZE, (*LOW_RESOLUTIONS, *SAMPLE_RESOLUTIONS), *form)
        schedule = schedule_of(constants, faces.steps_per_epoch)

        with devices.scope():
            facenet = FaceNet(constants["FACENET_WEIGHTS"], FACENET_INPUT)
            unet = build_unet(IMAGE_SIZE, SEED)
            if START_WEIGHTS is not None:
                start_from_network(unet, constants["START_WEIGHTS"], constants["OUTPUT_DIR"])
            elif START_FROM_INPUT:
                start_from_input(unet)
            recipe = recipe_of(constants, precision, facenet, unet, training_list)
            unet = devices.fit(unet)
            learning_rate = decayed(LEARNING_RATE, schedule.total_steps, COSINE_DECAY)
            optimizer = devices.build(keras.optimizers.Adam(learning_rate, ADAM_BETA_1), unet)
        weights = {
            "pixel_weight": PIXEL_WEIGHT,
            "embedding_weight": EMBEDDING_WEIGHT,
            "embedding_parts": EMBEDDING_PARTS,
        }
        parts = unet, facenet, degradation, optimizer
        step = functools.partial(train_step, *parts, **weights, unit_length=UNIT_LENGTH)

        seen = facenet, UNIT_LENGTH, measured
        held_out = HeldOutFaces(held_out_list, *sizes, *seen, faces.unreadable)
        samples = SAMPLE_FACES, SAMPLE_RESOLUTIONS
        validation = Validation(held_out.take(VALIDATION_FACES), weights, *samples)
        output = constants["OUTPUT_DIR"], devices
        run = Run(*output, unet, optimizer, measured, schedule, validation, recipe, faces)
        run.restore(CONTINUE_WITH_CHANGES)
        lists = training_list, held_out_list
        run.begin(constants, device + devices.description, facenet.description, *lists)
        with run.saved_if_stopped():
            batches = faces.batches(run.step, devices.worker, devices.workers)
            train(run, batches, devices.distribute(step), stop)
            if devices.is_chief:
                run.report(held_out.take(REPORT_FACES), stop.watch)
            if devices.workers > 1:  # the others wait for the chief
                stop.check()


if __name__ == "__main__":
    refuse_arguments()
    tell(main, hint=f" (OUTPUT_DIR is {OUTPUT_DIR})")
