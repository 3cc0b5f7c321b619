"""The training step as one program of Keras' JAX backend; needs `jax`, for GPUs as `jax[cuda13]`.

`KERAS_BACKEND=jax python -m benchmarks.on_jax` measures it on the device that JAX finds, by batch
size, with the embedded and with full-width FaceNet. With a folder of identities and a file name, it
trains as the network in `pretrained/` was trained, and writes that file, a packed network.

The networks, losses and degradation are those of `train.py`, which has the other ways of training.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

import losses
from console.progress import progress
from data import LOW_RESOLUTIONS, Degradation, to_faces
from errors import Mistake, tell
from facenet import EMBEDDED_WEIGHTS, FaceNet
from facenet.inception_resnet_v1 import INPUT_SIZE, build_inception_resnet_v1
from facenet.inputs import fixed_128
from facenet.resizing import resize_bicubic
from files import make_writable
from imaging.lists import find_faces, fingerprint
from model import build_unet, start_from_input
from trained_networks import people_of
from trained_networks.packed import write_packed
from trained_networks.people import without_names
from trained_networks.places import is_packed
from trained_networks.summary import write_summary
from training.faces import TrainingFaces

BATCH_SIZES = (64, 128, 256)  # measured
ROUNDS = 30  # measured steps
GFLOP = {"embedded": 19.3, "full-width": 25.6}  # of a step, an image, as benchmarks.training counts
IMAGE_SIZE = 128
PRECISION = "mixed_bfloat16"
# The training of the network in `pretrained/`; Adam's moments are kept between its two parts.
BATCH_SIZE = 64
LEARNING_RATE = 4e-4
ADAM_BETA_1 = 0.5
PIXEL_STEPS = 18_030  # on the pixel loss alone, at this rate
IDENTITY_STEPS = 8_949  # with the identity loss, down to 0 in half a cosine
PIXEL_WEIGHT = 5.0
EMBEDDING_WEIGHT = 0.06
EMBEDDING_PARTS = (((7, 6), 0.25), ((11, 8), 0.5), ((112, 96), 0.0))
UNIT_LENGTH = True
SMALLEST_CROP = 0.92
MIRROR = True
ANTIALIAS, EIGHT_BITS, CONSISTENT = True, True, True
SEED = 0
# What is written beside the network.
RECIPE = (
    *("IMAGE_SIZE", "LOW_RESOLUTIONS", "SMALLEST_CROP", "MIRROR", "BATCH_SIZE", "LEARNING_RATE"),
    *("ADAM_BETA_1", "PIXEL_STEPS", "IDENTITY_STEPS", "PIXEL_WEIGHT", "EMBEDDING_WEIGHT"),
    *("EMBEDDING_PARTS", "UNIT_LENGTH", "ANTIALIAS", "EIGHT_BITS", "CONSISTENT", "SEED"),
    "PRECISION",
)


class FullWidth:
    """FaceNet at full width with random weights, for its speed."""

    def __init__(self):
        self.network = build_inception_resnet_v1(1.0, 512)

    def __call__(self, faces):
        """Embed faces, see `FaceNet`."""
        return self.network(fixed_128(resize_bicubic(faces, INPUT_SIZE)), training=False)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """`LEARNING_RATE` for the first part, half a cosine in the second."""

    def __call__(self, step):
        """Return the learning rate of a step, from 0."""
        part = (ops.cast(step, "float32") - PIXEL_STEPS) / IDENTITY_STEPS
        return LEARNING_RATE * 0.5 * (1.0 + ops.cos(np.pi * ops.clip(part, 0.0, 1.0)))


class Trainer:
    """A U-Net and what changes it, as the arguments and results of a program."""

    def __init__(self):
        self.unet = build_unet(seed=SEED)
        start_from_input(self.unet)
        sizes = IMAGE_SIZE, LOW_RESOLUTIONS
        self.degradation = Degradation(*sizes, ANTIALIAS, EIGHT_BITS, CONSISTENT)
        self.optimizer = keras.optimizers.Adam(Schedule(), beta_1=ADAM_BETA_1)
        self.optimizer.build(self.unet.trainable_variables)
        parts = self.unet.trainable_variables, self.unet.non_trainable_variables
        self.state = [
            [ops.copy(x.value) for x in part] for part in (*parts, self.optimizer.variables)
        ]

    def program(self, facenet, embedding_weight):
        """Return the function from (state, FaceNet's weights, batch) to (state, losses).

        Args:
            facenet: frozen function from faces to embeddings, with a `network`.
            embedding_weight: see `losses.total_loss`; with 0, FaceNet is not asked.
        """
        import jax

        def loss(trained, others, frozen, hr_faces, lr_faces, low_resolutions):
            sr_faces, others = self.unet.stateless_call(trained, others, lr_faces, training=True)
            sr_faces = self.degradation.correct(sr_faces, lr_faces, low_resolutions)
            pixel, embedding = losses.pixel_loss(sr_faces, hr_faces), 0.0
            if embedding_weight:
                # As arguments: constants would be compiled into the program.
                with keras.StatelessScope(zip(facenet.network.variables, frozen, strict=True)):
                    parts = losses.identity_parts(low_resolutions, EMBEDDING_PARTS)
                    embeddings = facenet(sr_faces), facenet(hr_faces)
                    embedding = losses.embedding_loss(*embeddings, UNIT_LENGTH, parts)
            total = losses.total_loss(pixel, embedding, PIXEL_WEIGHT, embedding_weight)
            return total, (others, pixel, embedding)

        def step(state, frozen, hr_pixels, low_resolutions):
            trained, others, slots = state
            hr_faces = to_faces(hr_pixels)
            faces = hr_faces, self.degradation(hr_faces, low_resolutions), low_resolutions
            differentiate = jax.value_and_grad(loss, has_aux=True)
            (_, (others, *values)), gradients = differentiate(trained, others, frozen, *faces)
            trained, slots = self.optimizer.stateless_apply(slots, gradients, trained)
            return [trained, others, slots], values

        return jax.jit(step, donate_argnums=0)

    def settle(self):
        """Give the U-Net the weights that the state has."""
        variables = self.unet.trainable_variables, self.unet.non_trainable_variables
        for part, values in zip(variables, self.state, strict=False):
            for variable, value in zip(part, values, strict=True):
                variable.assign(value)


def weights_of(facenet):
    """Return the weights of FaceNet as arguments of a program."""
    return [x.value for x in facenet.network.variables]


def measure():
    """Print images/s by batch size and FaceNet."""
    import jax

    rng = np.random.default_rng(SEED)
    print(f"{jax.devices()[0].device_kind}, JAX {jax.__version__}, {PRECISION}\n")
    print("| FaceNet | faces per step | ms | images/s | TFLOP/s | compiling (s) |")
    print("|---|---|---|---|---|---|")
    for name, facenet in (("embedded", FaceNet()), ("full-width", FullWidth())):
        for size in BATCH_SIZES:
            trainer = Trainer()
            pixels = rng.integers(0, 256, (size, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
            batch = jax.device_put((pixels, rng.choice(np.int32(LOW_RESOLUTIONS), size)))
            started = time.perf_counter()
            program = trainer.program(facenet, EMBEDDING_WEIGHT)
            arguments = weights_of(facenet), *batch
            trainer.state, values = jax.block_until_ready(program(trainer.state, *arguments))
            compiling = time.perf_counter() - started
            for _ in range(3):
                trainer.state, values = program(trainer.state, *arguments)
            jax.block_until_ready(values)
            started = time.perf_counter()
            for _ in range(ROUNDS):
                trainer.state, values = program(trainer.state, *arguments)
            jax.block_until_ready(values)
            seconds = (time.perf_counter() - started) / ROUNDS
            rate = size / seconds
            print(
                f"| {name} | {size} | {1000 * seconds:.1f} | {rate:,.0f} | "
                f"{rate * GFLOP[name] / 1000:.0f} | {compiling:.0f} |",
                flush=True,
            )


def train(faces_dir, path):
    """Train on a folder of identities and write the packed network.

    Args:
        faces_dir: folder of identity folders.
        path: `Path` of the `.npz` file to write.

    Raises:
        Mistake: there are too few faces, or a loss is not finite.
    """
    make_writable(path.parent, f"{path}")
    paths = find_faces(faces_dir)
    sizes = IMAGE_SIZE, LOW_RESOLUTIONS
    faces = TrainingFaces(paths, BATCH_SIZE, *sizes, SMALLEST_CROP, MIRROR, SEED)
    facenet, trainer = FaceNet(), Trainer()
    programs = [trainer.program(facenet, weight) for weight in (0.0, EMBEDDING_WEIGHT)]
    frozen, batches = weights_of(facenet), faces.batches()
    total_steps = PIXEL_STEPS + IDENTITY_STEPS
    with progress(total_steps, "step") as bar:
        for step in range(total_steps):
            batch = [np.asarray(x) for x in next(batches)]
            program = programs[step >= PIXEL_STEPS]
            trainer.state, values = program(trainer.state, frozen, *batch)
            if step % 100 == 0 or step + 1 == total_steps:
                pixel, embedding = map(float, values)
                if not np.isfinite(pixel + embedding):
                    raise Mistake(f"a loss of step {step} is not finite: lower LEARNING_RATE")
                bar.note("", f"pixel {pixel:.4f} embedding {embedding:.4f}")
            bar.update(1)
    trainer.settle()
    write(path, trainer.unet, facenet, paths)
    print(f"Written: {path}, of {len(paths)} faces; what made it stands beside it")


def write(path, unet, facenet, faces):
    """Write a trained network as a packed file, whom it was trained on, and what made it.

    Args:
        path: `Path` of the `.npz` file.
        unet: `keras.Model`.
        facenet: `FaceNet` of the loss.
        faces: `FaceList` of the training faces.
    """
    people = {"faces": fingerprint(faces), "people": people_of(faces)}
    write_packed(path, unet, without_names(people))
    recipe = {name: globals()[name] for name in RECIPE}
    constants = recipe | {
        "TRAIN_DIR": str(faces.root),
        "VALIDATION_DIR": None,
        "FACENET_WEIGHTS": str(EMBEDDED_WEIGHTS),
    }
    resolved = {"FaceNet": facenet.fingerprint, "training faces": fingerprint(faces)}
    steps = f"{PIXEL_STEPS + IDENTITY_STEPS:,} steps of {BATCH_SIZE}"
    data = (
        f"{len(faces):,} pictures of {len(people['people']):,} people; {steps}, the first "
        f"{PIXEL_STEPS:,} of them on pixels alone, by benchmarks/on_jax.py"
    )
    write_summary(path, path, constants, recipe | resolved, data)


def main():
    """Measure, or train."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("faces_dir", nargs="?", type=Path, help="folder of identities to train on")
    parser.add_argument("path", nargs="?", type=Path, help="network to write, a .npz file")
    options = parser.parse_args()
    if keras.config.backend() != "jax":
        raise Mistake("set the environment variable KERAS_BACKEND to jax")
    if options.faces_dir and not (options.path and is_packed(options.path)):
        raise Mistake("name the file to write as well: DIR FILE.npz")
    import jax

    # The degradation must be as exact as elsewhere; convolutions are in bfloat16.
    jax.config.update("jax_default_matmul_precision", "highest")
    keras.config.set_dtype_policy(PRECISION)
    if options.faces_dir:
        train(options.faces_dir, options.path)
    else:
        measure()


if __name__ == "__main__":
    tell(main)
