"""Measure what surrounds a step: reading faces, by number of cores, and Python's own time."""

import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path

from joblib import cpu_count

from benchmarks.processes import alone

BATCH_SIZE = 64
SECONDS = 5.0  # that each rate is measured for
STEPS = 300  # that Python's time is measured on
FACES_DIR = Path(__file__).parents[1] / "samples"


def core_counts():
    """Return 1, 2, 4 and so on up to the number of cores."""
    counts = [1]
    while 2 * counts[-1] <= cpu_count():
        counts.append(2 * counts[-1])
    return counts


def measure_input(cores, by_python):
    """Read training faces on some of the cores, and nothing else.

    Args:
        cores: number of cores.
        by_python: whether every file goes the way of those that only Python can read.

    Returns:
        {"images/s", "CPU us": microseconds of all processors per face}.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if hasattr(os, "sched_setaffinity"):  # before TensorFlow counts them
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import hardware  # noqa: F401

    import tensorflow as tf

    from imaging.lists import find_faces
    from imaging.opencv import cv2
    from training.faces import TrainingFaces

    class ByPython(TrainingFaces):
        """Reads nothing by TensorFlow."""

        @tf.autograph.experimental.do_not_convert
        def _read(self, position, path, draws):
            return self._read_by_python(position, draws)

    cv2.setNumThreads(1)
    kind = ByPython if by_python else TrainingFaces
    batches = kind(find_faces(FACES_DIR), BATCH_SIZE, smallest_crop=0.92, mirror=True).batches()
    for _ in range(20):  # so that what was read ahead is used up, and threads are chosen
        next(batches)
    count, started, computed = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < started + SECONDS:
        count += len(next(batches)[0])
    seconds, computed = time.perf_counter() - started, time.process_time() - computed
    return {"images/s": count / seconds, "CPU us": 1e6 * computed / count}


def measure_python():
    """Time what Python does in a step of train.py with the networks' work left out, logging on.

    Returns:
        {"mean", "median"}: milliseconds of the main thread's processor per step; the mean shares
        a block's logging out among its steps.
    """
    from hardware.devices import Devices

    import keras
    import tensorflow as tf

    import train
    from data import Degradation
    from imaging.lists import find_faces
    from model import build_unet
    from training.constants import Schedule
    from training.faces import TrainingFaces
    from training.run import Run
    from training.signals import StopSignals

    devices = Devices(train.BATCH_SIZE, "float32")
    faces = TrainingFaces(find_faces(FACES_DIR), train.BATCH_SIZE)
    unet = build_unet(train.IMAGE_SIZE)
    optimizer = devices.build(keras.optimizers.Adam(), unet)
    variables = [*unet.variables, *optimizer.variables]
    degradation = Degradation(train.IMAGE_SIZE, train.LOW_RESOLUTIONS)
    names = ("total", "pixel", "embedding", "learning_rate")

    def step(hr_pixels, low_resolutions):
        for variable in variables:  # handed over at every call, as to a real step
            tf.identity(variable.value.handle)
        value = tf.reduce_sum(tf.cast(low_resolutions, tf.float32))
        return dict.fromkeys(names, value)

    ends = []

    class Timed(Run):
        """Notes the time of the main thread after every step."""

        def count_step(self, values):
            super().count_step(values)
            ends.append(time.thread_time())

    with tempfile.TemporaryDirectory(prefix="ipu_net_") as folder, StopSignals() as stop:
        never = 2 * STEPS
        schedule = Schedule(1, never, train.BATCH_SIZE, never, never, 3, train.LOG_STEPS)
        run = Timed(folder, devices, unet, optimizer, degradation, schedule, None, {}, faces)
        batches = (batch for _, batch in zip(range(STEPS), faces.batches(), strict=False))
        with contextlib.suppress(StopIteration):  # all batches are used up
            train.train(run, batches, devices.distribute(step), stop)
    first = len(ends) // 10  # the first ones trace
    each = [b - a for a, b in zip(ends[first:-1], ends[first + 1 :], strict=True)]
    return {"mean": 1000 * statistics.mean(each), "median": 1000 * statistics.median(each)}


def measure():
    """Measure everything, each in a process of its own.

    Returns:
        {"input": {cores: {"TensorFlow": rates, "Python": rates}}, "Python": milliseconds}.
    """
    ways = {"TensorFlow": False, "Python": True}
    rates = {
        cores: {name: alone(measure_input, cores, way) for name, way in ways.items()}
        for cores in core_counts()
    }
    return {"input": rates, "Python": alone(measure_python)}


def print_table(results):
    """Print what `measure` returns."""
    print("\n| input alone | read by TensorFlow: images/s | CPU us per face ", end="")
    print("| by Python, under its lock: images/s | CPU us per face |\n|---|---|---|---|---|")
    for cores, ways in results["input"].items():
        cells = [f"{rate[k]:,.0f}" for rate in ways.values() for k in ("images/s", "CPU us")]
        print(f"| {cores} cores | {' | '.join(cells)} |")
    times = results["Python"]
    print(
        f"\nPython's own time per step, with logging: {times['mean']:.2f} ms on average, "
        f"{times['median']:.2f} ms in the median"
    )
