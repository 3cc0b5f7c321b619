import csv
import json
import os
import re
import shutil

import pytest
from PIL import Image
from project import assert_one_line
from sklearn.metrics import roc_auc_score

import evaluate
from errors import Mistake


def test_a_tilde_in_any_path_is_the_home_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = ["RUN_DIR", "FACES_DIR", "PAIRS", "PROBE_DIR", "GALLERY_DIR", "GROUPS"]
    for name in paths:
        monkeypatch.setattr(evaluate, name, "~/x")
    monkeypatch.setattr(evaluate, "UNSEEN_RECOGNISERS", ("~/x", {"path": "~/x", "size": 112}))
    constants = evaluate.check_constants(vars(evaluate), evaluate.RULES)
    assert {constants[name] for name in paths} == {str(tmp_path / "x")}
    first, second = constants["UNSEEN_RECOGNISERS"]
    assert first == second["path"] == str(tmp_path / "x")


def read_results(project, name="results.csv"):
    with open(project.output / "evaluation" / name, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_a_finished_training_is_measured_beside_bicubic_and_hr(continued):
    # Of the 17 pictures one is broken.
    options = {"FACES_DIR": str(continued.faces), "FACES": 17, "UNSEEN_RECOGNISERS": ()}
    continued.edit("evaluate.py", **options)
    process = continued.start("evaluate.py")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "Problem  " in out
    assert "0009_01.jpg" in out
    assert "16 faces of 4 people, " in out
    folder = continued.output / "evaluation"
    text = (folder / "results.md").read_text()
    assert text in out
    assert "0009_01.jpg" in text
    assert "the network was trained on 3 of the people measured here" in text
    # Of 4 people there are no intervals, so nothing is beyond chance; shifts never have any.
    assert not [line for line in text.splitlines() if line.startswith("|") and "->" in line]
    config = json.loads((folder / "config.json").read_text())
    assert config["constants"]["FACES_DIR"] == str(continued.faces)
    assert config["constants"]["network"] == "output/model.keras"
    for name in ("verification.png", "roc.png", "cmc.png"):
        assert (folder / name).stat().st_size > 10_000
    rows = read_results(continued)
    assert [(row["low_resolution"], row["method"]) for row in rows] == [
        ("", "HR"),
        ("7x6", "bicubic"),
        ("7x6", "SR"),
        ("16x12", "bicubic"),
        ("16x12", "SR"),
    ]
    hr, *_, fine, _ = rows
    assert float(hr["similarity"]) == pytest.approx(1.0)
    assert hr["psnr"] == ""
    assert hr["HR-LR auc"] == hr["LR-LR auc"]
    assert float(rows[1]["HR-LR auc"]) < float(fine["HR-LR auc"]) < float(hr["HR-LR auc"])
    assert float(rows[1]["psnr"]) < float(fine["psnr"])
    scores = read_results(continued, "scores.csv")
    assert {row["image_a"].partition("/")[0] for row in scores} <= set(os.listdir(continued.faces))
    of_hr = [row for row in scores if row["method"] == "HR"]
    assert len(scores) == 5 * len(of_hr)
    same = [int(row["same"]) for row in of_hr]
    auc = 100 * roc_auc_score(same, [float(row["HR-LR score"]) for row in of_hr])
    assert auc == pytest.approx(float(hr["HR-LR auc"]), abs=0.01)


MISTAKES = {
    "missing.csv": {"PAIRS": "missing.csv"},
    "none of 3 faces could be read": {"PAIRS": "absent.csv"},
    "not of both kinds": {"PAIRS": "one_kind.csv"},
    "outside fold 0 the pairs are not of both kinds": {"PAIRS": "one_fold.csv"},
    "SIZES must be below the faces' 128x128": {"SIZES": ((16, 16), (128, 128))},
}


def test_people_held_out_whom_the_first_training_had_are_said(continued):
    path = continued.output / "people.json"
    known = json.loads(path.read_text())  # as of a training that began from another's network
    known["people"] |= {folder.name: None for folder in continued.faces.iterdir()}
    path.write_text(json.dumps(known))
    _, out, err = continued.run("evaluate.py", UNSEEN_RECOGNISERS=(), GROUPS="none.csv")
    assert "none.csv" in err  # read when people have been compared
    assert "trained on people called as 1 of the people measured here" in out


def test_bad_input_is_named_in_one_line(continued):
    head = "fold,image_a,image_b,same\n"
    (continued.folder / "absent.csv").write_text(
        head + "0,x/1.jpg,x/2.jpg,1\n1,x/1.jpg,y/1.jpg,0\n"
    )
    a, b, c, d = (f"n000004/{p.name}" for p in sorted((continued.faces / "n000004").iterdir()))
    (continued.folder / "one_kind.csv").write_text(
        f"{head}0,{a},{b},1\n1,{c},{d},1\n1,{a},x.jpg,0\n"
    )
    (continued.folder / "one_fold.csv").write_text(f"{head}0,{a},{b},1\n0,{c},{d},0\n")
    for message, constants in MISTAKES.items():
        assert_one_line(continued.run("evaluate.py", **constants), message, "evaluate.py")


@pytest.mark.long
def test_faces_without_people_faces_not_here_and_faces_that_came_small(continued, tmp_path):
    # One flat folder; the training's own people in a copy; probes of three sizes.
    flat, copied, small = tmp_path / "flat", tmp_path / "copied", tmp_path / "small"
    shutil.copytree(continued.faces / "n000002", flat)
    for i, person in enumerate(sorted(continued.faces.iterdir())):
        shutil.copytree(person, copied / f"person {i}")
        (small / f"person {i}").mkdir(parents=True)
        for j, path in enumerate(sorted(person.glob("000[1-4]*"))):
            with Image.open(path) as image:
                image.resize((10 + i, 12 + j)).save(small / f"person {i}" / f"{j}.png")
    config = json.loads((continued.output / "config.json").read_text())
    config["constants"]["TRAIN_DIR"] = "/gone"
    (continued.output / "config.json").write_text(json.dumps(config))
    common = {"SIZES": [(16, 12)], "UNSEEN_RECOGNISERS": ()}
    native = {"PROBE_DIR": str(small), "GALLERY_DIR": str(copied)}
    native |= {"FACES": 3, "CENTRAL_CROP": 14, "QUALITY": ("lpips",)}
    outputs = []
    for faces in ({"FACES_DIR": str(flat)}, {"FACES_DIR": str(copied)}, native):
        code, out, err = continued.run("evaluate.py", **faces, **common)
        assert code == 0, err
        outputs.append(out)
    of_flat, of_copied, of_native = outputs
    assert "Problem  no verification: all 4 faces are of one identity" in of_flat
    assert "| low resolution | similarity | 5th percentile |\n" in of_flat
    assert "no intervals, which take 5 faces, as people are not known: here are 4" in of_flat
    assert "PSNR" in of_flat
    assert "accuracy" not in of_flat
    assert "Problem  the network was trained on 3 of the people measured here" in of_copied
    assert "pairs could be drawn" in of_copied
    assert "12 probes" not in of_native
    assert "16 probes of 4 people, 12 to 14 pixels high" in of_native
    assert "* no lpips, which compares with HR faces" in of_native
    assert "* of pictures of more than 14x14 pixels, the middle of that size" in of_native
    assert re.search(r"\| native \| [0-9.]+ (~|->) [0-9.]+", of_native)
    assert "| as it is | " in of_native
    assert "PSNR" not in of_native
    for one in ({"PROBE_DIR": str(small)}, {"GALLERY_DIR": str(small)}):
        told = continued.run("evaluate.py", **one)
        assert_one_line(told, "evaluate.py: PROBE_DIR and GALLERY_DIR", "evaluate.py")
    message = "the faces that the training held out were in /gone, which is not here"
    assert_one_line(continued.run("evaluate.py"), message, "evaluate.py")
    (continued.output / "people.json").unlink()
    code, out, err = continued.run("evaluate.py", FACES_DIR=str(copied), **common)
    assert code == 0, err
    assert "it cannot be told whether the network was trained on people" in out


def test_a_missing_network_ends_the_script_with_one_line(continued):
    told = continued.run("evaluate.py", RUN_DIR="nowhere")
    assert_one_line(told, "RUN_DIR: there is no trained network in nowhere", "evaluate.py")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIZES", (16, 16)),
        ("FACE_BOX", (20, 26, 108, 115)),
        ("FACE_BOX", (0.85, 0.2, 0.15, 0.9)),
        ("RUN_DIR", None),
        ("PAIRS", ["pairs.csv"]),
        ("GROUP_COLUMNS", (1,)),
        ("UNSEEN_RECOGNISERS", "dlib"),
        ("LANDMARKS", "LR"),
        ("FLIP", "no"),
        ("QUALITY", ("niqe",)),
    ],
)
def test_constants_that_cannot_work_are_named(monkeypatch, name, value):
    monkeypatch.setattr(evaluate, name, value)
    with pytest.raises(Mistake, match=f"{name} must be .*, not {re.escape(repr(value))}"):
        evaluate.check_constants(vars(evaluate), evaluate.RULES)
