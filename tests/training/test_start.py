import keras
import numpy as np
import pytest
from networks import narrow_unet

from errors import Mistake
from model import build_unet
from training.start import GONE, START, compared_starts, fingerprint_of_start, start_from_network


def test_a_training_starts_from_a_trained_network_of_the_same_kind(tmp_path, monkeypatch):
    trained = narrow_unet(monkeypatch, seed=1)
    path = tmp_path / "model.keras"
    trained.save(path)
    unet = build_unet(seed=2)  # as narrow
    before = unet.get_weights()
    start_from_network(unet, path, tmp_path / "output")
    for ours, theirs in zip(unet.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other = keras.Sequential([keras.Input((128, 128, 3)), keras.layers.Conv2D(3, 1)])
    with pytest.raises(Mistake, match="START_WEIGHTS .* is another network"):
        start_from_network(other, path, tmp_path / "output")

    path.unlink()
    with pytest.raises(Mistake, match="there is no trained network"):
        start_from_network(unet, path, tmp_path / "output")
    unet.set_weights(before)
    (tmp_path / "output" / "checkpoints").mkdir(parents=True)
    (tmp_path / "output" / "checkpoints" / "step_00000001.npz").touch()
    start_from_network(unet, path, tmp_path / "output")  # which go on without it
    np.testing.assert_array_equal(unet.get_weights()[0], before[0])


def test_a_network_to_start_from_is_known_by_what_its_file_holds(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (fingerprint_of_start(tmp_path / name) for name in "abc")
    assert a == b != c
    assert fingerprint_of_start(None) is None
    assert fingerprint_of_start(str(tmp_path / "d")) == GONE


@pytest.mark.parametrize(
    ("before", "now", "alike"),
    [
        ({START: "1"}, "1", True),
        ({START: "1"}, "2", False),
        ({START: "1"}, GONE, True),
        ({START: "1"}, None, False),
        ({START: None}, None, True),
        ({START: None}, GONE, False),
        # Of earlier versions.
        ({"START_WEIGHTS": "moved/model.keras"}, "1", True),
        ({"START_WEIGHTS": "model.keras"}, None, False),
        ({"START_WEIGHTS": None}, None, True),
        ({"START_WEIGHTS": None}, "1", False),
    ],
)
def test_a_training_goes_on_from_its_own_start_alone(before, now, alike):
    old, new = compared_starts(before, {START: now})
    assert (old.get(START) == new[START]) is alike
    if now == GONE and alike:
        assert new[START] == "1"  # by which it is known next time


def test_a_start_that_was_gone_once_and_is_back_counts_as_the_same():
    now = {START: "abcd"}
    before, _ = compared_starts({START: GONE}, now)
    assert before == now
