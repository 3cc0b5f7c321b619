import importlib.util
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image
from preparing import (
    constants_of,
    files_of,
    noise,
    rows_of,
    run_script,
    save,
    through_jpeg,
    write_table,
)
from project import ROOT, SAMPLES

import prepare
from errors import Mistake
from files import locked

NEEDS_MTCNN = pytest.mark.skipif(
    importlib.util.find_spec("mtcnn") is None, reason="the optional mtcnn is not installed"
)
LANDMARKS = [(30.5, 40.25), (62.0, 41.0), (46.0, 55.0), (33.0, 70.0), (60.0, 71.5)]
# Picture (height, width) and box (left, top, width, height) by name.
BOXES = {
    "n000002/0001_01": ((120, 100), (20, 30, 50, 60)),
    "n000002/0002_01": ((100, 150), (-14, -20, 60, 70)),  # beyond the left and the upper border
    "n000002/0003_01": ((90, 90), (40, 35, 70, 65)),  # beyond the right and the lower one
    "n000002/0004_01": ((300, 280), (31, 22, 211, 190)),  # reduced
    "n000003/0001_02": ((80, 80), (10, 10, 45, 41)),
    "Zoë Müller/00 1_01": ((80, 90), (12, 11, 44, 43)),
}


@pytest.fixture
def constants(monkeypatch, tmp_path):
    return constants_of(monkeypatch, tmp_path / "crops")


@pytest.fixture
def vggface2_tree(tmp_path):
    """A folder laid out as VGGFace2 is shipped, with what can be wrong with it."""
    source = tmp_path / "VGGFace2"
    for seed, (name, (shape, _)) in enumerate(BOXES.items()):
        save(source / "train" / f"{name}.jpg", noise(shape, seed))
    rows = [(name, box) for name, (_, box) in BOXES.items()]
    for name, box in {
        "n000003/tiny": (5, 5, 4, 6),
        "n000003/empty": (5, 5, 0, 30),
        "n000003/outside": (200, 5, 30, 30),
        "n000003/huge": (-900, -900, 2000, 2000),
        "n000003/broken": (5, 5, 30, 30),
        "n000003/gone": (5, 5, 30, 30),
    }.items():
        if not name.endswith("gone"):
            save(source / "train" / f"{name}.jpg", noise((64, 64), 9))
        rows.append((name, box))
    (source / "train/n000003/broken.jpg").write_bytes(b"broken")
    save(source / "train/n000003/unlisted.jpg", noise((64, 64), 9))
    save(source / "test/n000001/0001_01.jpg", noise((96, 96), 10))
    points = [number for point in LANDMARKS for number in point]
    header = "NAME_ID," + ",".join(f"P{i}{axis}" for i in range(1, 6) for axis in "XY")
    for part, part_rows in (("train", rows), ("test", [("n000001/0001_01", (10, 10, 60, 70))])):
        folder = source / "bb_landmark"
        write_table(folder / f"loose_bb_{part}.csv", "NAME_ID,X,Y,W,H", part_rows)
        with_points = [(name, points) for name, _ in part_rows if name != "n000003/0001_02"]
        write_table(folder / f"loose_landmark_{part}.csv", header, with_points)
    (source / "meta").mkdir()
    meta = 'Class_ID, Name, Sample_Num, Flag, Gender\nn000001, "Ann_O\'Neil", 1, 0, f\n'
    meta += 'n000002, "José_Pérez", 4, 1, m\nn000003, "Max", 1, 1, m\n'
    (source / "meta/identity_meta.csv").write_text(meta, encoding="utf-8")
    return source


def expected_crop(pixels, box, margin, size):
    """The crop worked out another way: pad the whole picture, then slice."""
    left, top, width, height = box
    side = round(max(width, height) * (1 + margin))
    border = 2 * side
    padded = np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="edge")
    first_row = border + round(top + (height - side) / 2)
    first_column = border + round(left + (width - side) / 2)
    square = padded[first_row : first_row + side, first_column : first_column + side]
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=method)


# --- With the boxes of VGGFace2 ---


