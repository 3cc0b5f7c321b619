import csv
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from project import SAMPLES, assert_one_line

import evaluate
from errors import Mistake
from evaluation import dlib_recogniser, measuring, report
from facenet import EMBEDDED_WEIGHTS
from imaging.lists import find_faces, fingerprint, hold_out_identities

with_dlib = pytest.mark.skipif(
    not dlib_recogniser.is_installed(),
    reason="the optional dlib-bin and face-recognition-models are not installed",
)


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


def test_the_table_of_the_training_is_repeated(continued):
    # The same faces, network and recogniser: PSNR, similarity and rank-1 as `train.py` printed.
    pairs = continued.folder / "pairs.csv"
    held_out = sorted((continued.faces / "n000004").iterdir())
    a, b, c, d = (f"n000004/{path.name}" for path in held_out)
    lines = ["fold,image_a,image_b,same"]
    for fold in range(2):
        lines += [f"{fold},{a},{b},1", f"{fold},{c},{d},0"]
        b, c = c, b
    pairs.write_text("\n".join(lines))
    options = {"PAIRS": str(pairs), "UNSEEN_RECOGNISER": None}
    code, out, err = continued.run("evaluate.py", **options)
    assert code == 0, err
    assert "trained on" not in out
    results = {(row["low_resolution"], row["method"]): row for row in read_results(continued)}
    report = (continued.output / "report.md").read_text().splitlines()
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in report[4:]]
    assert [size for size, *_ in table] == ["7x6", "16x12"]
    for size, *cells in table:
        for cell, key in zip(cells, ("psnr", "ssim", "similarity", "rank1"), strict=True):
            for number, method in zip(cell.split(" -> "), ("bicubic", "SR"), strict=True):
                digits = len(number.partition(".")[2])
                assert f"{float(results[size, method][key]):.{digits}f}" == number


# Evaluates again and again in one process, which starts only once, and prints what was raised.
EVALUATE_EACH = """
import json
import sys

import evaluate

errors = (evaluate.Mistake, evaluate.Mistake)
defaults = dict(vars(evaluate))
for options in json.loads(sys.argv[1]):
    vars(evaluate).update(defaults | options)
    try:
        evaluate.main()
        print("raised: null")
    except errors as error:
        print("raised:", json.dumps(str(error)))
"""

