import os
import signal
import subprocess
import sys

import pytest
from project import ROOT

from training.signals import NAMES, Stopped, StopSignals

NUMBERS = [getattr(signal, name) for name in NAMES]


@pytest.fixture(autouse=True)
def not_ignored():
    """Let no signal be ignored, as Ctrl-C is by what a shell script runs in the background."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_each_signal_stops_between_two_steps_with_its_exit_code():
    before = {number: signal.getsignal(number) for number in NUMBERS}
    try:
        for number in NUMBERS:
            with StopSignals() as stop:
                stop.check()
                signal.raise_signal(number)  # a step that is under way goes on
                with pytest.raises(Stopped) as stopped:
                    list(stop.watch([1, 2]))
                assert stopped.value.code == 128 + number
            assert signal.getsignal(number) == before[number]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_second_ctrl_c_ends_at_once_but_a_closed_terminal_may_hang_up_twice():
    with StopSignals():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL


def test_a_signal_that_is_ignored_as_by_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop:
            signal.raise_signal(signal.SIGHUP)
            stop.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_during_a_print_to_a_reader_that_is_gone_is_no_error():
    code = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
from training.signals import StopSignals
with StopSignals() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    print(stop.received.name, file=open(sys.argv[1], "w"))
"""
    read, write = os.pipe()
    os.close(read)
    said = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"said_{os.getpid()}")
    try:
        process = subprocess.run([sys.executable, "-c", code, said], stderr=write, cwd=ROOT)
        with open(said) as file:
            assert file.read() == "SIGINT\n"
    finally:
        os.close(write)
        os.unlink(said)
    assert process.returncode == 0
