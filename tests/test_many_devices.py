"""Several devices learn what one learns: two virtual CPUs, and two worker processes."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import Project, assert_one_line

from data import TrainingFaces, find_faces
from history import read_rows

# As train.py, on two devices that share the processor.
TWO_CPUS = """
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import train

train.main()
"""


def new_project(folder, faces):
    """A project without dropout, whose masks depend on the number of devices."""
    import model

    project = Project(folder, faces)
    least = model.LEAST_FILTERS
    project.edit("model.py", DECODER=tuple((max(least, n // 8), 0.0) for n, _ in model.DECODER))
    project.edit("train.py", SAVE_STEPS=2)
    (project.folder / "two_cpus.py").write_text(TWO_CPUS)
    return project


@pytest.fixture(scope="module")
def one_device(finished, tmp_path_factory):
    project = new_project(tmp_path_factory.mktemp("one") / "project", finished.faces)
    t=time.time()
    code, _, err = project.run()
    print("one", time.time()-t)
    assert code == 0, err
    return project


def assert_learned_alike(project, expected):
    for name in ("total", "pixel", "embedding"):
        losses, others = (
            np.array([float(row[name]) for row in read_rows(p.output / "history.csv")])
            for p in (project, expected)
        )
        print(name, losses, np.abs(losses/others-1).max())
    _, arrays = project.checkpoint()
    _, others = expected.checkpoint()
    assert arrays.keys() == others.keys()
    worst={}
    for name in arrays:
        d=np.abs(arrays[name].astype(float) - others[name]); 
        worst[name]=(d.max(), d.mean(), np.abs(others[name]).mean())
    for k,v in worst.items(): print(k, *("%.2e"%x for x in v))


def test_two_devices_learn_what_one_learns(one_device, tmp_path):
    project = new_project(tmp_path / "project", one_device.faces)
    t=time.time()
    code, out, err = project.run("two_cpus.py")
    print("two", time.time()-t)
    assert code == 0, err
    print(out)
    assert_learned_alike(project, one_device)