def test_vggface2_becomes_the_crops_of_its_boxes(vggface2_tree, constants, tmp_path, capsys):
    before = files_of(vggface2_tree)
    constants(SOURCE_DIR=vggface2_tree)
    prepare.main()
    assert files_of(vggface2_tree) == before
    rows, output = rows_of(tmp_path / "crops"), tmp_path / "crops"
    boxes = {f"train/{name}.jpg": box for name, (_, box) in BOXES.items()}
    boxes["test/n000001/0001_01.jpg"] = (10, 10, 60, 70)
    for name, box in boxes.items():
        with Image.open(vggface2_tree / name) as image:
            expected = expected_crop(np.asarray(image), box, 0.3, 160)
        with Image.open(output / name) as image:
            np.testing.assert_array_equal(np.asarray(image), through_jpeg(expected), err_msg=name)
        row = rows[name]
        assert tuple(float(row[key]) for key in ("left", "top", "width", "height")) == box
        assert (row["crop"], row["detector"], row["margin"]) == (name, "VGGFace2", "0.3")
        assert row["reason"] == ""
        if "0001_02" not in name:
            assert (float(row["landmark1_x"]), float(row["landmark5_y"])) == (30.5, 71.5)
    reasons = {
        "tiny": "face smaller than 20 pixels",
        "empty": "the box has no area: 0x30",
        "outside": "the box lies outside of the picture",
        "huge": "the box is far larger than the picture",
        "unlisted": "no box in the tables",
    }
    for name, reason in reasons.items():
        row = rows[f"train/n000003/{name}.jpg"]
        assert (row["reason"], row["crop"]) == (reason, "")
    assert rows["train/n000003/broken.jpg"]["reason"].startswith("unreadable: cannot identify")
    crops = {p.relative_to(output).as_posix() for p in output.rglob("*.jpg")}
    assert crops == boxes.keys()
    assert len(rows) == len(boxes) + 6
    assert "7 of 13 pictures became crops\n1 left out: face smaller" in capsys.readouterr().out
    assert "1 left out: unreadable\n" in (output / "summary.txt").read_text()


def test_other_margins_and_sizes(vggface2_tree, constants, tmp_path):
    constants(SOURCE_DIR=vggface2_tree, MARGIN=0, SIZE=48)
    prepare.main()
    for name, (_, box) in BOXES.items():
        pixels = np.asarray(Image.open(vggface2_tree / "train" / f"{name}.jpg"))
        crop = np.asarray(Image.open(tmp_path / "crops" / "train" / f"{name}.jpg"))
        np.testing.assert_array_equal(crop, through_jpeg(expected_crop(pixels, box, 0, 48)))


def test_identities_are_excluded_by_folder_and_by_name(vggface2_tree, constants, tmp_path, capsys):
    text = "\ufeff# people of LFW\r\n\r\njosé pérez\r\nAnn_O'Neil\r\nNobody\r\n"
    (tmp_path / "names.txt").write_bytes(text.encode())
    (tmp_path / "folders.txt").write_text("n000003\n")
    files = (tmp_path / "names.txt", tmp_path / "folders.txt")
    constants(SOURCE_DIR=vggface2_tree, EXCLUDE=files)
    prepare.main()
    assert {name.split("/")[1] for name in rows_of(tmp_path / "crops")} == {"Zoë Müller"}
    assert "names.txt: 2 of 3 lines are names" in capsys.readouterr().out


def test_train_and_test_share_no_identity(vggface2_tree, constants, tmp_path):
    save(vggface2_tree / "test/n000002/0001_01.jpg", noise((96, 96), 1))
    constants(SOURCE_DIR=vggface2_tree)
    with pytest.raises(Mistake, match="1 identities are in train and in test.*n000002"):
        prepare.main()
    (tmp_path / "both.txt").write_text("n000002\n")
    constants(SOURCE_DIR=vggface2_tree, EXCLUDE=[tmp_path / "both.txt"])
    prepare.main()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"NAME_ID,X,Y,W\na/1,1,2,3\n", "expected the columns NAME_ID, X, Y, W, H"),
        (b"", "expected the columns NAME_ID"),
        (b"NAME_ID,X,Y,W,H\na/1,1,2,3\n", "line 2: expected"),
        (b"NAME_ID,X,Y,W,H\n\na/1,1,2,3,nan\n", "line 3: expected"),
        (b"NAME_ID,X,Y,W,H\na/1,1,2,3,4\na/1,1,2,3,4\n", "line 3: a second row for a/1"),
        (b"NAME_ID,X,Y,W,H\n\xff/1,1,2,3,\xff\n", "line 2: expected"),
    ],
)
def test_damaged_tables_are_named(vggface2_tree, constants, table, message):
    (vggface2_tree / "bb_landmark/loose_bb_test.csv").write_bytes(table)
    constants(SOURCE_DIR=vggface2_tree)
    with pytest.raises(Mistake, match=f"loose_bb_test.csv.*{message}"):
        prepare.main()


