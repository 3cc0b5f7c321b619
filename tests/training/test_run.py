from hardware.devices import Devices

import json
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import narrow_unet

import train
from errors import Mistake
from files import locked
from trained_networks import save_network, saving
from training.checkpoints import RECORD
from training.constants import MEASURING, Schedule, check
from training.run import Run, claimed
from training.signals import Stopped
from training.start import GONE, START

CHIEF = types.SimpleNamespace(
    is_chief=True, fetch=lambda values: [{k: float(v) for k, v in row.items()} for row in values]
)
RECIPE = dict.fromkeys(MEASURING, 1)


class Validation:
    """Measures nothing, and finds the losses that it is told."""

    def __init__(self, fingerprint="faces", losses=()):
        self.fingerprint = fingerprint
        self._losses = iter(losses)

    def measure(self, super_resolve, watch):
        list(watch([]))
        return [
            {"low_resolution": "7x6"}
            | dict.fromkeys(("sr_psnr", "sr_ssim", "sr_similarity", "sr_rank1"), 1.0)
        ], next(self._losses)


@pytest.fixture
def new_run(tmp_path, monkeypatch):
    unet = narrow_unet(monkeypatch)
    schedule = Schedule(2, 4, 2, 100, 100, 3, 10)
    degradation = types.SimpleNamespace(correct=lambda sr_faces, *_: sr_faces)
    faces = types.SimpleNamespace(unreadable=types.SimpleNamespace(write=lambda path: 0))

    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(unet.trainable_variables)

    def build(validation=None, **changes):
        validation = validation or Validation()
        recipe = RECIPE | changes
        return Run(
            tmp_path, CHIEF, unet, optimizer, degradation, schedule, validation, recipe, faces
        )

    return build


def losses(total):
    return {"total": tf.constant(total), "learning_rate": tf.constant(1e-3)}


def test_a_loss_that_is_not_finite_is_named_with_what_there_is_to_go_back_to(new_run):
    run = new_run()
    run.count_step(losses(1.0))
    run.count_step(losses(float("nan")))
    with pytest.raises(Mistake, match="at step 2, .*there is no checkpoint from before"):
        run.flush()
    run = new_run()
    run.count_step(losses(1.0))
    run.save()
    run.count_step(losses(float("inf")))
    with pytest.raises(Mistake, match=r"at step 2, .*step_00000001\.npz is from before"):
        run.save()  # nothing is saved after it


def test_the_best_network_stays_the_best_while_what_is_measured_stays_the_same(new_run):
    def best_after(loss, fingerprint="faces", **changes):
        run = new_run(Validation(fingerprint, [loss]), **changes)
        run.restore(allow_changes=True)
        path = run.folder / "checkpoints" / "best.keras"
        before = path.stat().st_mtime_ns if path.exists() else None
        run.count_step(losses(1.0))
        run.validate(iter)
        run.save()
        run._saving.wait()
        return path.stat().st_mtime_ns != before

    assert best_after(0.5)
    assert not best_after(0.6, LEARNING_RATE=1.0)  # a change that does not touch the measure
    assert best_after(0.4)
    assert best_after(0.6, PIXEL_WEIGHT=2)
    assert best_after(0.9, fingerprint="other faces")


def test_what_a_stop_kept_from_being_measured_and_drawn_is_done_when_the_run_goes_on(new_run):
    def stop(items):
        raise Stopped(signal.SIGTERM)

    run = new_run()
    for _ in range(run.schedule.steps_per_epoch):
        run.count_step(losses(1.0))
    with pytest.raises(Stopped), run.saved_if_stopped():
        run.catch_up(stop)
    run, done = new_run(), []
    run.restore()
    run.validate, run.draw = done.append, lambda: done.append("drawn")
    run.catch_up(iter)
    assert done == [iter, "drawn"]


