"""Processes that begin with TensorFlow imported, which takes seconds: `train.py` and no more.

They are forked from a process that imported it and did nothing else.
"""

import multiprocessing
import os
import runpy
import sys
import tempfile
import weakref

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["hardware", "keras", "matplotlib.figure", "started"])


def _run(script, folder, environment, files):
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(script)]
    sys.path.insert(0, os.path.dirname(os.path.join(folder, script)))
    runpy.run_path(script, run_name="__main__")


class Started:
    """A script that runs, with the part of `subprocess.Popen` that tests need."""

    def __init__(self, script, folder, environment=None):
        self._files = [tempfile.NamedTemporaryFile("r") for _ in range(2)]  # noqa: SIM115
        weakref.finalize(self, lambda files: [file.close() for file in files], self._files)
        names = [file.name for file in self._files]
        environment = dict(environment or os.environ)
        self._process = PROCESSES.Process(
            target=_run, args=(str(script), str(folder), environment, names)
        )
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def kill(self):
        self._process.kill()

    def communicate(self, timeout=240):
        """Return (standard output, standard error) once the process has ended."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, "it takes too long"
        return tuple(file.read() for file in self._files)
