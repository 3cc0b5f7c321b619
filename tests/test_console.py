import io
import sys

from console.progress import progress


def lines(monkeypatch, seconds):
    """Return what a log file holds after five units, each at another second."""
    clock = iter(seconds)
    monkeypatch.setattr("console.progress.time.monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    with progress(10, "step", done=2) as bar:
        for _ in range(5):
            bar.note("epoch 1", "loss 0.5")
            bar.update(1)
    return log.getvalue().splitlines()


def test_a_log_file_gets_a_line_a_minute_with_step_losses_and_the_time_left(monkeypatch):
    # Started at 0; units end at 10, 20, 70, 80, 90 seconds: told at 10, 70 and at the end.
    told = lines(monkeypatch, [0, 10, 10, 20, 70, 70, 80, 90, 90])
    assert told == [
        "epoch 1; step 3 of 10; loss 0.5; 00:10 so far, 01:10 left",
        "epoch 1; step 5 of 10; loss 0.5; 01:10 so far, 01:56 left",
        "epoch 1; step 7 of 10; loss 0.5; 01:30 so far, 00:54 left",
    ]


def test_a_log_file_holds_no_carriage_return_and_a_terminal_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, has_bar in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress(3, "face") as bar:
            bar.update(3)
        assert ("\r" in stream.getvalue()) == has_bar