# --- Alignment ---


def test_faces_without_landmarks_are_not_aligned(vggface2_tree, constants, tmp_path):
    constants(SOURCE_DIR=vggface2_tree, ALIGN=True)
    prepare.main()
    rows = rows_of(tmp_path / "crops")
    assert rows["train/n000003/0001_02.jpg"]["reason"] == "no landmarks in the tables"
    assert rows["train/n000002/0001_01.jpg"]["reason"] == ""


# --- Folders that are cropped already ---


def test_cropped_folders_are_only_resized(constants, tmp_path):
    source, output = tmp_path / "faces", tmp_path / "crops"
    wide = noise((64, 96), 0)
    save(source / "a/b/1.png", wide)
    save(source / "a/b/1.png.jpg", wide[:, ::-1])
    save(source / "a/b/2.JPG", wide)
    constants(SOURCE_DIR=source, FACES="cropped", SIZE=32)
    prepare.main()
    names = {name: row["crop"] for name, row in rows_of(output).items()}
    assert names == {
        "a/b/1.png": "a/b/1.png.jpg.jpg",
        "a/b/1.png.jpg": "a/b/1.png.jpg",
        "a/b/2.JPG": "a/b/2.JPG.jpg",
    }
    expected = cv2.resize(wide[:, 16:80], (32, 32), interpolation=cv2.INTER_AREA)
    crop = np.asarray(Image.open(output / "a/b/1.png.jpg.jpg"))
    np.testing.assert_array_equal(crop, through_jpeg(expected))


# --- Mistakes ---


@pytest.mark.parametrize("place", [".", "inside", ".."])
def test_the_source_is_never_written_to(face_folder, constants, place):
    before = files_of(face_folder.parent)
    constants(SOURCE_DIR=face_folder, OUTPUT_DIR=face_folder / place, FACES="cropped")
    with pytest.raises(Mistake, match="must not lie in each other"):
        prepare.main()
    assert files_of(face_folder.parent) == before


def test_mistakes_are_named(face_folder, constants, tmp_path):
    for name, value, message in (
        ("FACES", "boxes", "FACES must be one of 'vggface2', 'detect', 'cropped'"),
        ("MARGIN", -1, "MARGIN must be a number from 0"),
        ("SIZE", 0, "SIZE must be"),
        ("JPEG_QUALITY", 101, "JPEG_QUALITY must be"),
        ("PROCESSES", 0, "PROCESSES must be"),
        ("SOURCE_DIR", None, "SOURCE_DIR must be a path"),
        ("EXCLUDE", "names.txt", "EXCLUDE must be a tuple"),
        ("ALIGN", True, "ALIGN must be False if FACES"),
    ):
        constants(**{"SOURCE_DIR": face_folder, "FACES": "cropped", name: value})
        with pytest.raises(Mistake, match=message):
            prepare.main()
        constants(ALIGN=False, MARGIN=0.3, SIZE=160, JPEG_QUALITY=95, EXCLUDE=())
    constants(SOURCE_DIR=face_folder, FACES="vggface2")
    with pytest.raises(Mistake, match="holds no train or test with bb_landmark"):
        prepare.main()
    constants(SOURCE_DIR=face_folder, FACES="cropped", EXCLUDE=[tmp_path / "none.txt"])
    with pytest.raises(Mistake, match="none.txt"):
        prepare.main()
    constants(SOURCE_DIR=tmp_path / "nowhere", EXCLUDE=())
    with pytest.raises(Mistake, match="no folder .*nowhere"):
        prepare.main()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").touch()
    constants(SOURCE_DIR=face_folder, OUTPUT_DIR=tmp_path / "full", FACES="cropped")
    with pytest.raises(Mistake, match="holds something else"):
        prepare.main()


