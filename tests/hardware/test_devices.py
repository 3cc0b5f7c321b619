"""Several devices learn what one learns: two virtual CPUs, and two worker processes."""

from hardware import devices as hardware_devices

import json
import re
import shutil
import signal
import socket
import time
import types

import numpy as np
import pytest
import tensorflow as tf
from cheap_recogniser import Recogniser
from networks import narrow
from processes import wait_for_steps
from project import CHEAP_TRAIN, SAMPLES, Project

import train
from errors import Mistake
from imaging.lists import find_faces
from training.faces import TrainingFaces
from training.history import read_rows
from training.signals import Stopped, StopSignals


def new_project(folder):
    """A project of 4 steps without dropout, whose masks depend on the number of devices."""
    faces = folder / "faces"
    for identity, count in (("n000001", 8), ("n000002", 8), ("n000003", 2)):
        (faces / identity).mkdir(parents=True)
        for path in sorted((SAMPLES / identity).iterdir())[:count]:
            shutil.copy(path, faces / identity)
    project = Project(folder / "project", faces)
    decoder = tuple((filters, 0.0) for filters, _ in narrow("DECODER"))
    project.edit("model.py", DECODER=decoder)
    project.edit(
        "train.py",
        EPOCHS=1,
        START_FROM_INPUT=False,  # every layer has a gradient from the first step on
        VALIDATION_FACES=2,
        REPORT_FACES=2,
        SAVE_MINUTES=0,
        SAMPLE_STEPS=2,
        EMBEDDING_WEIGHT=0.1,
        EMBEDDING_PARTS=(),  # few gradients are so small that roundings decide
    )
    return project


def start(project, **environment):
    return project.fork(CHEAP_TRAIN, **environment)


def start_workers(project):
    """Start two workers that share a folder; return their processes, the chief first."""
    ports = []
    with socket.socket() as a, socket.socket() as b:
        for one in (a, b):
            one.bind(("localhost", 0))
            ports.append(one.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    return [
        start(
            project,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}),
        )
        for i in range(2)
    ]


def finish(processes, timeout=240):
    """Return [(exit code, standard output, standard error)]; kill what does not end."""
    try:
        ended = [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *texts) for p, texts in zip(processes, ended, strict=True)]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    project = new_project(tmp_path_factory.mktemp("one"))
    code, out, err = project.run(recogniser=Recogniser)
    assert code == 0, err
    assert "devices" not in out
    return project


def assert_learned_alike(project, expected):
    """Losses of all steps agree, and in the end weights, batch statistics and Adam's moments."""
    rows, others = (read_rows(p.output / "history.csv") for p in (project, expected))
    assert len(rows) == len(others) == 4
    for name in ("total", "pixel", "embedding", "learning_rate"):
        np.testing.assert_allclose(
            [float(row[name]) for row in rows],
            [float(row[name]) for row in others],
            rtol=3e-4,  # 6e-5 seen: Adam makes much of a rounding where a gradient is small
            err_msg=name,
        )
    checkpoint, other = project.checkpoint(), expected.checkpoint()
    assert checkpoint.record["step"] == other.record["step"] == 4
    assert checkpoint.record["recipe"] == other.record["recipe"]
    arrays, others = checkpoint.arrays, other.arrays
    assert arrays.keys() == others.keys()
    for name, expected_values in others.items():
        # Norms, as rounding may turn a single ReLU off or on and so move a few gradients a little.
        difference = np.linalg.norm(arrays[name] - expected_values)
        norm = np.linalg.norm(expected_values)
        if "/adam/" in name:
            allowed = 0.3 * norm  # 0.11 seen; gradients summed, not averaged, would be 1
        else:
            adam_steps = 0.2 * train.LEARNING_RATE * np.sqrt(expected_values.size)
            allowed = 1e-4 * norm + adam_steps
        assert difference <= allowed, name


@pytest.mark.long
def test_two_devices_learn_what_one_learns(one_device, tmp_path):
    project = new_project(tmp_path)
    ((code, out, err),) = finish([start(project, DEVICES="2")])
    assert code == 0, err
    assert "2 devices with 2 faces of a step each" in out
    assert_learned_alike(project, one_device)


@pytest.mark.long
def test_workers_learn_what_one_device_learns_also_after_one_was_killed(one_device, tmp_path):
    project = new_project(tmp_path)
    chief, other = start_workers(project)
    wait_for_steps(project, 2, chief, other)
    other.kill()
    killed = time.time()
    (code, _, err), _ = finish((chief, other), timeout=90)
    assert time.time() - killed < 60
    assert code == 1
    assert err.strip().splitlines()[-1].startswith("train.py: another worker was lost")
    assert "the same command on all workers goes on" in err
    assert "Traceback" not in err

    (code, out, err), (other_code, other_out, other_err) = finish(start_workers(project))
    assert (code, other_code) == (0, 0), err + other_err
    for text in (out, other_out):
        assert re.search(r"from step [123] to step 4", text)
    assert "worker 0 of 2, the chief" in out
    assert (project.output / "report.md").read_text() in out
    assert "PSNR" not in other_out
    assert_learned_alike(project, one_device)