def test_a_run_goes_on_from_its_own_start_wherever_that_lies_now(new_run):
    run = new_run(**{START: "1"})
    run._norms.first[0][0] = 0.5  # as of a trained network
    run.count_step(losses(1.0))
    run.save()
    run._saving.wait()
    with pytest.raises(Mistake, match="start weights was '1' and is now '2'"):
        new_run(**{START: "2"}).restore()
    run = new_run(**{START: GONE})
    run.restore()
    assert run._recipe[START] == "1"
    assert run._norms.first[0][:2] == [0.5, 0.0]


def test_a_run_of_an_earlier_version_goes_on(new_run):
    run = new_run(START_WEIGHTS="moved/model.keras", HELD_OUT_IDENTITIES=8)
    run.count_step(losses(1.0))
    run.save()
    run._saving.wait()
    path = run.folder / "checkpoints" / "step_00000001.npz"
    with np.load(path) as file:
        arrays = dict(file)
    record = json.loads(str(arrays.pop(RECORD)))
    for name in ("norms_first", "drawn_step"):
        del record[name]
    np.savez(path, **{RECORD: np.array(json.dumps(record))}, **arrays)
    run = new_run(**{START: "1"})
    run.restore()
    assert (run.step, run._drawn_step) == (1, 1)


def test_a_second_training_in_one_folder_is_refused_by_name(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(Mistake, match="OUTPUT_DIR .* another run"),
        claimed(str(tmp_path), CHIEF),
    ):
        pass
    with claimed(str(tmp_path), CHIEF):
        pass  # the first has let go of it


def test_what_a_killed_training_left_half_written_is_removed_by_the_next_one_alone(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    names = "unfinished_7_model.keras", "checkpoints/unfinished_7_step_00000001.npz"
    for name in (*names, "config.json", "checkpoints/best.keras"):
        (tmp_path / name).touch()
    other = types.SimpleNamespace(is_chief=False)
    with claimed(str(tmp_path), other):
        assert (tmp_path / names[0]).exists()
    with locked(tmp_path), pytest.raises(Mistake), claimed(str(tmp_path), CHIEF):
        pass
    assert (tmp_path / names[0]).exists()
    with claimed(str(tmp_path), CHIEF):
        left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*")}
        assert left == {".lock", "config.json", "checkpoints/best.keras"}


@pytest.mark.parametrize("inside", [True, False])
def test_output_and_faces_do_not_lie_in_each_other(monkeypatch, tmp_path, inside):
    faces, output = tmp_path / "faces", tmp_path / "faces" / "output"
    folders = (faces, output) if inside else (output, faces)
    for name in ("TRAIN_DIR", "VALIDATION_DIR"):
        monkeypatch.setattr(train, name, str(folders[0]))
        monkeypatch.setattr(train, "OUTPUT_DIR", str(folders[1]))
        with pytest.raises(Mistake, match=f"OUTPUT_DIR .* and {name} .* must not lie"):
            check(vars(train))
        monkeypatch.undo()


def test_saving_again_and_again_builds_one_network(tmp_path, monkeypatch):
    unet = narrow_unet(monkeypatch)
    saving._kept_unet.cache_clear()
    for _ in range(3):
        save_network(unet, tmp_path / "best.keras")
    assert saving._kept_unet.cache_info().misses == 1
    saving._kept_unet.cache_clear()


@pytest.mark.parametrize(
    ("error", "xla", "message"),
    [
        (
            tf.errors.ResourceExhaustedError,
            "auto",
            "memory .* is full.*lower BATCH_SIZE",
        ),
        (tf.errors.InternalError, "auto", "libdevice.*set XLA = False"),
    ],
)
def test_errors_of_a_gpu_end_in_a_line_with_the_cure(error, xla, message):
    def step():
        raise error(None, None, "libdevice not found\nmore")

    with pytest.raises(Mistake, match=message) as raised:
        Devices(4, "float32", xla)._explained(step)()
    assert "\n" not in str(raised.value)


def test_an_error_that_is_not_xlas_is_not_blamed_on_it():
    def step():
        raise tf.errors.InternalError(None, None, "something else")

    with pytest.raises(tf.errors.InternalError):
        Devices(4, "float32")._explained(step)()
