"""Signals as requests to stop, which a training answers between two steps."""

import contextlib
import os
import signal
import threading

# Ctrl-C, a batch system's end and its warning before that, a closed terminal.
NAMES = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")


class Stopped(SystemExit):
    """The user or the system asked the training to stop.

    Left alone it ends the process, with the exit code that a shell expects of one that a signal
    ended.
    """

    def __init__(self, received):
        super().__init__(128 + received)


class StopSignals:
    """Turns the signals of `NAMES` into a request that the loop answers between two steps.

    Those that are ignored stay so, as SIGHUP under nohup. A second Ctrl-C or SIGTERM ends the
    process at once; a closing terminal sends SIGHUP twice by itself. A context manager: on leaving
    it, signals do again what they did before.
    """

    def __init__(self, share=lambda number: number):
        """Take a function from a signal's number, or 0, to that of any process that trains."""
        self.received = None
        self._share = share
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            return self  # only there Python lets signals be handled
        known = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
        for number in known:
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number, frame):
        del frame
        self.received = signal.Signals(number)
        if number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        # Not print: the signal may have come in the middle of another print.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{self.received.name}: stopping after this step\n".encode())

    def watch(self, items):
        """Yield the items of an iterable; raise `Stopped` once a signal has come."""
        for item in items:
            if self.received is not None:
                self.check()
            yield item

    def check(self):
        """Raise `Stopped` if a signal has come, to this process or to one it trains with."""
        if number := self._share(self.received or 0):
            raise Stopped(signal.Signals(number))
