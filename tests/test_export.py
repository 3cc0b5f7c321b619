import dataclasses
import importlib.util
from pathlib import Path

import pytest
from exporting import Work
from processes import files_no_larger_than
from project import ROOT

import export
from inference import formats
from inference.formats import EXPORTS


@pytest.fixture
def work(tmp_path, monkeypatch, capfd):
    return Work(tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize("spoil", [2e-4, float("nan")])
def test_an_export_that_differs_is_not_kept_and_the_one_before_is(work, monkeypatch, spoil):
    assert work.run("keras")[0] == 0
    before = Path("exported/ipu_net.keras").read_bytes()

    def run_spoiled(path, lr_faces):
        sr_faces = formats.run_keras(path, lr_faces)
        sr_faces[-1, 5, 5, 1] += spoil
        return sr_faces

    spoiled = dataclasses.replace(EXPORTS[0], run=run_spoiled)
    monkeypatch.setattr(export, "EXPORTS", (spoiled,))
    code, out, err = work.run()
    assert code == 1
    assert "Exported" not in out
    assert "not kept: exported/ipu_net.keras: largest difference" in err
    assert work.exported() == ["ipu_net.keras"]
    assert Path("exported/ipu_net.keras").read_bytes() == before


def test_mistakes_end_with_usage_and_2(work, monkeypatch):
    for arguments, message in (
        (["torch"], "there is no format 'torch': choose from keras, savedmodel, tflite, onnx"),
        (["keras", "--model", "none.keras"], "there is no trained network none.keras"),
        (["keras", "--model", "exported/ipu_net.keras"], "would replace --model"),
    ):
        code, _, err = work.run(*arguments)
        assert (code, message in err) == (2, True), err
        assert "Traceback" not in err
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        code, _, err = work.run("onnx")
        assert (code, "pip install onnx onnxruntime" in err) == (2, True)
    Path("file").touch()
    code, _, err = work.run("keras", "--output", "file")
    assert (code, "cannot write to --output file" in err) == (2, True)


def test_a_home_that_no_shell_has_seen_to_is_found(work, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    work.network.rename(tmp_path / "home" / "net.keras")
    code, _, err = work.run("keras", "--output=~/out", "--model=~/net.keras")
    assert code == 0, err
    assert Path("home/out/ipu_net.keras").is_file()
    assert not Path("~").exists()


def test_a_full_disk_is_named(work, monkeypatch):
    with files_no_larger_than(50_000):
        code, out, err = work.run("keras", "savedmodel")
    assert code == 1
    assert "Exported" not in out
    for name in ("ipu_net.keras", "ipu_net_savedmodel"):
        assert f"not kept: exported/{name}: cannot be written" in err
    assert work.exported() == []


def test_without_optional_packages_the_rest_is_exported(work, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(export, "EXPORTS", (EXPORTS[0], EXPORTS[-1]))
    code, out, err = work.run()
    assert code == 0, err
    assert "Left out: ipu_net.onnx needs a package: pip install onnx onnxruntime" in out
    assert work.exported() == ["ipu_net.keras"]


def test_help_names_every_format_and_file(capsys):
    with pytest.raises(SystemExit) as end:
        export.parse(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for each in EXPORTS:
        assert each.format in text
        assert each.file in text
    requirements = (ROOT / "requirements-export.txt").read_text()
    for package in ("ai-edge-litert", "onnx", "onnxruntime"):
        assert package in text
        assert f"\n{package}\n" in requirements
