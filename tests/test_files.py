import os
import signal
import subprocess
import sys

import pytest
from project import ROOT

from errors import Mistake
from files import locked, whole

HOLD = """
import pathlib, sys, time
from files import locked
with locked(pathlib.Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_by_name_until_the_first_ends(tmp_path):
    folder = tmp_path / "new" / "output"
    command = [sys.executable, "-c", HOLD, folder]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        with pytest.raises(Mistake) as refused, locked(folder):
            pass
        first.send_signal(signal.SIGKILL)
    assert f"OUTPUT_DIR {folder} is being written to by another run (process {first.pid})" in str(
        refused.value
    )
    assert [path.name for path in folder.iterdir()] == [".lock"]
    with locked(folder):
        assert (folder / ".lock").read_text() == f"{os.getpid()}\n"
    assert list(folder.iterdir()) == []


def test_in_one_process_a_folder_is_locked_once_and_let_go_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        with pytest.raises(Mistake, match="--output"), locked(tmp_path, "--output"):
            pass
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_lock_that_its_holder_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    import files

    lock, opened = files._lock, []

    def lock_too_late(path):
        file = lock(path)
        if not opened:
            path.unlink()  # as the one who had it does at its end
        opened.append(file)
        return file

    monkeypatch.setattr(files, "_lock", lock_too_late)
    with locked(tmp_path):
        assert len(opened) == 2
        with pytest.raises(Mistake), locked(tmp_path):
            pass


def test_a_file_system_without_locks_is_done_without(tmp_path, monkeypatch):
    def fail(file, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("files.fcntl.flock", fail)
    with locked(tmp_path):
        pass


def test_a_name_as_long_as_a_file_system_allows_can_be_written(tmp_path):
    for alone in (False, True):
        with whole(tmp_path / ("n" * 255), alone=alone) as unfinished:
            unfinished.touch()
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]


def test_what_is_written_alone_is_hidden_until_it_is_whole_and_replaces_remains(tmp_path):
    (tmp_path / ".unfinished_a.jpg").write_text("of a process that was killed")
    with whole(tmp_path / "a.jpg", alone=True) as unfinished:
        unfinished.write_text("new")
        assert [path.name for path in tmp_path.iterdir()] == [".unfinished_a.jpg"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.jpg": "new"}
