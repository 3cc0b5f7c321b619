import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from networks import narrow_unet
from PIL import Image
from project import ROOT
from restoring import Work, identity_network

import super_resolve
from data import Degradation, enlarge
from imaging import detection


@pytest.fixture
def work(tmp_path, monkeypatch, capsys):
    return Work(tmp_path, monkeypatch, capsys)


def test_mistakes_end_with_usage_and_2(work, monkeypatch, capsys):
    work.picture("in/a.png")
    for arguments, message in (
        ([], "the following arguments are required: PATH"),
        (["in", "--output", "./in"], "--output must be another folder"),
        (["in", "--model", "none.keras"], "there is no trained network none.keras"),
        (["in", "--resolution", "16"], "--resolution '16' is none of auto, own and HEIGHTxWIDTH"),
        (["in", "--resolution", "0x16"], "'0x16' is none of"),
        (["in", "--detect", "--resolution", "16x12"], "--resolution is auto or own with it"),
        (["in", "--model", "in/a.png"], "in/a.png is not a whole .keras file"),
    ):
        code, _, err = work.run(*arguments)
        assert (code, message in err) == (2, True), err
    Path("cut.keras").write_bytes(identity_network()[:-100])
    code, _, err = work.run("in", "--model", "cut.keras")
    assert (code, "cut.keras is not a whole .keras file" in err) == (2, True)
    monkeypatch.setattr("trained_networks.finding.PRETRAINED", Path("none.npz"))
    with pytest.raises(SystemExit) as end:
        super_resolve.main(["in"])
    assert end.value.code == 2
    assert "there is no trained network in output: run train.py" in capsys.readouterr().err
    code, _, err = work.run("in", "--model", "n" * 300)
    assert (code, "cannot read the trained network nnn" in err) == (2, True)
    inputs = keras.Input((160, 160, 3))
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save("other.keras")
    code, _, err = work.run("in", "--model", "other.keras")
    assert (code, "other.keras maps (None, 160, 160, 3) to (None, 76800)" in err) == (2, True)
    with monkeypatch.context() as patch:
        Path("old").mkdir()
        Path("old/mtcnn.py").write_text("MTCNN = None")
        patch.syspath_prepend("old")
        for name in [name for name in sys.modules if name.split(".")[0] == "mtcnn"]:
            patch.delitem(sys.modules, name)
        code, _, err = work.run("in", "--detect")
        assert (code, "pip install --upgrade mtcnn" in err) == (2, True), err
        del sys.modules["mtcnn"]  # the old one, which undoing would bring back
    monkeypatch.setattr(detection.importlib.util, "find_spec", lambda name: None)
    code, _, err = work.run("in", "--detect")
    assert (code, "pip install mtcnn" in err) == (2, True)
    assert work.results() == []


def test_the_script_runs_from_anywhere(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "-face.png")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "model.keras").write_bytes(identity_network())
    result = subprocess.run(
        [sys.executable, ROOT / "super_resolve.py", "./-face.png", "broken.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1, result.stderr
    assert "Not done: broken.png: there is no such file or folder" in result.stderr
    assert (tmp_path / "super_resolved" / "-face_sr.png").is_file()


def test_the_surroundings_of_others_and_a_reader_that_goes_away_cost_nothing(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "face.png")
    (tmp_path / "model.keras").write_bytes(identity_network())
    (tmp_path / "keras.json").write_text(
        '{"backend": "torch", "image_data_format": "channels_first", "floatx": "float16"}'
    )
    environment = {
        **os.environ,
        "KERAS_HOME": str(tmp_path),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    command = [sys.executable, str(ROOT / "super_resolve.py"), "face.png", "--facenet"]
    command += ["--model", "model.keras"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    err = process.communicate()[1].decode()
    assert process.returncode == 0, err
    assert "Error" not in err
    assert "Exception" not in err
    with open(tmp_path / "super_resolved" / "report.csv") as file:
        (row,) = csv.DictReader(file)
    assert (row["result"], row["result_size"]) == ("super_resolved/face_sr.png", "128x128")
    assert float(row["identity_similarity"]) > 0.99  # a flat face, rounded twice


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as end:
        super_resolve.parse(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in (
        "--output",
        "--model",
        "--detect",
        "--resolution",
        "--facenet",
        "--overwrite",
        "Exit code",
    ):
        assert word in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_lines_of_the_readme_work(tmp_path, monkeypatch):
    section = (ROOT / "README.md").read_text().split("## Using a trained network")[1]
    lines = re.search(r"```python\n(.*?)```", section.split("\n## ")[0], re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    network = narrow_unet(monkeypatch, seed=1)
    Path("output").mkdir()
    network.save("output/model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("face.png")
    names = {}
    exec(lines, names)
    lr_faces = enlarge(pixels[None])
    np.testing.assert_array_equal(names["lr_faces"], lr_faces)
    correct = Degradation(128, [(16, 16)]).correct
    expected = correct(network(lr_faces, training=False), lr_faces, np.int32([(16, 16)]))
    np.testing.assert_allclose(names["sr_faces"], expected, atol=1e-5)
