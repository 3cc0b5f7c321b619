import numpy as np
import pytest

from data import degrade
from errors import Mistake
from evaluation.quality import find_measures


def test_a_measure_whose_package_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Mistake, match="QUALITY cannot use lpips .*: pip install lpips"):
        find_measures(["lpips"])


def test_brisque_finds_blurred_faces_worse(sample_faces):
    pytest.importorskip("brisque")
    faces = sample_faces[0][:2]
    measure = find_measures(["brisque"])["brisque"]
    blurred = np.asarray(degrade(faces, (16, 16)))
    assert (measure(blurred, None) > measure(faces, None) + 20).all()
    assert np.isnan(measure(faces * 0, None)).all()
