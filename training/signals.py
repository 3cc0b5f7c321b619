"""Ctrl-C and SIGTERM as requests that a training answers between two steps."""

import signal


class Stopped(SystemExit):
    """The user or the system asked the training to stop.

    Left alone it ends the process, with the exit code that a shell expects of one that a signal
    ended.
    """

    def __init__(self, received):
        super().__init__(128 + received)


class StopSignals:
    """Turns Ctrl-C and SIGTERM into a request that the loop answers between two steps.

    A second signal ends the process at once. A context manager: on leaving it, signals do again
    what they did before.
    """

    def __init__(self, share=lambda number: number):
        """Take a function from a signal's number, or 0, to that of any process that trains."""
        self.received = None
        self._share = share
        self._before = {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number, frame):
        del frame
        self.received = signal.Signals(number)
        signal.signal(number, signal.SIG_DFL)
        print(f"\n{self.received.name}: stopping after this step", flush=True)

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
