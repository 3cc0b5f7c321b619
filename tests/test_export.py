import dataclasses
import importlib.util
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from networks import narrow_unet
from project import ROOT

import export
from inference.super_resolver import SuperResolver
from trained_networks import load_network

NEEDED = {"tflite": ("ai_edge_litert",), "onnx": ("onnx", "onnxruntime")}


def needs(name):
    missing = [p for p in NEEDED[name] if importlib.util.find_spec(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"the optional {missing} are not installed")


@pytest.fixture(scope="module")
def network_path(tmp_path_factory):
    """A U-Net with an eighth of the filters, whose every array matters, as a trained one's."""
    with pytest.MonkeyPatch.context() as patch:
        network = narrow_unet(patch)
    rng = np.random.default_rng(0)
    for variable in network.weights:
        if variable.name == "gamma":
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif variable.name == "moving_variance":
            variable.assign(rng.uniform(0.02, 0.1, variable.shape))
        elif variable.name in ("beta", "moving_mean", "bias"):
            variable.assign(rng.normal(0.0, 0.2, variable.shape))
    path = tmp_path_factory.mktemp("network") / "model.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def faces(network_path):
    """Three faces and what Keras makes of them; both use the whole range."""
    lr_faces = export.comparison_faces(128)[[0, 5, 9]]
    sr_faces = load_network(network_path)(lr_faces, training=False).numpy()
    assert sr_faces.std() > 0.1
    return lr_faces, sr_faces


@pytest.fixture
def run(tmp_path, monkeypatch, network_path, capfd):
    """Runs the command in an empty folder; returns (exit code, standard output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            code = export.main(["--model", str(network_path), *arguments])
        except SystemExit as end:
            code = end.code
        return code, *capfd.readouterr()

    return run


def left_over():
    return [path.name for path in Path("exported").glob("*")]


def test_a_keras_file_is_the_network(run, faces):
    code, out, err = run("keras")
    assert code == 0, err
    assert "exported/ipu_net.keras: largest difference 0.0e+00" in out
    assert left_over() == ["ipu_net.keras"]
    network = keras.models.load_model("exported/ipu_net.keras")
    np.testing.assert_array_equal(network(faces[0], training=False), faces[1])


def test_a_saved_model_takes_raw_pictures_without_our_code(run, network_path, tmp_path):
    code, out, err = run("savedmodel")
    assert code == 0, err
    assert "exported/ipu_net_savedmodel: largest difference" in out
    # Weights are stored once.
    bytes_used = sum(p.stat().st_size for p in Path("exported").rglob("*") if p.is_file())
    assert bytes_used < 1.2 * 4 * load_network(network_path).count_params() + 1e6

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
    super_resolve = SuperResolver(load_network(network_path))
    for name, batch in zip(results.files, pictures, strict=True):
        assert results[name].shape == (len(batch), 128, 128, 3)
        assert results[name].dtype == np.uint8
        expected = np.round((super_resolve(list(batch))[1] + 1.0) * 127.5)
        assert np.abs(results[name] - expected).max() <= 1  # where a half is rounded
        assert (results[name] == expected).mean() > 0.99


@needs("tflite")
def test_litert_agrees(run, faces):
    from ai_edge_litert.interpreter import Interpreter

    code, out, err = run("tflite")
    assert code == 0, err
    names = {"ipu_net_float32.tflite": 1e-4, "ipu_net_float16.tflite": 2e-2}
    assert sorted(left_over()) == sorted(names)
    for name, limit in names.items():
        assert f"exported/{name}: largest difference" in out
        interpreter = Interpreter(f"exported/{name}")
        sr_faces = interpreter.get_signature_runner("faces")(lr_faces=faces[0])["sr_faces"]
        assert np.abs(sr_faces - faces[1]).max() <= limit
    sizes = {p.name: p.stat().st_size for p in Path("exported").iterdir()}
    assert sizes["ipu_net_float16.tflite"] < 0.6 * sizes["ipu_net_float32.tflite"]


@needs("onnx")
def test_onnx_runtime_agrees(run, faces):
    import onnxruntime

    code, out, err = run("onnx")
    assert code == 0, err
    assert "exported/ipu_net.onnx: largest difference" in out
    session = onnxruntime.InferenceSession(
        "exported/ipu_net.onnx", providers=["CPUExecutionProvider"]
    )
    assert session.get_inputs()[0].shape == ["batch", 128, 128, 3]
    (sr_faces,) = session.run(["sr_faces"], {"lr_faces": faces[0]})
    assert np.abs(sr_faces - faces[1]).max() <= 1e-4


@needs("onnx")
def test_onnx_refuses_layers_it_does_not_know(run, tmp_path):
    inputs = keras.Input((128, 128, 3))
    for name, layer in {
        "pooling": keras.layers.AveragePooling2D(1),
        "convolution": keras.layers.Conv2D(3, 1, padding="valid"),
        "activation": keras.layers.Activation("sigmoid"),
    }.items():
        path = tmp_path / f"{name}.keras"
        keras.Model(inputs, layer(inputs)).save(path)
        code, _, err = run("onnx", "--model", str(path))
        assert code == 1
        assert f"cannot write layer {layer.name}" in err
        assert left_over() == []


@pytest.mark.parametrize("spoil", [2e-4, float("nan")])
def test_an_export_that_differs_is_not_kept_and_the_one_before_is(run, monkeypatch, spoil):
    assert run("keras")[0] == 0
    before = Path("exported/ipu_net.keras").read_bytes()

    def run_spoiled(path, lr_faces):
        sr_faces = export.run_keras(path, lr_faces)
        sr_faces[-1, 5, 5, 1] += spoil
        return sr_faces

    spoiled = dataclasses.replace(export.EXPORTERS[0], run=run_spoiled)
    monkeypatch.setattr(export, "EXPORTERS", (spoiled,))
    code, out, err = run()
    assert code == 1
    assert "Exported" not in out
    assert "not kept: exported/ipu_net.keras: largest difference" in err
    assert left_over() == ["ipu_net.keras"]
    assert Path("exported/ipu_net.keras").read_bytes() == before


def test_mistakes_end_with_usage_and_2(run, monkeypatch, network_path):
    for arguments, message in (
        (["torch"], "there is no format 'torch': choose from keras, savedmodel, tflite, onnx"),
        (["keras", "--model", "none.keras"], "there is no file none.keras"),
        (["keras", "--model", "exported/ipu_net.keras"], "would replace --model"),
    ):
        code, _, err = run(*arguments)
        assert (code, message in err) == (2, True), err
        assert "Traceback" not in err
    with monkeypatch.context() as patch:
        patch.setattr(export.importlib.util, "find_spec", lambda name: None)
        code, _, err = run("onnx")
        assert (code, "pip install onnx onnxruntime" in err) == (2, True)
    Path("file").touch()
    code, _, err = run("keras", "--output", "file")
    assert (code, "cannot write to --output file" in err) == (2, True)


def test_a_full_disk_is_named(run, monkeypatch):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        code, out, err = run("keras", "savedmodel")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    assert "Exported" not in out
    for name in ("ipu_net.keras", "ipu_net_savedmodel"):
        assert f"not kept: exported/{name}: cannot be written" in err
    assert left_over() == []


def test_without_optional_packages_the_rest_is_exported(run, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(export, "EXPORTERS", (export.EXPORTERS[0], export.EXPORTERS[-1]))
    code, out, err = run()
    assert code == 0, err
    assert "Left out: ipu_net.onnx needs a package: pip install onnx onnxruntime" in out
    assert left_over() == ["ipu_net.keras"]


def test_help_names_every_format_and_file(capsys):
    with pytest.raises(SystemExit) as end:
        export.parse(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for exporter in export.EXPORTERS:
        assert exporter.format in text
        assert exporter.file in text
    requirements = (ROOT / "requirements-export.txt").read_text()
    for package in ("ai-edge-litert", "onnx", "onnxruntime"):
        assert package in text
        assert f"\n{package}\n" in requirements
