"""What TensorFlow says about itself is held back, and nothing else."""

import hardware

import os
import subprocess
import sys
import tempfile

import pytest
from project import ROOT

START = """
import hardware

import keras
import tensorflow as tf

print(keras.backend.backend(), tf.config.list_physical_devices("GPU"), tf.constant(1) + 1)
"""


def start(**environment):
    process = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.startswith("tensorflow [] tf.Tensor(2")
    return process.stderr.splitlines()


def test_a_start_is_silent_but_for_warnings():
    # What TensorFlow warns of while it is imported, once from each of its libraries.
    shown = start(TF_ENABLE_ONEDNN_OPTS="maybe", KERAS_BACKEND="jax", TF_CPP_MIN_LOG_LEVEL="1")
    assert shown
    for line in shown:
        assert "TF_ENABLE_ONEDNN_OPTS is not set to" in line


def test_only_lines_with_a_note_are_held_back(capfd):
    os.write(2, b"before\n")
    with pytest.raises(ZeroDivisionError), hardware.standard_error_without(("note", "other")):
        os.write(2, b"1 note\n2 warning\n\xff\n")
        os.write(2, b"3 other\n4 end")
        assert 1 / 0
    os.write(2, b"\nafter\n")
    assert capfd.readouterr().err == "before\n2 warning\n\ufffd\n4 end\nafter\n"


def test_without_a_place_to_hold_lines_back_all_are_shown(capfd, monkeypatch):
    def full():
        raise OSError("No usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with hardware.standard_error_without(("note",)):
        os.write(2, b"1 note\n")
    assert capfd.readouterr().err == "1 note\n"


@pytest.mark.parametrize(
    ("flags", "level", "is_held_back"),
    [
        ({"sse2", "avx"}, "1", True),
        (set(), "1", True),
        ({"sse2"}, "1", False),  # TensorFlow says why it ends the process
        ({"sse2", "avx"}, "0", False),  # asked for
    ],
)
def test_what_has_to_be_seen_is_not_held_back(monkeypatch, flags, level, is_held_back):
    asked = []
    hold = hardware.standard_error_without
    monkeypatch.setattr(hardware, "cpu_flags", lambda: flags)
    monkeypatch.setattr(
        hardware, "standard_error_without", lambda notes: asked.append(notes) or hold(notes)
    )
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    hardware._import_tensorflow()
    assert bool(asked) == is_held_back
