import hashlib
import json

import pytest
from networks import narrow_unet
from project import SAMPLES

import train
from data import LOW_RESOLUTIONS, Degradation, to_faces
from facenet import EMBEDDED_WEIGHTS
from imaging.lists import find_faces, load_faces
from metrics import at_size, picture_quality
from trained_networks import (
    PRETRAINED,
    evaluation_folder,
    find_run,
    load_network,
    names_of,
    read_config,
    read_people,
    super_resolution,
    write_people,
)
from trained_networks.__main__ import main
from training.constants import check, recipe_of


@pytest.fixture
def run(tmp_path, monkeypatch, face_folder):
    """The folder of a training of the narrow U-Net."""
    folder = tmp_path / "run"
    folder.mkdir()
    narrow_unet(monkeypatch).save(folder / "model.keras")
    monkeypatch.setattr(train, "LOW_RESOLUTIONS", ((7, 6), (16, 12)))
    monkeypatch.setattr(train, "VALIDATION_DIR", str(tmp_path / "dev"))
    monkeypatch.setattr(train, "START_WEIGHTS", tmp_path / "first.keras")
    constants = check(vars(train))
    recipe = {"START_WEIGHTS": constants["START_WEIGHTS"], "FaceNet": "ab"}
    config = {"constants": constants, "recipe": recipe, "device": "CPU"}
    (folder / "config.json").write_text(json.dumps(config, default=str))
    rows = "".join(f"{step},7x6,19.0,20.{step},0.3,0.4\n" for step in (1, 2))
    head = "step,low_resolution,bicubic_psnr,sr_psnr,bicubic_similarity,sr_similarity\n"
    (folder / "validation.csv").write_text(head + rows)
    write_people(folder, find_faces(face_folder))
    return folder


def test_a_run_is_packed_with_what_made_it_and_no_path_of_the_machine(
    run, tmp_path, monkeypatch, face_folder, capsys
):
    monkeypatch.setattr("trained_networks.cost.FaceNet", lambda: lambda faces: faces[:, :8, 0, 0])
    packed = tmp_path / "shipped.npz"
    faces = ("--faces", str(face_folder), "--count", "2")
    main([str(run), "-o", str(packed), "--data", "synthetic faces", *faces])
    text = packed.with_suffix(".json").read_text()
    assert str(tmp_path) not in text
    assert "n00000" not in text
    summary = json.loads(text)
    assert summary["sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert (summary["data"], summary["steps"]) == ("synthetic faces", 2)
    assert summary["results"][0]["sr_psnr"] == 20.2
    assert [row["low_resolution"] for row in summary["cost"]] == ["7x6", "16x12"]
    printed = capsys.readouterr().out
    assert " 0." in printed
    assert "7x6  PSNR " in printed

    found, network, constants, recipe = find_run(packed)
    assert found == network == packed
    assert constants["FACENET_WEIGHTS"] == EMBEDDED_WEIGHTS.name
    assert constants["VALIDATION_DIR"] == "elsewhere/dev"
    assert "OUTPUT_DIR" not in constants
    assert recipe == {"START_WEIGHTS": "elsewhere/first.keras", "FaceNet": "ab"}
    assert len(read_people(packed)["people"]) == 4
    assert str(evaluation_folder(found)) == "output/shipped/evaluation"
    assert evaluation_folder(run) == run / "evaluation"


def test_results_of_the_last_step_are_not_said_to_be_those_of_the_best(run, tmp_path):
    (run / "checkpoints").mkdir()
    best = (run / "model.keras").rename(run / "checkpoints" / "best.keras")
    main([str(best), "-o", str(tmp_path / "best.npz")])
    summary = json.loads((tmp_path / "best.json").read_text())
    assert (summary["steps"], summary["results"]) == (None, [])


def test_a_bad_option_ends_with_the_usage(run, capsys):
    for options in (["-o", "x.keras"], ["--step", "0"], ["--count", "0"]):
        with pytest.raises(SystemExit) as end:
            main([str(run), *options])
        assert end.value.code == 2
    assert "--output must end in .npz" in capsys.readouterr().err


@pytest.mark.skipif(not PRETRAINED.is_file(), reason="no pretrained network is shipped")
def test_a_recipe_knows_the_shipped_network_by_its_hash(monkeypatch):
    monkeypatch.setattr(train, "START_WEIGHTS", train.PRETRAINED)
    constants = check(vars(train))
    unet = type("UNet", (), {"to_json": lambda self: "{}"})()
    facenet = type("Net", (), {"fingerprint": "ab"})()
    recipe = recipe_of(constants, "float32", facenet, unet, find_faces(SAMPLES / "n000001"))
    digest = hashlib.sha256(PRETRAINED.read_bytes()).hexdigest()
    assert json.loads(json.dumps(recipe))["start weights"] == digest[:16]


@pytest.mark.skipif(not PRETRAINED.is_file(), reason="no pretrained network is shipped")
def test_the_shipped_network_is_what_its_summary_says_and_beats_bicubic_enlargement():
    summary = json.loads(PRETRAINED.with_suffix(".json").read_text())
    assert summary["sha256"] == hashlib.sha256(PRETRAINED.read_bytes()).hexdigest()
    assert read_config(PRETRAINED)[0]["IMAGE_SIZE"] == 128
    is_known = names_of(read_people(PRETRAINED)["people"])
    names = "n000001", "George_W_Bush", "n000048"  # the last was held out
    assert [is_known(name) for name in names] == [True, True, False]
    hr_faces = to_faces(load_faces(find_faces(SAMPLES / "n000048"), 4)[0]).numpy()
    degradation = Degradation(128, LOW_RESOLUTIONS)
    lr_faces = at_size(degradation, (16, 16))(hr_faces)
    restore = super_resolution(load_network(PRETRAINED), degradation.correct)
    sr_faces = at_size(restore, (16, 16))(lr_faces)
    bicubic, sr = (picture_quality(f.numpy(), hr_faces)[0] for f in (lr_faces, sr_faces))
    assert (sr > bicubic).all()