def test_as_a_script_a_mistake_is_one_line(tmp_path):
    command = [sys.executable, ROOT / "prepare.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "prepare.py: there is no folder VGGFace2\n")


def test_a_second_run_in_one_folder_is_refused_by_name(face_folder, constants, tmp_path):
    constants(SOURCE_DIR=face_folder, FACES="cropped")
    message = "OUTPUT_DIR .*crops is being written to by another run"
    with locked(tmp_path / "crops"), pytest.raises(Mistake, match=message):
        prepare.main()
    assert list((tmp_path / "crops").iterdir()) == []
    prepare.main()


def test_a_tilde_is_the_home_folder(face_folder, constants, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some.txt").write_text("n000001\n")
    values = {"SOURCE_DIR": "~/faces", "OUTPUT_DIR": "~/done", "EXCLUDE": ("~/some.txt",)}
    constants(**values, FACES="cropped")
    prepare.main()
    assert len(rows_of(tmp_path / "done")) == 12
    assert not (tmp_path / "~").exists()


def test_names_that_are_no_text_are_prepared_and_printed(tmp_path):
    source = tmp_path / os.fsdecode(b"caf\xe9")
    save(source / "a" / os.fsdecode(b"\xff\n.jpg"), noise((40, 40), 0))
    (source / "a" / os.fsdecode(b"2.\xff")).touch()
    process = run_script(source, tmp_path / "crops")
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert f"Passed over in {tmp_path}/caf\\xe9, as no pictures: 1 .\\xff\n" in out
    assert [os.fsencode(p.name) for p in (tmp_path / "crops/a").iterdir()] == [b"\xff\n.jpg"]


# --- Without boxes ---


@NEEDS_MTCNN
def test_faces_are_found_in_larger_pictures(constants, tmp_path):
    source = tmp_path / "photographs"
    places = {"n000041": (300, 40), "n000042": (10, 200), "n000043": (150, 120)}
    for identity, (left, top) in places.items():
        photograph = Image.new("RGB", (600, 420), (110, 120, 130))
        with Image.open(SAMPLES / identity / "0003_01.jpg") as face:
            photograph.paste(face, (left, top))
        (source / identity).mkdir(parents=True)
        photograph.save(source / identity / "1.jpg", quality=95)
    save(source / "n000041" / "empty.jpg", np.full((50, 70, 3), 90, np.uint8))
    (source / "n000041/broken.jpg").write_bytes(b"broken")
    constants(SOURCE_DIR=source, FACES="detect")
    prepare.main()
    rows = rows_of(tmp_path / "crops")
    for identity, (left, top) in places.items():
        row = {key: value for key, value in rows[f"{identity}/1.jpg"].items() if value}
        assert row["detector"] == "mtcnn"
        middle = [float(row["left"]) + float(row["width"]) / 2 - left - 96]
        middle.append(float(row["top"]) + float(row["height"]) / 2 - top - 96 * 1.1)
        assert np.abs(middle).max() < 20
        assert 110 < float(row["height"]) < 200
        assert left < float(row["landmark1_x"]) < float(row["landmark2_x"]) < left + 192
    assert rows["n000041/empty.jpg"]["reason"] == "no face found"
    assert rows["n000041/broken.jpg"]["reason"].startswith("unreadable")


DETECT_AND_LOOK = """
import atexit
def look():
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(3)  # refused once devices are taken
    print("not taken")
atexit.register(look)
prepare.FACES = "detect"
"""


@NEEDS_MTCNN
def test_the_first_process_leaves_gpus_alone(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "broken.jpg").write_bytes(b"broken")
    process = run_script(tmp_path / "faces", tmp_path / "crops", DETECT_AND_LOOK)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "1 left out: unreadable\nnot taken" in out
