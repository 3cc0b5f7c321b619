import numpy as np
import pytest

from errors import Mistake
from training import history
from training.history import StepLog, append_rows, cut_after, read_rows, set_aside


def test_rows_are_appended_under_one_header(tmp_path):
    path = tmp_path / "history.csv"
    append_rows(path, [{"step": 1, "total": 0.5}])
    append_rows(path, [{"step": 2, "total": 0.25}, {"step": 3, "total": 0.1}])
    assert path.read_text().split() == ["step,total", "1,0.5", "2,0.25", "3,0.1"]
    assert read_rows(path)[1] == {"step": "2", "total": "0.25"}


def test_rows_after_a_step_and_unfinished_ones_are_cut(tmp_path):
    path = tmp_path / "history.csv"
    append_rows(path, [{"step": i, "total": i / 3} for i in range(1, 6)])
    before = path.read_text()
    with path.open("a") as file:
        file.write("6,0.0\n7,1.5\n8")
    cut_after(path, 5)
    assert path.read_text() == before
    cut_after(path, 2)
    assert [row["step"] for row in read_rows(path)] == ["1", "2"]
    cut_after(path, 0)
    assert not path.exists()
    assert read_rows(path) == []


def test_of_a_long_file_evenly_spread_rows_and_the_last_are_read(tmp_path, monkeypatch):
    path = tmp_path / "history.csv"
    append_rows(path, [{"step": i, "total": 1 / i} for i in range(1, 1001)])
    monkeypatch.setattr(history, "SAMPLED_FROM", 1)
    monkeypatch.setattr(history, "SAMPLED_ROWS", 100)
    steps = np.array([int(row["step"]) for row in read_rows(path)])
    assert steps[0] == 1
    assert steps[-1] == 1000
    assert len(steps) in (100, 101)
    assert np.diff(steps).min() > 0
    assert np.diff(steps).max() < 20
    assert all(float(row["total"]) == 1 / int(row["step"]) for row in read_rows(path))


def test_a_file_set_aside_gets_the_next_number(tmp_path):
    for content in "ab":
        (tmp_path / "history.csv").write_text(content)
        set_aside(tmp_path / "history.csv")
    assert [(tmp_path / f"history_{i}.csv").read_text() for i in (1, 2)] == ["a", "b"]
    set_aside(tmp_path / "history.csv")  # there is none


def log(folder, every=3):
    return StepLog(folder, every, lambda values: [dict(v) for v in values])


def test_losses_are_fetched_and_written_in_blocks(tmp_path):
    steps = log(tmp_path)
    due = [steps.add(step, 4, {"total": step / 2}) for step in (1, 2, 3)]
    assert due == [False, False, True]
    assert not (tmp_path / "history.csv").exists()
    steps.flush()
    assert (tmp_path / "history.csv").read_text().split() == [
        "step,total",
        "1,0.5",
        "2,1.0",
        "3,1.5",
    ]
    assert steps.last == {"total": 1.5}


def test_a_block_is_due_after_a_second_however_few_steps_it_has(tmp_path, monkeypatch):
    steps = log(tmp_path)
    monkeypatch.setattr(StepLog, "SECONDS", 0.0)
    assert steps.add(1, 4, {"total": 1.0})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_with_its_step_and_those_before_are_kept(tmp_path, bad):
    steps = log(tmp_path)
    for step, total in ((1, 1.0), (2, bad), (3, 1.0)):
        steps.add(step, 4, {"total": total})
    with pytest.raises(Mistake, match=f"became {bad} at step 2"):
        steps.flush()
    assert [row["step"] for row in read_rows(tmp_path / "history.csv")] == ["1"]
