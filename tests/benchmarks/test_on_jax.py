import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from networks import keep_facenet, kept_facenet, narrow_unet
from project import ROOT

import losses
from benchmarks import on_jax
from benchmarks.on_jax import EMBEDDING_PARTS
from data import LOW_RESOLUTIONS, Degradation, to_faces
from evaluation.faces import choose_sizes, tell_people_trained_on
from evaluation.recognisers import find_recognisers
from evaluation.report import Problems
from evaluation.restoring import Restorer
from facenet import FaceNet
from imaging.lists import find_faces
from model import build_unet, start_from_input
from trained_networks import degradation_options, find_run, load_network

PROGRAM = """
import sys, json, numpy as np, jax
from benchmarks.on_jax import Trainer, weights_of
from facenet import FaceNet
jax.config.update("jax_default_matmul_precision", "highest")
batch = np.load(sys.argv[1])
facenet, trainer = FaceNet(), Trainer()
before = np.array(trainer.state[0][0])
program = trainer.program(facenet, 0.02)
state, values = program(trainer.state, weights_of(facenet), batch["hr"], batch["low"])
moved = float(abs(np.array(state[0][0]) - before).max())
print(json.dumps([*map(float, values), moved]))
"""


def test_a_network_of_jax_can_be_evaluated_and_used(tmp_path, monkeypatch, face_folder):
    path, faces = tmp_path / "network.npz", find_faces(face_folder)
    unet = narrow_unet(monkeypatch)
    on_jax.write(path, unet, kept_facenet(), faces)
    run, network, training, recipe = find_run(path)
    assert (run, network) == (path, path)
    keep_facenet(monkeypatch)
    (judge,) = find_recognisers(training, recipe, [], (0.15, 0.2, 0.85, 0.9))
    assert judge.name == "FaceNet of the loss"
    Restorer(load_network(path), choose_sizes(None, training), training)
    assert degradation_options(path) == {"antialias": True, "eight_bits": True, "consistent": True}
    assert (recipe["PIXEL_STEPS"], recipe["EMBEDDING_WEIGHT"]) == (18_030, 0.06)
    problems, people = Problems(), {path: path.parent for path in faces}
    tell_people_trained_on(people, run, training, recipe, problems)
    count = len(set(people.values()))
    assert problems == [f"the network was trained on {count} of the people measured here"]
    assert str(tmp_path) not in path.with_suffix(".json").read_text()


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
def test_the_step_on_jax_has_the_losses_of_the_step_on_tensorflow(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 8, 8, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    low_resolutions = np.int32([LOW_RESOLUTIONS[i] for i in (0, 4, 9)])
    np.savez(tmp_path / "batch.npz", hr=pixels, low=low_resolutions)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "batch.npz")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    pixel, embedding, moved = json.loads(done.stdout.splitlines()[-1])

    # What starts from the input has no dropout yet that reaches the output.
    assert keras.config.dtype_policy().name == "float32"
    unet, facenet = build_unet(seed=0), FaceNet()
    start_from_input(unet)
    degradation = Degradation(128, LOW_RESOLUTIONS)
    hr_faces = to_faces(pixels)
    lr_faces = degradation(hr_faces, low_resolutions)
    sr_faces = degradation.correct(unet(lr_faces), lr_faces, low_resolutions)
    assert pixel == pytest.approx(float(losses.pixel_loss(sr_faces, hr_faces)), rel=1e-5)
    parts = losses.identity_parts(low_resolutions, EMBEDDING_PARTS)
    identity = losses.embedding_loss(facenet(sr_faces), facenet(hr_faces), parts=parts)
    assert embedding == pytest.approx(float(identity), rel=1e-4)
    assert 1e-5 < moved < 1e-3  # Adam's first step is the learning rate
