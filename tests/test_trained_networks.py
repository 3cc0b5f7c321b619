import os

import pytest

from errors import Mistake
from trained_networks import newest_network


def test_the_newest_network_is_found(tmp_path):
    with pytest.raises(Mistake, match="run train.py"):
        newest_network(tmp_path)
    for age, name in enumerate(("b", "a", "c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").touch()
        os.utime(tmp_path / name / "model.keras", (10 - age, 10 - age))
    assert newest_network(tmp_path) == tmp_path / "b" / "model.keras"
    (tmp_path / "model.keras").touch()
    os.utime(tmp_path / "model.keras", (0, 0))
    assert newest_network(tmp_path) == tmp_path / "model.keras"


def test_an_unfinished_training_gives_the_network_of_its_best_epoch(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.keras").touch()
    os.utime(tmp_path / "a" / "checkpoints" / "best.keras", (0, 0))
    assert newest_network(tmp_path) == tmp_path / "b" / "checkpoints" / "best.keras"
    assert newest_network(tmp_path / "a") == tmp_path / "a" / "checkpoints" / "best.keras"
    (tmp_path / "a" / "model.keras").touch()
    assert newest_network(tmp_path) == tmp_path / "a" / "model.keras"