def test_parts_of_a_batch_put_together_are_the_batch(face_folder):
    faces = TrainingFaces(find_faces(face_folder), 6, 32, smallest_crop=0.9, mirror=True)
    whole = next(faces.batches(1))
    parts = [next(faces.batches(1, part, 3)) for part in range(3)]
    for tensor, *others in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(tensor, np.concatenate(others))


def test_dropout_draws_other_masks_on_every_replica(monkeypatch):
    masks = []
    for replica in (0, 0, 1):
        context = types.SimpleNamespace(replica_id_in_sync_group=replica)
        monkeypatch.setattr(tf.distribute, "get_replica_context", lambda context=context: context)
        layer = hardware_devices._Dropout(0.25, seed=3)
        masks.append(layer(np.ones((100, 100), "float32"), training=True).numpy())
        np.testing.assert_array_equal(layer(np.ones((2, 2), "float32")), 1.0)
    np.testing.assert_array_equal(masks[0], masks[1])
    assert np.mean((masks[0] == 0) & (masks[2] == 0)) == pytest.approx(0.25**2, abs=0.02)
    assert masks[2].mean() == pytest.approx(1.0, abs=0.03)


GOOD = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


def test_tf_config_gives_the_place_of_a_worker(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert hardware_devices.read_tf_config() == (0, 1)
    monkeypatch.setenv("TF_CONFIG", json.dumps(GOOD))
    assert hardware_devices.read_tf_config() == (1, 2)
    with_chief = {"cluster": {"chief": ["c:3"], **GOOD["cluster"]}, "task": GOOD["task"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps(with_chief))
    assert hardware_devices.read_tf_config() == (2, 3)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"cluster": GOOD["cluster"]}),
        json.dumps(GOOD | {"cluster": {"worker": ["a", "b"]}}),
        json.dumps(GOOD | {"cluster": {"worker": {"a:1": 1}}}),
        json.dumps(GOOD | {"task": {"type": "worker", "index": 2}}),
        json.dumps(GOOD | {"task": {"type": "evaluator", "index": 0}}),
    ],
)
def test_a_malformed_tf_config_is_named(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(Mistake, match="TF_CONFIG must have the form") as raised:
        hardware_devices.read_tf_config()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("available", "batch_size", "precision", "count"),
    [
        (1, 4, "float32", 1),
        (3, 4, "float32", 2),
        (8, 4, "bfloat16", 4),
        (8, 64, "float32", 8),
        (4, 7, "float32", 1),
        (8, 64, "float16", 1),
    ],
)
def test_as_many_devices_train_as_share_a_step_evenly(available, batch_size, precision, count):
    found, reason = hardware_devices.how_many(available, batch_size, precision)
    assert found == count
    assert ("float16" if precision == "float16" else f"multiple of {count}") in reason


def test_workers_that_cannot_share_a_step_are_told(monkeypatch):
    monkeypatch.setattr(
        hardware_devices.Devices,
        "_choose_strategy",
        lambda *_: types.SimpleNamespace(num_replicas_in_sync=3),
    )
    with pytest.raises(Mistake, match="BATCH_SIZE .* multiple of 3, not 4"):
        hardware_devices.Devices(4, "float32")
    monkeypatch.undo()
    monkeypatch.setenv("TF_CONFIG", json.dumps(GOOD))
    with pytest.raises(Mistake, match="set PRECISION"):
        hardware_devices.Devices(4, "float16")


def test_workers_that_differ_are_told_in_what(monkeypatch):
    chief, other = (hardware_devices.Devices(4, "float32") for _ in range(2))
    seen = []
    for worker, devices, step in ((0, chief, 6), (1, other, 0)):
        devices.worker, devices.workers, devices.replicas = worker, 2, 2

        def of_all_workers(digests):
            seen.append(digests)
            return np.array([seen[0], digests], np.float32)

        monkeypatch.setattr(devices, "_of_all_workers", of_all_workers)
        if worker == 0:
            devices.check_alike({"step": step, "SEED": 0})
        else:
            with pytest.raises(Mistake, match="workers 1 and 0 differ in step: .* share"):
                devices.check_alike({"step": step, "SEED": 0})


def test_a_signal_to_another_worker_stops_this_one():
    answers = iter([0, int(signal.SIGTERM)])
    with StopSignals(lambda number: number or next(answers)) as stop:
        stop.check()
        assert list(stop.watch([1, 2])) == [1, 2]  # alone while the others wait: asks nobody
        with pytest.raises(Stopped) as stopped:
            stop.check()
    assert stopped.value.code == 128 + signal.SIGTERM
