import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from exporting import Work
from project import ROOT
from restoring import identity_network

from data import LOW_RESOLUTIONS, Degradation, to_pixels
from inference.formats import EXPORTS, comparison_faces
from inference.super_resolver import SuperResolver
from trained_networks import load_network

NEEDED = {"tflite": ("ai_edge_litert",), "onnx": ("onnx", "onnxruntime")}


def needs(name):
    missing = [p for p in NEEDED[name] if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"the optional {missing} are not installed")


@pytest.fixture
def work(tmp_path, monkeypatch, capfd):
    return Work(tmp_path, monkeypatch, capfd)


@pytest.fixture
def faces(work):
    """Three faces and what Keras makes of them; both use the whole range."""
    lr_faces = comparison_faces(128)[[0, 5, 9]]
    sr_faces = load_network(work.network)(lr_faces, training=False).numpy()
    assert sr_faces.std() > 0.1
    return lr_faces, sr_faces


def test_a_keras_file_is_the_network(work, faces):
    code, out, err = work.run("keras")
    assert code == 0, err
    assert "exported/ipu_net.keras: largest difference 0.0e+00" in out
    assert work.exported() == ["ipu_net.keras"]
    network = keras.models.load_model("exported/ipu_net.keras")
    np.testing.assert_array_equal(network(faces[0], training=False), faces[1])


def test_a_saved_model_takes_raw_pictures_without_our_code(work):
    code, out, err = work.run("savedmodel")
    assert code == 0, err
    assert "exported/ipu_net_savedmodel: largest difference" in out
    # Weights are stored once.
    bytes_used = sum(p.stat().st_size for p in Path("exported").rglob("*") if p.is_file())
    assert bytes_used < 1.2 * 4 * load_network(work.network).count_params() + 1e6

    rng = np.random.default_rng(0)
    shapes = [(2, 16, 16, 3), (1, 7, 6, 3), (1, 1, 1, 3), (3, 200, 300, 3)]
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    np.savez("pictures.npz", *pictures)
    code = (
        "import numpy as np, tensorflow as tf\n"
        "loaded = tf.saved_model.load('exported/ipu_net_savedmodel')\n"
        "serve = loaded.signatures['serving_default']\n"
        "pictures = np.load('pictures.npz')\n"
        "results = [serve(images=pictures[n])['sr_images'].numpy() for n in pictures.files]\n"
        "np.savez('results.npz', *results)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True)
    results = np.load("results.npz")
    super_resolve = SuperResolver(load_network(work.network))
    for name, batch in zip(results.files, pictures, strict=True):
        assert results[name].shape == (len(batch), 128, 128, 3)
        assert results[name].dtype == np.uint8
        expected = np.round((super_resolve(list(batch))[1] + 1.0) * 127.5)
        assert np.abs(results[name] - expected).max() <= 1  # where a half is rounded
        assert (results[name] == expected).mean() > 0.99


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("consistent", [True, False])
def test_a_saved_model_corrects_as_the_training_did(work, antialias, consistent):
    work.network.write_bytes(identity_network())
    constants = {"ANTIALIAS": antialias, "CONSISTENT": consistent}
    Path("config.json").write_text(json.dumps({"constants": constants, "recipe": {}}))
    code, _, err = work.run("savedmodel")
    assert code == 0, err
    serve = tf.saved_model.load("exported/ipu_net_savedmodel").signatures["serving_default"]
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    found = serve(images=tf.constant(picture[None]))["sr_images"].numpy()
    lr_faces, sr_faces = SuperResolver.of(work.network)([picture])
    assert np.abs(found - to_pixels(sr_faces).numpy().astype(int)).max() <= 1
    assert (found == to_pixels(lr_faces).numpy()).all() == (not consistent)


@pytest.mark.parametrize("name", [b"run [1]", b"*? {a,b} ~ $HOME \\ %s", b"caf\xe9"])
def test_folders_may_be_called_anything(work, name):
    folder = os.fsdecode(name)
    formats = ["keras", "savedmodel", *(["onnx"] if not needs("onnx").args[0] else [])]
    code, out, err = work.run(*formats, "--output", folder)
    assert code == 0, err
    assert out.count("Exported ") == len(formats)
    assert sorted(p.name for p in Path(folder).iterdir()) == sorted(
        export.file for export in EXPORTS if export.format in formats
    )


@needs("tflite")
def test_litert_agrees(work, faces):
    from ai_edge_litert.interpreter import Interpreter

    code, out, err = work.run("tflite")
    assert code == 0, err
    names = {"ipu_net_float32.tflite": 1e-4, "ipu_net_float16.tflite": 2e-2}
    assert sorted(work.exported()) == sorted(names)
    for name, limit in names.items():
        assert f"exported/{name}: largest difference" in out
        interpreter = Interpreter(f"exported/{name}")
        sr_faces = interpreter.get_signature_runner("faces")(lr_faces=faces[0])["sr_faces"]
        assert np.abs(sr_faces - faces[1]).max() <= limit
    sizes = {p.name: p.stat().st_size for p in Path("exported").iterdir()}
    assert sizes["ipu_net_float16.tflite"] < 0.6 * sizes["ipu_net_float32.tflite"]


@needs("onnx")
def test_onnx_runtime_agrees(work, faces):
    import onnxruntime

    code, out, err = work.run("onnx")
    assert code == 0, err
    assert "exported/ipu_net.onnx: largest difference" in out
    session = onnxruntime.InferenceSession(
        "exported/ipu_net.onnx", providers=["CPUExecutionProvider"]
    )
    assert session.get_inputs()[0].shape == ["batch", 128, 128, 3]
    (sr_faces,) = session.run(["sr_faces"], {"lr_faces": faces[0]})
    assert np.abs(sr_faces - faces[1]).max() <= 1e-4


@needs("onnx")
def test_onnx_refuses_layers_it_does_not_know(work, tmp_path):
    inputs = keras.Input((128, 128, 3))
    for name, layer in {
        "pooling": keras.layers.AveragePooling2D(1),
        "convolution": keras.layers.Conv2D(3, 1, padding="valid"),
        "activation": keras.layers.Activation("sigmoid"),
    }.items():
        path = tmp_path / f"{name}.keras"
        keras.Model(inputs, layer(inputs)).save(path)
        code, _, err = work.run("onnx", "--model", str(path))
        assert code == 1
        assert f"cannot write layer {layer.name}" in err
        assert work.exported() == []


def test_the_correction_of_the_documentation_is_ours():
    page = (ROOT / "docs" / "exporting.md").read_text()
    names = {}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], names)
    lr_faces = comparison_faces(128)
    wrong = lr_faces * 0.5
    for lr_face, sr_face, size in zip(lr_faces, wrong, LOW_RESOLUTIONS, strict=True):
        ours = Degradation(128, [size]).correct(sr_face[None], lr_face[None], np.int32([size]))[0]
        np.testing.assert_allclose(names["correct"](sr_face, lr_face, *size), ours, atol=5e-5)
