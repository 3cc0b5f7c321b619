"""Train IPU-Net: edit the constants below, then run `python train.py`.

A run that was interrupted continues where it stopped when it is started again. Where a constant
comes from stands beside it: (paper), (original) for the code of the original repository, (ours).
"""

from hardware.convolutions import with_fast_convolutions
from hardware.devices import Devices
from hardware.precision import PRECISIONS, use_hardware

import functools
import hashlib
import time
from pathlib import Path

import keras
import tensorflow as tf
from tqdm import tqdm

import losses
from data import LOW_RESOLUTIONS, TrainingFaces
from errors import Mistake, tell
from facenet import EMBEDDED_WEIGHTS, FaceNet
from files import make_writable
from imaging.lists import (
    check_identities_apart,
    find_faces,
    fingerprint,
    hold_out_identities,
)
from model import ENCODER, LEAST_FILTERS, build_unet, start_from_input
from trained_networks import write_config
from training.identity_view import IdentityView
from training.run import Run, Settings
from training.signals import Stopped, StopSignals
from training.validation import load_held_out

# --- Paths ---
TRAIN_DIR = Path(__file__).parent / "samples"  # one folder per identity; VGGFace2: README
VALIDATION_DIR = None  # folder of other identities; None holds out some of TRAIN_DIR
HELD_OUT_IDENTITIES = 8  # of TRAIN_DIR, the last by name, if VALIDATION_DIR is None (ours)
FACENET_WEIGHTS = EMBEDDED_WEIGHTS  # or the path of facenet_keras.h5 (original); others: README
FACENET_INPUT = "auto"  # how FaceNet's faces are standardised; "auto" goes by the weight file
OUTPUT_DIR = "output"  # everything a run writes

# --- Images ---
IMAGE_SIZE = 128  # pixels, height and width; a multiple of 128 (paper)
ANTIALIAS = True  # reduce as a camera does; False restores the original's aliasing (ours)
SMALLEST_CROP = 0.92  # training squares are drawn with this to 1 times the largest side (ours)
MIRROR = True  # mirror half of the training faces (ours)

# --- Optimisation ---
EPOCHS = 4  # passes over the training faces; more help; original: 50, on VGGFace2
BATCH_SIZE = 4  # faces per step, of all devices together; few for many steps; original: 64
LEARNING_RATE = 2e-4  # of Adam, at the start (original)
COSINE_DECAY = True  # from LEARNING_RATE to 0; False keeps it constant, as the original (ours)
ADAM_BETA_1 = 0.5  # (original)
START_FROM_INPUT = True  # the untrained network returns its input; original: noise (ours)
SEED = 0  # of weights, dropout, order and degradation: the same seed, the same run

# --- Loss weights ---
PIXEL_WEIGHT = 5.0  # (original)
EMBEDDING_WEIGHT = 0.05  # original: 1.0, without gradient; with it, see RESULTS.md (ours)
IDENTITY_BLUR = 0.3  # of a low-resolution pixel, how FaceNet sees faces, see RESULTS.md (ours)

# --- Hardware ---
PRECISION = "auto"  # "float32", "bfloat16", "float16", or "auto": 16 bits where hardware gains

# --- Output ---
VALIDATION_FACES = 16  # held-out faces measured after each epoch
REPORT_FACES = 96  # held-out faces in the table at the end
SAMPLE_FACES = 8  # held-out faces on the sample sheets
SAMPLE_RESOLUTIONS = ((7, 6), (11, 8), (14, 12), (16, 16), (21, 15))  # on the sample sheets
SAVE_STEPS = 60  # between checkpoints and sample sheets inside an epoch; 1000 for long ones
KEEP_CHECKPOINTS = 3  # newest ones kept, 584 MB each
CONTINUE_WITH_CHANGES = False  # let a run go on although constants were changed since

