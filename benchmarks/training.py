"""Measure the training against a naive loop and the hardware: `python -m benchmarks.training`.

Every training of TRAININGS runs in processes of its own: its step, the parts of the step and the
naive step in turns, then two epochs of `train.py` itself on `samples/`, on one GPU if there is any.
Weights of FaceNet are drawn at random, as speed does not depend on them; other constants are those
of `train.py`. Then the step with larger batches, if there is a GPU, reading faces by number of
cores, and Python's own time. Prints tables and writes `benchmark.json` (ten minutes).
"""

import contextlib
import itertools
import json
import os
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

from joblib import cpu_count

from benchmarks import loading
from benchmarks.processes import alone
from benchmarks.step import FACES_DIR, measure_sizes, measure_step, save_random_facenet
from errors import check_constants, one_of, tell

TRAININGS = {  # name: width of FaceNet, faces per step
    "full-width FaceNet, batch 16": (1.0, 16),
    "embedded FaceNet, batch 4": (0.5, 4),
}
PRECISION = "auto"  # as in train.py; the naive loop computes in float32
GPU_BATCH_SIZES = (64, 128, 256)  # measured on a GPU, in each precision, with full-width FaceNet
RESULTS = Path("benchmark.json")

PARTS = (
    "U-Net forward",
    "U-Net forward and backward",
    "FaceNet on HR",
    "FaceNet on SR, forward and backward",
    "optimiser",
    "step",
    "degradation and correction",
    "input",
)


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
    train.SAVE_MINUTES = sys.maxsize  # only the ends of epochs are saved
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


def measure_gpu(facenet_weights):
    """Return {precision: see `measure_sizes`} of one GPU; empty without one."""
    if not alone(has_gpu):
        return {}
    return {
        precision: alone(measure_sizes, facenet_weights, GPU_BATCH_SIZES, precision)
        for precision in ("float32", "bfloat16", "float16")
    }


def has_gpu():
    """Return whether TensorFlow finds a GPU."""
    import hardware  # noqa: F401

    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def print_gpu_table(results):
    """Print what `measure_gpu` returns."""
    if not results:
        print("\nTensorFlow finds no GPU, so no step was measured on one.")
        return
    print(f"\n| one GPU, images/s (of the peak) | {' | '.join(results)} |")
    print(f"|---{'|---' * len(results)}|")
    for size in GPU_BATCH_SIZES:
        both = [(r["images/s"].get(size), r["of peak"].get(size)) for r in results.values()]
        cells = ["does not fit" if rate is None else f"{rate:,.0f} ({of:.0%})" for rate, of in both]
        print(f"| batch {size} | {' | '.join(cells)} |")


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
                **alone(measure_step, weights, batch_size, PRECISION),
                **alone(
                    measure_training, weights, batch_size, f"{folder}/output_{number}", time.time()
                ),
            }
        on_gpu = measure_gpu(f"{folder}/0.weights.h5")
    around = loading.measure()
    print_tables(results)
    print_gpu_table(on_gpu)
    loading.print_table(around)
    conditions = {"python": platform.python_version(), "platform": platform.platform()}
    conditions["cores"] = cpu_count()
    everything = {"conditions": conditions, "results": results, "GPU": on_gpu, "around": around}
    RESULTS.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    tell(main)
