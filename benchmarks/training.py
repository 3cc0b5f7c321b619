"""Measure the training against a naive loop and the hardware: `python -m benchmarks.training`.

Every training of TRAININGS runs in processes of its own: its step, the parts of the step and the
naive step in turns, then two epochs of `train.py` itself on `samples/`, on one GPU if there is any.
Weights of FaceNet are drawn at random, as speed does not depend on them; other constants are those
of `train.py`. Prints tables and writes `benchmark.json` (eight minutes).
"""

import contextlib
import functools
import itertools
import json
import math
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from joblib import cpu_count

from benchmarks.processes import alone
from errors import check_constants, one_of, tell

TRAININGS = {  # name: width of FaceNet, faces per step
    "full-width FaceNet, batch 16": (1.0, 16),
    "embedded FaceNet, batch 4": (0.5, 4),
}
PRECISION = "auto"  # as in train.py; the naive loop computes in float32
ROUNDS = 5  # times that everything is measured in turn; medians count
BATCHES = 20  # batches that the input alone is measured on
MATRIX_SIZE = 4096  # of the matrix product that stands for the hardware's peak
RESULTS = Path("benchmark.json")
FACES_DIR = Path(__file__).parents[1] / "samples"

PARTS = (
    "U-Net forward",
    "U-Net forward and backward",
    "FaceNet on HR",
    "FaceNet on SR, forward and backward",
    "optimiser",
    "step",
    "degradation",
    "input",
)