# Constants that may differ when a run goes on: they do not touch what is learned.
RESUMABLE_CONSTANTS = {
    "TRAIN_DIR",  # the faces themselves are compared instead
    "VALIDATION_DIR",
    "FACENET_WEIGHTS",  # likewise
    "FACENET_INPUT",  # likewise
    "EMBEDDED_WEIGHTS",
    "OUTPUT_DIR",
    "PRECISION",  # what it resolves to is compared instead
    "VALIDATION_FACES",
    "REPORT_FACES",
    "SAMPLE_FACES",
    "SAMPLE_RESOLUTIONS",
    "SAVE_STEPS",
    "KEEP_CHECKPOINTS",
    "CONTINUE_WITH_CHANGES",
}


def check_constants():
    """Raise Mistake, naming the constant, where a value cannot work."""
    constants = globals()

    def is_integer(name, least):
        return isinstance(constants[name], int) and constants[name] >= least

    def is_number(name, least, most=float("inf")):
        return isinstance(constants[name], int | float) and least <= constants[name] <= most

    def is_sizes(name):
        sizes = constants[name]
        return isinstance(sizes, list | tuple) and all(
            isinstance(size, list | tuple)
            and len(size) == 2
            and all(isinstance(n, int) and n >= 1 for n in size)
            for size in sizes or [None]
        )

    counts = "EPOCHS BATCH_SIZE HELD_OUT_IDENTITIES VALIDATION_FACES REPORT_FACES"
    counts += " SAMPLE_FACES SAVE_STEPS KEEP_CHECKPOINTS"
    paths = ["TRAIN_DIR", "FACENET_WEIGHTS", "OUTPUT_DIR"]
    if VALIDATION_DIR is not None:
        paths.append("VALIDATION_DIR")
    rules = [
        *((name, isinstance(constants[name], str | Path), "a path") for name in paths),
        *((name, is_integer(name, 1), "an integer from 1") for name in counts.split()),
        ("SEED", is_integer("SEED", 0), "an integer from 0"),
        ("IMAGE_SIZE", is_integer("IMAGE_SIZE", 128) and IMAGE_SIZE % 128 == 0, "128, 256, ..."),
        ("SMALLEST_CROP", is_number("SMALLEST_CROP", 0.01, 1), "a number from 0.01 to 1"),
        ("LEARNING_RATE", is_number("LEARNING_RATE", 1e-12), "a number above 0"),
        ("ADAM_BETA_1", is_number("ADAM_BETA_1", 0, 0.9999), "a number from 0 to 0.9999"),
        ("PIXEL_WEIGHT", is_number("PIXEL_WEIGHT", 0), "a number from 0"),
        ("IDENTITY_BLUR", is_number("IDENTITY_BLUR", 0, 100), "a number from 0 to 100"),
        ("EMBEDDING_WEIGHT", is_number("EMBEDDING_WEIGHT", 0), "a number from 0"),
        *(
            (name, is_sizes(name), "a list of (height, width) in pixels")
            for name in ("LOW_RESOLUTIONS", "SAMPLE_RESOLUTIONS")
        ),
        (
            "START_FROM_INPUT",
            not START_FROM_INPUT or ENCODER[0][0] >= LEAST_FILTERS,
            f"False if ENCODER in model.py begins with fewer than {LEAST_FILTERS} filters",
        ),
        ("PRECISION", PRECISION in PRECISIONS, f"one of {PRECISIONS}"),
    ]
    for name, holds, wanted in rules:
        if not holds:
            raise Mistake(f"{name} must be {wanted}, not {constants[name]!r}")


# --- One step --------------------------------------------------------------------------------