MISTAKES = {
    "missing.csv": {"PAIRS": "missing.csv"},
    "all 4 faces are of one identity": {},
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
        evaluate.check_constants()


def test_the_newest_finished_network_of_a_folder_is_taken(tmp_path):
    for i, name in enumerate(("a/model.keras", "b/model.keras", "c/checkpoints/best.keras")):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.touch()
        (tmp_path / name[0] / "config.json").write_text(f'{{"constants": {i}, "recipe": {{}}}}')
    for name in ("a/model.keras", "c/checkpoints/best.keras"):
        os.utime(tmp_path / name, (2e9, 2e9))
    found = evaluate.find_network(tmp_path)
    assert found == (tmp_path / "a", tmp_path / "a/model.keras", 0, {})
    assert evaluate.find_network(tmp_path / "c")[1] == tmp_path / "c/checkpoints/best.keras"
    shutil.rmtree(tmp_path / "a")
    assert evaluate.find_network(tmp_path)[0] == tmp_path / "b"
    for damaged in ('{"constants":', "[]"):
        (tmp_path / "b" / "config.json").write_text(damaged)
        with pytest.raises(Mistake, match=r"b.config\.json is missing or damaged"):
            evaluate.find_network(tmp_path)
    (tmp_path / "b" / "config.json").unlink()
    with pytest.raises(Mistake, match="missing or damaged"):
        evaluate.find_network(tmp_path)
    with pytest.raises(Mistake, match=r"RUN_DIR: .*no trained network in .*nowhere"):
        evaluate.find_network(tmp_path / "nowhere")


def test_faces_that_may_have_been_trained_on_are_refused(face_folder):
    trained, held_out = hold_out_identities(find_faces(face_folder), 2)
    constants = {"TRAIN_DIR": face_folder, "VALIDATION_DIR": None, "HELD_OUT_IDENTITIES": 2}
    recipe = {"training faces": fingerprint(trained)}
    assert evaluate.choose_pairs(constants, recipe)[1] == sorted(held_out)
    shutil.copytree(face_folder / "n000001", face_folder / "n000009")
    with pytest.raises(Mistake, match="not what it was when the network was trained"):
        evaluate.choose_pairs(constants, recipe)


def test_another_facenet_than_that_of_the_loss_is_refused(facenet, monkeypatch):
    monkeypatch.setattr(evaluate, "UNSEEN_RECOGNISER", None)
    constants = {"FACENET_WEIGHTS": EMBEDDED_WEIGHTS}
    with pytest.raises(Mistake, match="is another FaceNet than the one in the loss"):
        evaluate.choose_recognisers(constants, {"FaceNet": "0123456789abcdef"})
    for place in (EMBEDDED_WEIGHTS, f"/before/it/was/moved/{EMBEDDED_WEIGHTS.name}"):
        constants = {"FACENET_WEIGHTS": str(place)}
        first = evaluate.choose_recognisers(constants, {"FaceNet": facenet.fingerprint})[0]
        assert first.name == "FaceNet of the loss"
    monkeypatch.setattr(evaluate, "UNSEEN_RECOGNISER", "missing.h5")
    with pytest.raises(Mistake, match=r"UNSEEN_RECOGNISER: .*missing\.h5"):
        evaluate.choose_recognisers(constants, {"FaceNet": facenet.fingerprint})


def test_measures_by_hand():
    pixels = np.full((3, 32, 32, 3), 100, np.uint8)
    pixels[1] = 200
    # Embeds a face by its mean colour and a constant.
    recogniser = measuring.Recogniser(
        "mean", lambda faces: np.stack([faces.mean((1, 2, 3)), np.ones(len(faces))], 1), True
    )
    size = (8, 8)
    warmer = np.array([10.0, 0.0, -5.0], np.float32) / 127.5
    versions = measuring.measure(pixels, [size], lambda lr: lr + warmer, [recogniser], True)
    bicubic, sr, hr = versions[size, "bicubic"], versions[size, "SR"], versions["HR"]
    np.testing.assert_allclose(np.mean(bicubic.shift, 0), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.mean(sr.shift, 0), [10, 0, -5], atol=1e-3)
    # 125 / 3 levels of squared error.
    np.testing.assert_allclose(sr.psnr, 10 * np.log10(255**2 / (125 / 3)), atol=1e-3)
    embeddings = hr.embeddings["mean"]
    np.testing.assert_allclose(embeddings[:, 0] * 127.5, [-100 / 3, 200 / 3, -100 / 3], atol=1e-3)
    np.testing.assert_allclose(embeddings[:, 1], 0.0)
    # The gallery's faces are HR, the probes lie 5/3 levels higher: the signs stay, the cosines 1.
    first, second = np.array([0, 0]), np.array([2, 1])
    scores = measuring.pair_scores(versions, (size, "SR"), "mean", "HR-LR", first, second)
    np.testing.assert_allclose(scores, [1.0, -1.0], atol=1e-6)


def test_hr_lr_pairs_take_the_first_face_from_the_gallery():
    versions = {
        "HR": measuring.Version(embeddings={"r": np.array([[1.0, 0.0], [0.0, 1.0]])}),
        "probe": measuring.Version(embeddings={"r": np.array([[0.0, 1.0], [0.0, 2.0]])}),
    }
    pair = np.array([0]), np.array([1])
    assert measuring.pair_scores(versions, "probe", "r", "HR-LR", *pair) == pytest.approx([0.0])
    assert measuring.pair_scores(versions, "probe", "r", "LR-LR", *pair) == pytest.approx([1.0])


def table_rows(hr_embeddings, probes, identities):
    versions = {
        "HR": measuring.Version(embeddings={"r": np.array(hr_embeddings)}),
        ((8, 8), "SR"): measuring.Version([20.0], [0.5], [np.zeros(3)], {"r": np.array(probes)}),
    }
    pairs = np.arange(4), (np.arange(4) + 1) % 4, np.array([True, False] * 2), np.arange(4) // 2
    return measuring.table_rows(versions, [measuring.Recogniser("r", None)], identities, *pairs)


def test_similarity_is_given_as_mean_and_5th_percentile():
    # 21 probes whose cosines with their HR faces are 0, 0.05, ... 1.
    cosines = np.arange(21) / 20
    probes = np.stack([cosines, np.sqrt(1 - cosines**2)], 1)
    rows = table_rows([[1.0, 0.0]] * 21, probes, np.arange(21) % 3)
    assert [row["similarity"] for row in rows] == pytest.approx([1.0, 0.5])
    assert [row["similarity_p5"] for row in rows] == pytest.approx([1.0, 0.05])


def test_probes_are_identified_in_the_hr_gallery():
    # The second face of person 0 looks like person 1. The other way round all were right.
    hr_embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    probes = [[1.0, 0.0], [0.0, 1.0], [-0.1, 1.0], [-0.1, 1.0]]
    rows = table_rows(hr_embeddings, probes, np.array([0, 0, 1, 1]))
    assert [row["rank1"] for row in rows] == [100.0, 75.0]


def test_the_worst_pairs_are_those_that_only_sr_spoils(tmp_path):
    same = np.array([True, False] * 4)
    folds = np.repeat([0, 1], 4)
    right = np.where(same, 0.9, 0.1)
    spoilt = right.copy()
    spoilt[4], spoilt[6] = 0.2, 0.05  # both genuine, refused
    sizes = [(7, 6), (16, 16)]
    scores = {
        ((7, 6), "bicubic"): right,
        ((7, 6), "SR"): spoilt,
        ((16, 16), "bicubic"): spoilt,
        ((16, 16), "SR"): spoilt,
    }
    cases = report.find_worst(scores, same, folds, sizes)
    assert [(case.pair, case.size) for case in cases] == [(6, (7, 6)), (4, (7, 6))]
    assert cases[0].same
    assert cases[0].sr == (0.05, 0.9)
    picture = np.zeros((8, 8, 3), np.uint8)
    report.draw_worst(tmp_path / "worst.png", [(cases[0], (picture,) * 4)], "r")
    assert (tmp_path / "worst.png").stat().st_size > 1000


def test_the_middle_of_wide_pictures_can_be_cut_out(monkeypatch):
    monkeypatch.setattr(evaluate, "CENTRAL_CROP", 96)
    path = SAMPLES / "n000001" / "0001_01.jpg"
    pixels, _, _ = evaluate.load_pixels([path], 96)
    np.testing.assert_array_equal(pixels[0], evaluate.read_pixels(path)[48:144, 48:144])


@with_dlib
def test_dlib_tells_people_apart(sample_faces):
    faces, identities = sample_faces
    pixels = np.uint8((faces + 1) * 127.5)
    embeddings = dlib_recogniser.describe(pixels, evaluate.FACE_BOX)
    embeddings -= embeddings.mean(0)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = embeddings @ embeddings.T
    same = identities[:, None] == identities[None]
    assert similarity[same].mean() > similarity[~same].mean() + 0.4
