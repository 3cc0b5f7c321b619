"""Progress: a bar in a terminal, a line now and then in a log file."""

import contextlib
import sys
import time

from tqdm import tqdm

SECONDS = 60.0  # between lines in a log file


@contextlib.contextmanager
def progress(total, unit, done=0, description=""):
    """Show how far a command is, on standard error.

    Used as `with progress(...) as bar:`, which has `update(count)` and `note(description, values)`.

    Args:
        total: number of units to do.
        unit: what is counted.
        done: how many were done before.
        description: stands before the numbers.
    """
    kind = _Bar if sys.stderr is not None and sys.stderr.isatty() else _Lines
    bar = kind(total, unit, done, description)
    try:
        yield bar
    finally:
        bar.close()


def track(items, unit, description=""):
    """Yield items of known number, showing how many are done."""
    with progress(len(items), unit, description=description) as bar:
        for item in items:
            yield item
            bar.update(1)


class _Bar:
    """tqdm's bar, redrawn at most twice a second."""

    def __init__(self, total, unit, done, description):
        self._bar = tqdm(
            total=total, initial=done, unit=unit, desc=description or None, mininterval=0.5
        )

    def update(self, count):
        self._bar.update(count)

    def note(self, description, values=""):
        self._bar.set_description(description, refresh=False)
        self._bar.set_postfix_str(values, refresh=False)

    def close(self):
        self._bar.close()


class _Lines:
    """A line at the first unit, then one every `SECONDS`, and one at the end."""

    def __init__(self, total, unit, done, description):
        self._total, self._unit, self._before, self._done = total, unit, done, done
        self._description, self._values = description, ""
        self._started = time.monotonic()
        self._told = -float("inf")
        self._told_at = done

    def update(self, count):
        self._done += count
        if time.monotonic() - self._told >= SECONDS:
            self._tell()

    def note(self, description, values=""):
        self._description, self._values = description, values

    def close(self):
        if self._done > self._told_at:
            self._tell()

    def _tell(self):
        self._told, self._told_at = time.monotonic(), self._done
        seconds = self._told - self._started
        rate = (self._done - self._before) / max(seconds, 1e-9)
        left = (self._total - self._done) / rate if rate else 0.0
        parts = (
            self._description,
            f"{self._unit} {self._done:,} of {self._total:,}",
            self._values,
            f"{tqdm.format_interval(seconds)} so far, {tqdm.format_interval(left)} left",
        )
        print("; ".join(filter(None, parts)), file=sys.stderr, flush=True)