def train_step(
    unet,
    facenet,
    identity_view,
    optimizer,
    lr_faces,
    hr_faces,
    low_resolutions,
    pixel_weight,
    embedding_weight,
):
    """Update the U-Net once: both networks run inside the tape, only the U-Net is changed.

    Args:
        unet: `keras.Model` from lr_faces to sr_faces.
        facenet: function from faces to embeddings, differentiable and frozen.
        identity_view: `IdentityView`, or another function of the same arguments.
        optimizer: built `keras.optimizers.Optimizer`.
        lr_faces: float32 (B, H, W, 3) in [-1, 1], enlarged low-resolution faces.
        hr_faces: float32 (B, H, W, 3) in [-1, 1], what they should become.
        low_resolutions: int32 (B, 2), height and width in pixels of each low-resolution face.
        pixel_weight: weight of the pixel loss.
        embedding_weight: weight of the embedding loss.

    Returns:
        {"total", "pixel", "embedding", "learning_rate"}: float32 scalars of this update.
    """
    with tf.GradientTape() as tape:
        sr_faces = unet(lr_faces, training=True)
        pixel = losses.pixel_loss(sr_faces, hr_faces)
        sr_embeddings = facenet(identity_view(sr_faces, low_resolutions))
        hr_embeddings = facenet(identity_view(hr_faces, low_resolutions))
        embedding = losses.embedding_loss(sr_embeddings, hr_embeddings)
        total = losses.total_loss(pixel, embedding, pixel_weight, embedding_weight)
        scaled = optimizer.scale_loss(total)  # by 1, unless the precision is float16
        # Keras adds up the gradients of all replicas; what is wanted is their mean.
        scaled /= tf.distribute.get_strategy().num_replicas_in_sync
    gradients = tape.gradient(scaled, unet.trainable_variables)
    learning_rate = optimizer.learning_rate

    def update(gradients):
        optimizer.apply(gradients, unet.trainable_variables)

    if not tf.distribute.has_strategy():  # XLA cannot compile where replicas meet
        # XLA fuses Adam's many passes over 48.7 million parameters into one.
        update = tf.function(update, jit_compile=True)
    update(gradients)
    return {
        "total": total,
        "pixel": pixel,
        "embedding": embedding,
        "learning_rate": learning_rate,
    }


def train(run, batches, step_fn, batch_size, total_steps, steps_per_epoch, save_steps, stop):
    """Do the steps that are left, with a progress bar; validate, draw and save in between.

    Args:
        run: `Run` at the step where it goes on.
        batches: iterator of (lr_faces, hr_faces, low_resolutions) from that step on.
        step_fn: function from these to named losses; it updates the U-Net.
        batch_size: faces per step, of all devices together.
        total_steps: the step at which the training ends.
        steps_per_epoch: steps between validations.
        save_steps: steps between checkpoints and sample sheets inside an epoch.
        stop: `StopSignals`.

    Raises:
        Stopped: a signal came; `run` stands between two steps.
        Mistake: a loss is NaN or infinite; the checkpoints before it are whole.
    """
    with tqdm(total=total_steps, initial=run.step, unit="step", mininterval=0.5) as progress:
        while True:
            if run.step % steps_per_epoch == 0 and run.must_validate:
                progress.set_postfix_str("validating")
                run.validate(stop.watch)
                run.draw()
                run.save()
            elif run.step % save_steps == 0 and run.must_save:
                run.draw()
                run.save()
            if run.step >= total_steps:
                return
            stop.check()
            started = time.perf_counter()
            batch = next(batches)
            values = {name: float(value) for name, value in step_fn(*batch).items()}
            run.count_step(values)
            rate = batch_size / (time.perf_counter() - started)
            progress.set_description(f"epoch {(run.step - 1) // steps_per_epoch + 1}")
            progress.set_postfix_str(
                f"loss {values['total']:.3f} = pixel {values['pixel']:.4f}, embedding "
                f"{values['embedding']:.3f}, {rate:.1f} images/s"
            )
            progress.update()