def measure_step(facenet_weights, batch_size):
    """Time one training step, its parts, the naive step and a matrix product.

    Args:
        facenet_weights: path of a weight file.
        batch_size: faces per step.

    Returns:
        {"seconds": {name: median}, "operations": {name: floating-point operations}, "precision",
        "device", "versions"}.
    """
    from hardware.devices import Devices
    from hardware.precision import use_hardware

    import keras
    import tensorflow as tf

    import losses
    import train
    from data import TrainingFaces, degrade
    from facenet import FaceNet
    from imaging.lists import find_faces
    from model import build_unet
    from training.identity_view import IdentityView

    # What the naive loop needs, in float32.
    use_hardware("float32")
    naive_facenet = FaceNet(facenet_weights)
    naive_unet = build_unet(train.IMAGE_SIZE)
    naive_optimizer = keras.optimizers.Adam(train.LEARNING_RATE, train.ADAM_BETA_1)
    naive_optimizer.build(naive_unet.trainable_variables)

    # What train.py makes.
    precision, device = use_hardware(PRECISION)
    devices = Devices(batch_size, precision)
    facenet = FaceNet(facenet_weights)
    unet = devices.fit(build_unet(train.IMAGE_SIZE))
    optimizer = keras.optimizers.Adam(train.LEARNING_RATE, train.ADAM_BETA_1)
    optimizer = devices.build(optimizer, unet)
    identity = IdentityView(facenet, train.IMAGE_SIZE, train.LOW_RESOLUTIONS, train.IDENTITY_BLUR)
    faces = TrainingFaces(
        find_faces(FACES_DIR),
        batch_size,
        train.IMAGE_SIZE,
        train.LOW_RESOLUTIONS,
        smallest_crop=train.SMALLEST_CROP,
        mirror=train.MIRROR,
    )
    batches = faces.batches()
    lr_faces, hr_faces, sizes = next(batches)
    variables = unet.trainable_variables
    gradients = [tf.random.normal(variable.shape, stddev=1e-3) for variable in variables]
    compute_dtype = keras.config.dtype_policy().compute_dtype
    matrices = tf.cast(tf.random.normal((2, MATRIX_SIZE, MATRIX_SIZE)), compute_dtype)

    def take_batches():
        for _ in range(BATCHES):
            batch = next(batches)
        return batch

    @tf.function
    def unet_backward():
        with tf.GradientTape() as tape:
            loss = losses.pixel_loss(unet(lr_faces, training=True), hr_faces)
        return tape.gradient(loss, variables)

    @tf.function
    def facenet_backward():
        with tf.GradientTape() as tape:
            tape.watch(hr_faces)
            embeddings = identity(hr_faces, sizes)
        return tape.gradient(embeddings, hr_faces)

    @tf.function(jit_compile=True)
    def update():
        optimizer.apply(gradients, variables)
        return tf.identity(variables[0])

    step = tf.function(
        lambda: train.train_step(
            unet,
            identity,
            optimizer,
            lr_faces,
            hr_faces,
            sizes,
            train.PIXEL_WEIGHT,
            train.EMBEDDING_WEIGHT,
        )
    )
    naive = functools.partial(
        naive_step, naive_unet, naive_facenet, naive_optimizer, lr_faces, hr_faces
    )
    tasks = {
        "matrix product": tf.function(lambda: tf.matmul(*tf.unstack(matrices))),
        "naive": functools.partial(naive, tf.function(naive_update)),
        "naive, uncompiled": functools.partial(naive, naive_update),
        "step": step,
        "U-Net forward": tf.function(lambda: unet(lr_faces, training=True)),
        "U-Net forward and backward": unet_backward,
        "FaceNet on HR": tf.function(lambda: identity(hr_faces, sizes)),
        "FaceNet on SR, forward and backward": facenet_backward,
        "optimiser": update,
        "input": take_batches,
        "degradation": tf.function(
            lambda: [
                degrade(*pair) for pair in zip(tf.unstack(hr_faces), tf.unstack(sizes), strict=True)
            ]
        ),
    }
    seconds = {name: [] for name in tasks}
    for round_ in range(ROUNDS + 1):  # the first one compiles
        for name, task in tasks.items():
            started = time.perf_counter()
            results = tf.nest.flatten(task())
            results[-1].numpy()  # waits for a GPU
            if round_:
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    medians["input"] /= BATCHES
    return {
        "seconds": medians,
        "operations": count_operations(unet, facenet.network, batch_size),
        "precision": precision,
        "device": device,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def naive_step(unet, facenet, optimizer, lr_faces, hr_faces, update):
    """Do what the original code does in a step, for comparison; arguments as of `train_step`.

    Two forward passes of the U-Net, and `predict` for the embeddings, so that the identity loss
    has no gradient; then `update`, which is `naive_update`, compiled as in the original or not.
    """
    import tensorflow as tf

    from facenet.inputs import INPUTS

    def embed(faces):
        faces = tf.image.resize(faces, facenet.network.input_shape[1:3], "bicubic")
        return facenet.network.predict(INPUTS[facenet.input_name](faces), verbose=0)

    sr_embeddings, hr_embeddings = embed(unet(lr_faces, training=True)), embed(hr_faces)
    return update(unet, optimizer, lr_faces, hr_faces, sr_embeddings, hr_embeddings)


def naive_update(unet, optimizer, lr_faces, hr_faces, sr_embeddings, hr_embeddings):
    """Do the second half of `naive_step`; return the loss."""
    import tensorflow as tf

    import losses

    with tf.GradientTape() as tape:
        total = losses.total_loss(
            losses.pixel_loss(unet(lr_faces, training=True), hr_faces),
            losses.embedding_loss(sr_embeddings, hr_embeddings),
            pixel_weight=5.0,
            embedding_weight=1.0,
        )
    gradients = tape.gradient(total, unet.trainable_variables)
    optimizer.apply_gradients(zip(gradients, unet.trainable_variables, strict=True))
    return total


def count_operations(unet, facenet, batch_size):
    """Count the floating-point operations of a step: convolutions and dense layers, 2 per product.

    Borders are counted as if they were pixels. A layer's backward pass costs a forward pass for
    its weights, which FaceNet has not, and one for its input, which the first layer of the U-Net
    has not.

    Returns:
        {name of the part: operations}.
    """
    from keras import layers

    def forward(layer):
        if isinstance(layer, layers.Conv2DTranspose):
            places = layer.input.shape[1:3]
        elif isinstance(layer, layers.Conv2D):
            places = layer.output.shape[1:3]
        elif isinstance(layer, layers.Dense):
            places = ()
        else:
            return 0
        return 2 * batch_size * math.prod(layer.kernel.shape) * math.prod(places)

    unet_forward = sum(map(forward, unet.layers))
    first = next(filter(None, map(forward, unet.layers)))
    facenet_forward = sum(map(forward, facenet.layers))
    parts = {
        "U-Net forward and backward": 3 * unet_forward - first,
        "FaceNet on HR": facenet_forward,
        "FaceNet on SR, forward and backward": 2 * facenet_forward,
    }
    return {
        **parts,
        "U-Net forward": unet_forward,
        "step": sum(parts.values()),
        "matrix product": 2 * MATRIX_SIZE**3,
    }


def measure_training(facenet_weights, batch_size, folder, started):
    """Run two epochs of `train.py` and take the time.

    Args:
        facenet_weights: path of a weight file.
        batch_size: faces per step.
        folder: for the output.
        started: when this process was started, of `time.time()`.

    Returns:
        {"start": {name: seconds}, "images/s": of the second epoch's steps, "epoch images/s": with
        all that belongs to that epoch, "memory": most that was held, in GB}.
    """
    import tensorflow as tf

    import train

    marks = {"Python and imports": time.time()}
    measured, saved = {}, {}  # {step: when validation began, when the epoch was saved}

    class TimedRun(train.Run):
        """Notes when what happens."""

        def restore(self, *arguments):
            marks["list of faces, networks, weights"] = time.time()
            super().restore(*arguments)

        def count_step(self, values):
            super().count_step(values)
            if self.step == 1:
                self.log.flush()  # waits for a GPU
                marks["compiling the step"] = time.time()

        def validate(self, watch):
            measured[self.step] = time.time()  # what waited was fetched before
            super().validate(watch)

        def save(self):
            super().save()
            saved[self.step] = time.time()

    train.Run = TimedRun
    train.TRAIN_DIR, train.VALIDATION_DIR = FACES_DIR, None
    train.SAVE_STEPS = sys.maxsize  # only the ends of epochs are saved
    train.FACENET_WEIGHTS, train.BATCH_SIZE = facenet_weights, batch_size
    train.OUTPUT_DIR, train.EPOCHS, train.PRECISION = folder, 2, PRECISION
    train.REPORT_FACES = train.VALIDATION_FACES
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        train.main()

    last = max(measured)
    epoch = last // 2
    faces = epoch * batch_size
    steps = measured[epoch] - marks["compiling the step"]  # all of the first epoch but its first
    marks["compiling the step"] -= steps / (epoch - 1)
    times = [started, *marks.values()]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    if tf.config.list_physical_devices("GPU"):
        memory = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    return {
        "start": {
            name: b - a for name, (a, b) in zip(marks, itertools.pairwise(times), strict=True)
        },
        "images/s": faces / (measured[last] - saved[epoch]),
        "epoch images/s": faces / (saved[last] - saved[epoch]),
        "memory": memory,
    }


def save_random_facenet(width, path):
    """Write the weights of an untrained FaceNet."""
    from facenet.inception_resnet_v1 import build_inception_resnet_v1

    build_inception_resnet_v1(width).save_weights(path)


def print_tables(results):
    """Print what was measured: one table of the trainings, one of the parts of their steps."""
    peaks = {
        name: result["operations"]["matrix product"] / result["seconds"]["matrix product"]
        for name, result in results.items()
    }

    def row(title, form, value):
        cells = (form.format(value(result, peaks[name])) for name, result in results.items())
        print(f"| {title} | {' | '.join(cells)} |")

    print(f"\n| | {' | '.join(results)} |\n|---{'|---' * len(results)}|")
    row("training step (images/s)", "{:.1f}", lambda r, _: r["batch size"] / r["seconds"]["step"])
    for name in ("naive", "naive, uncompiled"):
        row(
            f"{name} step (images/s)",
            "{:.1f}",
            lambda r, _, name=name: r["batch size"] / r["seconds"][name],
        )
        row(
            f"times as fast as the {name} step",
            "{:.1f}",
            lambda r, _, name=name: r["seconds"][name] / r["seconds"]["step"],
        )
    row("operations of a step (GFLOP)", "{:.0f}", lambda r, _: r["operations"]["step"] / 1e9)
    row("peak: matrix product (GFLOP/s)", "{:.0f}", lambda _, peak: peak / 1e9)
    row(
        "step, of that peak",
        "{:.0%}",
        lambda r, peak: r["operations"]["step"] / r["seconds"]["step"] / peak,
    )
    row("steps of an epoch of train.py (images/s)", "{:.1f}", lambda r, _: r["images/s"])
    row("whole epoch (images/s)", "{:.1f}", lambda r, _: r["epoch images/s"])
    row("most memory (GB)", "{:.1f}", lambda r, _: r["memory"])
    for name in next(iter(results.values()))["start"]:
        row(f"start: {name} (s)", "{:.1f}", lambda r, _, name=name: r["start"][name])
    row("start of the first step (s)", "{:.1f}", lambda r, _: sum(r["start"].values()))

    headings = " | ".join(f"{name}: ms | of the step | of the peak" for name in results)
    print(f"\n| part | {headings} |\n|---{'|---' * 3 * len(results)}|")
    for part in PARTS:
        cells = []
        for name, result in results.items():
            seconds, operations = result["seconds"][part], result["operations"].get(part)
            cells.append(f"{1000 * seconds:.0f} | {seconds / result['seconds']['step']:.0%}")
            cells.append(f"{operations / seconds / peaks[name]:.0%}" if operations else "")
        print(f"| {part} | {' | '.join(cells)} |")


def main():
    """Measure, print and write `RESULTS`."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    from hardware.precision import PRECISIONS

    check_constants(globals(), {"PRECISION": one_of(*PRECISIONS)})
    RESULTS.touch()
    results = {}
    with tempfile.TemporaryDirectory(prefix="ipu_net_") as folder:
        for number, (name, (width, batch_size)) in enumerate(TRAININGS.items()):
            weights = f"{folder}/{number}.weights.h5"
            alone(save_random_facenet, width, weights)
            results[name] = {
                "batch size": batch_size,
                **alone(measure_step, weights, batch_size),
                **alone(
                    measure_training, weights, batch_size, f"{folder}/output_{number}", time.time()
                ),
            }
    print_tables(results)
    conditions = {"python": platform.python_version(), "platform": platform.platform()}
    conditions["cores"] = cpu_count()
    RESULTS.write_text(json.dumps({"conditions": conditions, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    tell(main)
