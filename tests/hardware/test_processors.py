from hardware import processors

import os

import pytest


@pytest.mark.parametrize(
    ("allowed", "own", "above", "expected"),
    [
        (8, "max 100000", None, 8),
        (8, "250000 100000", None, 3),
        (8, "max 100000", "200000 100000", 2),
        (1, "250000 100000", None, 1),
        (8, "10000 100000", None, 1),
        (8, "rubbish", None, 8),
        (8, None, None, 8),
    ],
)
def test_processors_are_those_that_may_be_used(
    tmp_path, monkeypatch, allowed, own, above, expected
):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    monkeypatch.setattr(processors, "CGROUPS", tmp_path)
    monkeypatch.setattr(processors, "OWN_CGROUP", tmp_path / "own")
    (tmp_path / "own").write_text("0::/jobs/mine\n")
    (tmp_path / "jobs" / "mine").mkdir(parents=True)
    for folder, quota in ((tmp_path / "jobs" / "mine", own), (tmp_path / "jobs", above)):
        if quota:
            (folder / "cpu.max").write_text(f"{quota}\n")
    assert processors.usable_processors() == expected


def test_where_the_system_tells_nothing_all_processors_count(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(processors, "OWN_CGROUP", tmp_path / "none")
    assert processors.usable_processors() == 6