def main():
    """Train with the constants above, or go on with the training in OUTPUT_DIR.

    Raises:
        Mistake, WeightsError, Mistake, Mistake, OSError: one line that names the
            constant or path to change; every checkpoint written before stays usable.
        Stopped: Ctrl-C or SIGTERM came; the run is saved and can go on.
    """
    constants = {name: value for name, value in globals().items() if name.isupper()}
    resumable = constants.pop("RESUMABLE_CONSTANTS")
    check_constants()
    precision, device = use_hardware(PRECISION)
    devices = Devices(BATCH_SIZE, precision)
    if devices.is_chief:
        make_writable(Path(OUTPUT_DIR))
    with StopSignals(devices.share_signal) as stop:
        # Faces
        training_paths = find_faces(TRAIN_DIR)
        if VALIDATION_DIR is None:
            training_paths, held_out_paths = hold_out_identities(
                training_paths, HELD_OUT_IDENTITIES
            )
        else:
            held_out_paths = find_faces(VALIDATION_DIR)
            check_identities_apart(training_paths, held_out_paths)
        training_faces = TrainingFaces(
            training_paths,
            BATCH_SIZE,
            IMAGE_SIZE,
            LOW_RESOLUTIONS,
            antialias=ANTIALIAS,
            smallest_crop=SMALLEST_CROP,
            mirror=MIRROR,
            seed=SEED,
        )
        total_steps = EPOCHS * training_faces.steps_per_epoch

        # Networks
        with devices.scope():
            facenet = FaceNet(FACENET_WEIGHTS, FACENET_INPUT)
            unet = build_unet(IMAGE_SIZE, SEED)
            architecture = hashlib.sha256(unet.to_json().encode()).hexdigest()[:16]
            if START_FROM_INPUT:
                start_from_input(unet)
            unet = devices.replicate(unet)
            if not tf.config.list_physical_devices("GPU"):
                unet = with_fast_convolutions(unet)
            # A schedule in both cases: a plain number would become a variable to be restored.
            final_part = 0.0 if COSINE_DECAY else 1.0
            learning_rate = keras.optimizers.schedules.CosineDecay(
                float(LEARNING_RATE), total_steps, alpha=final_part
            )
            optimizer = keras.optimizers.Adam(learning_rate, ADAM_BETA_1)
            if precision == "float16":
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(unet.trainable_variables)
        step_fn = devices.distribute(
            functools.partial(
                train_step,
                unet,
                facenet,
                IdentityView(IMAGE_SIZE, LOW_RESOLUTIONS, IDENTITY_BLUR),
                optimizer,
                pixel_weight=PIXEL_WEIGHT,
                embedding_weight=EMBEDDING_WEIGHT,
            )
        )

        # Output
        recipe = {name: constants[name] for name in constants.keys() - resumable}
        recipe |= {
            "precision": precision,
            "FaceNet": facenet.fingerprint,
            "U-Net": architecture,
            "training faces": fingerprint(training_paths),
        }
        embed = tf.function(facenet, reduce_retracing=True)
        held_out = load_held_out(
            held_out_paths,
            VALIDATION_FACES,
            IMAGE_SIZE,
            embed,
            LOW_RESOLUTIONS,
            ANTIALIAS,
            training_faces.unreadable,
        )
        settings = Settings(
            (PIXEL_WEIGHT, EMBEDDING_WEIGHT), KEEP_CHECKPOINTS, SAMPLE_FACES, SAMPLE_RESOLUTIONS
        )
        run = Run(
            OUTPUT_DIR,
            unet,
            optimizer,
            held_out,
            recipe,
            settings,
            training_faces.unreadable,
            devices.is_chief,
        )
        run.restore(CONTINUE_WITH_CHANGES)
        devices.check_alike({"step": run.step, **recipe})
        device += devices.description
        if devices.is_chief:
            write_config(run.folder / "config.json", constants, recipe, device)
        print(
            f"U-Net    {unet.count_params():,} parameters, computing in {precision}\n"
            f"FaceNet  {facenet.description}\n"
            f"Device   {device}\n"
            f"Faces    {len(training_paths)} to train, {len(held_out_paths)} of others held out\n"
            f"Output   {run.folder}, from step {run.step} to step {total_steps}",
            flush=True,
        )
        batches = training_faces.batches(run.step, devices.worker, devices.workers)
        try:
            train(
                run,
                batches,
                step_fn,
                BATCH_SIZE,
                total_steps,
                training_faces.steps_per_epoch,
                SAVE_STEPS,
                stop,
            )
            if devices.is_chief:
                if REPORT_FACES != VALIDATION_FACES:
                    held_out = load_held_out(
                        held_out_paths,
                        REPORT_FACES,
                        IMAGE_SIZE,
                        embed,
                        LOW_RESOLUTIONS,
                        ANTIALIAS,
                        training_faces.unreadable,
                    )
                run.report(held_out, stop.watch)
            if devices.workers > 1:  # the others wait for the chief
                stop.check()
        except Stopped:
            run.save()
            print(f"Stopped after step {run.step}; the same command goes on from there.")
            raise


if __name__ == "__main__":
    tell(main, hint=f" (OUTPUT_DIR is {OUTPUT_DIR})")
