import errno
import os
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from errors import Mistake
from files import UNFINISHED
from training import checkpoints
from training.checkpoints import Saving, copies, load_newest_checkpoint, save_checkpoint


def variables(value, size=50):
    return [
        keras.Variable(np.full((size, 3), value, np.float32), name="kernel"),
        keras.Variable(np.array(7 + int(value), np.int64), name="count"),
    ]


def values(saved):
    return [float(np.asarray(v).flat[0]) for v in saved]


def save(folder, step, keep=3, **record):
    return save_checkpoint(folder, step, copies(variables(step)), {"step": step, **record}, keep)


def test_what_was_saved_comes_back(tmp_path):
    save(tmp_path, 5, note="é")
    fresh = variables(0)
    checkpoint = load_newest_checkpoint(tmp_path)
    checkpoint.assign(fresh)
    assert checkpoint.record == {"step": 5, "note": "é"}
    assert values(fresh) == [5, 12]


def test_a_checkpoint_serves_a_network_built_later_in_the_same_process(tmp_path):
    def build(value):
        weight = keras.Variable(np.full(3, value, np.float32), name="kernel")
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
        optimizer.build([weight])
        seed = keras.random.SeedGenerator(value).state
        return [seed, *optimizer.variables, *optimizer.inner_optimizer.variables]

    first, second = build(1), build(2)
    assert not {v.path for v in first} & {v.path for v in second}
    first[-1].assign([7.0, 8.0, 9.0])
    save_checkpoint(tmp_path, 5, copies(first), {})
    load_newest_checkpoint(tmp_path).assign(second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_checkpoints_nothing_is_restored(tmp_path):
    assert load_newest_checkpoint(tmp_path / "none") is None


def test_the_newest_are_kept(tmp_path):
    for step in (1, 2, 30, 4, 100):
        save(tmp_path, step)
    assert [p.name for p in checkpoints.list_checkpoints(tmp_path)] == [
        "step_00000004.npz",
        "step_00000030.npz",
        "step_00000100.npz",
    ]


def test_a_damaged_newer_file_does_not_displace_the_one_just_written(tmp_path):
    save(tmp_path, 9).write_bytes(b"damaged")
    save(tmp_path, 5, keep=1)
    assert [p.name for p in checkpoints.list_checkpoints(tmp_path)] == ["step_00000005.npz"]


def test_any_truncation_and_any_flipped_byte_falls_back_to_the_one_before(tmp_path, capsys):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    whole = newest.read_bytes()
    rng = np.random.default_rng(0)
    for length in rng.integers(0, len(whole), 20):
        newest.write_bytes(whole[:length])
        assert_falls_back(tmp_path, capsys)
    unnoticed = 0
    for position in range(0, len(whole), 7):
        newest.write_bytes(
            whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :]
        )
        fresh = variables(0)
        checkpoint = load_newest_checkpoint(tmp_path)
        checkpoint.assign(fresh)
        record, told = checkpoint.record, capsys.readouterr().out
        # A flip in what ZIP ignores, a date for example, does no harm: then all values are right.
        assert (record["step"], values(fresh)) in ((1, [1, 8]), (2, [2, 9]))
        np.testing.assert_array_equal(fresh[0], np.full((50, 3), record["step"]))
        assert told.count("is damaged") == (record["step"] == 1)
        unnoticed += record["step"] == 2
    assert unnoticed < 0.3 * len(whole) / 7


def assert_falls_back(folder, capsys):
    fresh = variables(0)
    checkpoint = load_newest_checkpoint(folder)
    checkpoint.assign(fresh)
    assert checkpoint.record["step"] == 1
    assert values(fresh) == [1, 8]
    (line,) = capsys.readouterr().out.splitlines()
    assert "step_00000002.npz is damaged" in line


def test_training_never_starts_anew_when_all_are_damaged(tmp_path):
    save(tmp_path, 1).write_bytes(b"PK")
    with pytest.raises(Mistake, match="no checkpoint in .* is whole"):
        load_newest_checkpoint(tmp_path)


