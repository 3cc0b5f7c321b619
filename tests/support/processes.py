"""Processes: what they take of memory, which they started, and when to send them a signal."""

import contextlib
import os
import resource
import signal
import tempfile
import threading
import time
from pathlib import Path


def memory(field):
    """Return a figure of this process in MB, "VmRSS" or "VmHWM"; 0 where it is not told."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith(field)), 0.0)


def start_of_peak():
    """Let the peak VmHWM start anew; return the memory in use in MB, None if it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return memory("VmRSS")


@contextlib.contextmanager
def captured():
    """Yield a list that has what was written to standard output and error once it is left.

    What libraries in C++ write to file descriptor 2 counts, too.
    """
    texts = []
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        shown = os.dup(2)
        os.dup2(err.fileno(), 2)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                yield texts
        finally:
            os.dup2(shown, 2)
            os.close(shown)
            for file in (out, err):
                file.seek(0)
                texts.append(file.read())


@contextlib.contextmanager
def files_no_larger_than(size):
    """Let this process write no file beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def children(process):
    """Return the ids of the processes that one started, None where the system tells none."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        return {int(pid) for pid in path.read_text().split()}
    except FileNotFoundError:
        return None if process.poll() is None else set()


def is_running(pid):
    """Return whether a process is there and not merely waiting to be forgotten."""
    return os.path.exists(f"/proc/{pid}/exe")


def wait_until(is_true, processes, timeout=240):
    """Return once a condition holds; fail if one of the processes ends before."""
    deadline = time.time() + timeout
    while not is_true():
        for process in processes:
            assert process.poll() is None, process.communicate()[1]
        assert time.time() < deadline, "it takes too long"
        time.sleep(0.02)


def wait_for_steps(project, count, *processes):
    """Return once the history of a project has that many rows below its header."""
    history = project.output / "history.csv"
    wait_until(lambda: history.exists() and history.read_text().count("\n") > count, processes)


@contextlib.contextmanager
def sent_after_steps(project, count, number):
    """Send this process a signal once the history of a project has that many rows."""

    def send():
        wait_for_steps(project, count)
        os.kill(os.getpid(), number)

    before = signal.signal(number, lambda *_: None)  # it may come too late for a training
    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(number, before)
