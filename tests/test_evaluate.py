import csv
import json
import re
import shutil
import subprocess
import sys

import pytest
from project import assert_one_line

import evaluate
from errors import Mistake


def read_results(project):
    with open(project.output / "evaluation" / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_finished_training_is_measured_beside_bicubic_and_hr(continued):
    # Of the 17 pictures one is broken.
    options = {"FACES_DIR": str(continued.faces), "FACES": 17, "UNSEEN_RECOGNISER": None}
    code, out, err = continued.run("evaluate.py", **options)
    assert code == 0, err
    assert "Problem  " in out
    assert "0009_01.jpg" in out
    assert "16 faces of 4 people, " in out
    folder = continued.output / "evaluation"
    text = (folder / "results.md").read_text()
    assert text in out
    assert "0009_01.jpg" in text
    assert "the network was trained on 3 of the people measured here" in text
    config = json.loads((folder / "config.json").read_text())
    assert config["constants"]["FACES_DIR"] == str(continued.faces)
    assert config["constants"]["network"] == "output/model.keras"
    for name in ("verification.png", "roc.png"):
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


# Evaluates again and again in one process, which starts only once, and prints what was raised.
EVALUATE_EACH = """
import json
import sys

import evaluate
from errors import Mistake

defaults = dict(vars(evaluate))
for options in json.loads(sys.argv[1]):
    vars(evaluate).update(defaults | options)
    try:
        evaluate.main()
        print("raised: null")
    except Mistake as error:
        print("raised:", json.dumps(str(error)))
"""

MISTAKES = {
    "missing.csv": {"PAIRS": "missing.csv"},
    "none of 3 faces could be read": {"PAIRS": "absent.csv"},
    "not of both kinds": {"PAIRS": "one_kind.csv"},
    "outside fold 0 the pairs are not of both kinds": {"PAIRS": "one_fold.csv"},
    "SIZES must be below the faces' 128x128": {"SIZES": ((16, 16), (128, 128))},
}


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
    (continued.folder / "each.py").write_text(EVALUATE_EACH)
    process = subprocess.run(
        [sys.executable, "each.py", json.dumps(list(MISTAKES.values()))],
        cwd=continued.folder,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    raised = re.findall(r"^raised: (.*)$", process.stdout, re.MULTILINE)
    for message, error in zip(MISTAKES, map(json.loads, raised), strict=True):
        assert message in error
        assert "\n" not in error


def test_faces_without_people_and_faces_that_are_not_here(continued, tmp_path):
    # One flat folder; the training's own people in a copy; the same without the run's list of them.
    flat, copied = tmp_path / "flat", tmp_path / "copied"
    shutil.copytree(continued.faces / "n000002", flat)
    for i, person in enumerate(sorted(continued.faces.iterdir())):
        shutil.copytree(person, copied / f"person {i}")
    (continued.folder / "each.py").write_text(EVALUATE_EACH)
    config = json.loads((continued.output / "config.json").read_text())
    config["constants"]["TRAIN_DIR"] = "/gone"
    (continued.output / "config.json").write_text(json.dumps(config))
    options = [
        {"FACES_DIR": str(flat), "SIZES": [(16, 12)], "UNSEEN_RECOGNISER": None},
        {"FACES_DIR": str(copied), "SIZES": [(16, 12)], "UNSEEN_RECOGNISER": None},
        {},
    ]
    outs = []
    for chosen in (options, options[1:2]):
        process = subprocess.run(
            [sys.executable, "each.py", json.dumps(chosen)],
            cwd=continued.folder,
            capture_output=True,
            text=True,
        )
        assert process.returncode == 0, process.stderr
        outs.append(process.stdout)
        (continued.output / "people.json").unlink(missing_ok=True)
    of_flat, of_copied, *_ = re.split(r"^raised: ", outs[0], flags=re.MULTILINE)
    assert "Problem  no verification: all 4 faces are of one identity" in of_flat
    assert "| low resolution | similarity | 5th percentile |\n" in of_flat
    assert "PSNR" in of_flat
    assert "accuracy" not in of_flat
    assert "Problem  the network was trained on 3 of the people measured here" in of_copied
    assert "pairs could be drawn" in of_copied
    assert "the faces that the training held out were in /gone, which is not here" in outs[0]
    assert "it cannot be told whether the network was trained on people" in outs[1]


def test_a_missing_network_ends_the_script_with_one_line(continued):
    message = "RUN_DIR: there is no trained network in nowhere"
    assert_one_line(continued, message, "evaluate.py", RUN_DIR="nowhere")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIZES", (16, 16)),
        ("FACE_BOX", (20, 26, 108, 115)),
        ("FACE_BOX", (0.85, 0.2, 0.15, 0.9)),
        ("RUN_DIR", None),
        ("PAIRS", ["pairs.csv"]),
        ("GROUP_COLUMNS", (1,)),
    ],
)
def test_constants_that_cannot_work_are_named(monkeypatch, name, value):
    monkeypatch.setattr(evaluate, name, value)
    with pytest.raises(Mistake, match=f"{name} must be .*, not {re.escape(repr(value))}"):
        evaluate.check_constants(vars(evaluate), evaluate.RULES)