def test_another_network_is_refused_and_nothing_assigned(tmp_path):
    save(tmp_path, 1)
    other = variables(0, size=51)
    with pytest.raises(Mistake, match="another network"):
        load_newest_checkpoint(tmp_path).assign(other)
    assert values(other) == [0, 7]


def test_values_that_are_not_finite_are_never_written(tmp_path):
    save(tmp_path, 1)
    for bad in (np.nan, np.inf):
        broken = variables(0)
        broken[0].assign(np.full((50, 3), bad))
        with pytest.raises(Mistake, match="kernel is not finite"):
            save_checkpoint(tmp_path, 2, copies(broken), {"step": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000001.npz"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(*args, **kwargs):
        args[0].write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(Mistake, match="No space left on device"):
        save(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000001.npz"]
    assert load_newest_checkpoint(tmp_path).record == {"step": 1}


def test_what_another_writer_has_not_finished_is_left_alone(tmp_path):
    (tmp_path / f"{UNFINISHED}77_best.keras").write_bytes(b"half")
    save(tmp_path, 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step_00000001.npz",
        f"{UNFINISHED}77_best.keras",
    ]
    assert load_newest_checkpoint(tmp_path).record == {"step": 1}


def test_a_checkpoint_is_on_the_disk_before_the_one_before_it_is_removed(tmp_path, monkeypatch):
    def noted(function, name):
        def run(*arguments):
            found.append((name, sorted(path.name for path in tmp_path.iterdir())))
            return function(*arguments)

        return run

    save(tmp_path, 1)
    found, old, new = [], "step_00000001.npz", "step_00000002.npz"
    monkeypatch.setattr(os, "fsync", noted(os.fsync, "fsync"))
    monkeypatch.setattr(Path, "replace", noted(Path.replace, "replace"))
    save(tmp_path, 2, keep=1)
    unfinished = f"{UNFINISHED}{os.getpid()}_{new}"
    assert found == [
        ("fsync", [old, unfinished]),
        ("replace", [old, unfinished]),
        ("fsync", [old, new]),
    ]
    assert [path.name for path in tmp_path.iterdir()] == [new]

    def fail(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Mistake, match="cannot save .*step_00000003.npz: Input/output error"):
        save(tmp_path, 3, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == [new]


# --- In a thread ---


@pytest.fixture
def held(monkeypatch):
    """An event before which no checkpoint is written."""
    event, savez = threading.Event(), np.savez

    def wait_and_save(*args, **kwargs):
        assert event.wait(60)
        savez(*args, **kwargs)

    monkeypatch.setattr(np, "savez", wait_and_save)
    yield event
    event.set()


def test_training_goes_on_while_a_checkpoint_is_written_and_does_not_change_it(tmp_path, held):
    saving, trained = Saving(tmp_path), variables(1)
    saving.save(1, trained, {"step": 1})
    for variable in trained:
        variable.assign(variable + 1)
    assert list(tmp_path.glob("step_*")) == []
    held.set()
    saving.wait()
    fresh = variables(0)
    load_newest_checkpoint(tmp_path).assign(fresh)
    assert values(fresh) == [1, 8]


def test_one_checkpoint_is_written_at_a_time(tmp_path, held):
    saving = Saving(tmp_path)
    saving.save(1, variables(1), {"step": 1})
    second = threading.Thread(target=saving.save, args=(2, variables(2), {"step": 2}))
    second.start()
    second.join(0.3)
    assert second.is_alive()
    held.set()
    second.join()
    assert (tmp_path / "step_00000001.npz").exists()
    saving.wait()
    assert load_newest_checkpoint(tmp_path).record == {"step": 2}


def test_a_checkpoint_that_failed_is_told_at_the_next_one_or_at_the_end(tmp_path):
    for tell in (lambda saving: saving.save(3, variables(3), {}), Saving.wait):
        saving, broken = Saving(tmp_path), variables(0)
        broken[0].assign(np.full((50, 3), np.nan))
        saving.save(2, broken, {"step": 2})
        with pytest.raises(Mistake, match="step 2: .*kernel is not finite"):
            tell(saving)
        saving.wait()  # it is told once
    assert list(tmp_path.iterdir()) == []
