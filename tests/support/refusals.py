"""How a weight file that is no good has to be refused."""

import re
import time

import pytest
from processes import memory, start_of_peak

from facenet import FaceNet, WeightsError

SECONDS = 5.0
MEMORY = 1000  # MB more than before


def assert_refused(path, message=""):
    """One line that names the file and the constant to change, within the bounds."""
    before = start_of_peak() or memory("VmHWM")
    start = time.perf_counter()
    with pytest.raises(WeightsError) as refusal:
        FaceNet(path)
    assert time.perf_counter() - start < SECONDS
    assert memory("VmHWM") - before < MEMORY
    text = str(refusal.value)
    assert str(path) in text
    assert "FACENET_WEIGHTS" in text
    assert "\n" not in text
    assert len(text) < len(str(path)) + 600
    assert re.search(message, text), text
