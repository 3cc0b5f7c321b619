import csv
import importlib.util
import io
import os
import random
import shutil
import subprocess
import sys
import time
import unicodedata

import cv2
import numpy as np
import pytest
from PIL import Image
from processes import children, is_running, wait_until
from project import ROOT, SAMPLES

import prepare
from errors import Mistake
from imaging import cropping
from imaging.cropping import CropError
from preparation import vggface2

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


def noise(shape, seed):
    """A picture whose every square is different, smooth enough for JPEG."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (shape[0] // 8, shape[1] // 8, 3), dtype=np.uint8)
    return cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def write_table(path, header, rows):
    path.parent.mkdir(exist_ok=True)
    lines = [header] + [f'"{name}",' + ",".join(map(str, numbers)) for name, numbers in rows]
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode())


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


@pytest.fixture
def constants(monkeypatch, tmp_path):
    """Sets constants of prepare.py for one test; one process, crops in `crops`."""

    def set_constants(**values):
        for name, value in {"OUTPUT_DIR": tmp_path / "crops", "PROCESSES": 1, **values}.items():
            monkeypatch.setattr(prepare, name, value)

    return set_constants


def rows_of(output):
    with open(output / "manifest.csv", encoding="utf-8", newline="") as file:
        return {row["source"]: row for row in csv.DictReader(file)}


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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


def through_jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return np.asarray(Image.open(file))


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


def test_decomposed_file_names_find_their_row(tmp_path):
    write_table(tmp_path / "t.csv", "NAME_ID,X,Y,W,H", [("Zoë/1", (1, 2, 3, 4))])
    table = vggface2.Table(tmp_path / "t.csv", vggface2.BOX_COLUMNS)
    for form in ("NFC", "NFD"):
        assert table.find(unicodedata.normalize(form, "Zoë/1").encode()) == [1, 2, 3, 4]
    assert table.find(b"Zoe/1") is None


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
    with pytest.raises(vggface2.Mistake, match=f"loose_bb_test.csv.*{message}"):
        prepare.main()


# --- Alignment ---


def test_a_turned_face_comes_to_lie_on_the_template():
    angle, scale, size = np.radians(25), 1.7, 100
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = cropping.TEMPLATE @ (90 * turn).T + (150, 80)
    pixels = np.zeros((400, 400, 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(pixels, (round(x), round(y)), 6, (255, 255, 255), -1)
    box = (*landmarks.min(0), *np.ptp(landmarks, axis=0))
    crop = cropping.crop(pixels, box, 0.3, size, landmarks)
    for x, y in (0.5 + (cropping.TEMPLATE - 0.5) / 1.3) * size:
        around = crop[round(y) - 7 : round(y) + 7, round(x) - 7 : round(x) + 7, 0].astype(float)
        rows, columns = np.mgrid[round(y) - 7 : round(y) + 7, round(x) - 7 : round(x) + 7] + 0.5
        middle = np.array([(around * columns).sum(), (around * rows).sum()]) / around.sum()
        np.testing.assert_allclose(middle, (x, y), atol=0.75)
    assert crop.shape == (size, size, 3)


def test_the_identity_alignment_is_the_plain_crop():
    pixels = noise((200, 200), 3)
    box = (50, 60, 80, 80)  # squared with this margin: 40 to 140, 50 to 150
    landmarks = cropping.TEMPLATE * 80 + (50, 60)
    plain = cropping.crop(pixels, box, 0.25, 100)
    np.testing.assert_array_equal(cropping.crop(pixels, box, 0.25, 100, landmarks), plain)
    halved = cropping.crop(pixels, box, 0.25, 50, landmarks).astype(int)
    assert np.abs(halved - cropping.crop(pixels, box, 0.25, 50)).max() <= 1


def test_faces_without_landmarks_are_not_aligned(vggface2_tree, constants, tmp_path):
    constants(SOURCE_DIR=vggface2_tree, ALIGN=True)
    prepare.main()
    rows = rows_of(tmp_path / "crops")
    assert rows["train/n000003/0001_02.jpg"]["reason"] == "no landmarks in the tables"
    assert rows["train/n000002/0001_01.jpg"]["reason"] == ""
    with pytest.raises(CropError, match="all one point"):
        cropping.similarity(np.ones((5, 2)), cropping.TEMPLATE)


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


# --- Going on ---


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A source of 1,200 pictures and what an uninterrupted run makes of it."""
    folder = tmp_path_factory.mktemp("many")
    pixels = [noise((96, 80), seed) for seed in range(4)]
    for i in range(1200):
        save(folder / "source" / f"{i // 100:02}" / f"{i:04}.jpg", pixels[i % 4])
    (folder / "source/03/0319.jpg").write_bytes(b"broken")
    run_script(folder / "source", folder / "crops").wait()
    assert len(rows_of(folder / "crops")) == 1200
    return folder


def run_script(source, output, setup=""):
    values = {"SOURCE_DIR": str(source), "OUTPUT_DIR": str(output), "FACES": "cropped"}
    code = f"import prepare\nvars(prepare).update({values!r}, PROCESSES=2)\n{setup}\nprepare.main()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_after_kill_9_the_result_is_that_of_an_uninterrupted_run(many, tmp_path):
    output, source = tmp_path / "crops", many / "source"
    manifest, whole = output / "manifest_unfinished.csv", files_of(many / "crops")
    chance, kills = random.Random(0), 0
    while not (output / "manifest.csv").exists():
        process = run_script(source, output)
        before = manifest.stat().st_size if manifest.exists() else 0
        # Some time before or after the first part of this run is done.
        while process.poll() is None and not (
            manifest.exists() and manifest.stat().st_size > before
        ):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.15) if kills % 2 else 0.0)
        kills += process.poll() is None
        process.kill()
        process.wait()
        for path in output.rglob("*.jpg"):
            assert path.read_bytes() == whole[path.relative_to(output)]
    assert run_script(source, output).wait() == 0
    assert kills >= 3
    assert files_of(output) == whole


@pytest.mark.parametrize("size", [0, 5, 200, 9001, "in the last row of a part"])
def test_a_manifest_cut_anywhere_is_continued(many, tmp_path, size, constants):
    output = tmp_path / "crops"
    shutil.copytree(many / "crops", output)
    content = (output / "manifest.csv").read_bytes()
    if isinstance(size, str):
        size = content.index(b"cannot identify")
        assert (content[:size].count(b"\n") - 1) % prepare.PART == prepare.PART - 1
    (output / "manifest.csv").unlink()
    (output / "manifest_unfinished.csv").write_bytes(content[:size])
    kept = max(0, content[:size].count(b"\n") - 1) // prepare.PART * prepare.PART
    for name in [row["crop"] for row in rows_of(many / "crops").values()][kept:]:
        if name:
            (output / name).write_bytes(b"half a cr")
    constants(SOURCE_DIR=many / "source", FACES="cropped")
    prepare.main()
    assert files_of(output) == files_of(many / "crops")


def test_a_full_disk_leaves_no_half_written_crop(many, tmp_path):
    output = tmp_path / "crops"
    largest = max(
        len(content) for path, content in files_of(many / "crops").items() if path.suffix == ".jpg"
    )
    # The system cuts every write at this size, as a full disk does at some other.
    setup = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, BYTES))"
    process = run_script(many / "source", output, setup.replace("BYTES", str(largest - 1)))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "OSError: [Errno 27]" in err
    whole = files_of(many / "crops")
    crops = {p: c for p, c in files_of(output).items() if p.suffix not in (".csv", ".json")}
    assert all(whole[path] == content for path, content in crops.items())
    assert run_script(many / "source", output).wait() == 0
    assert files_of(output) == whole


def test_a_finished_folder_is_left_as_it_is(many, constants, tmp_path, capsys):
    output = tmp_path / "crops"
    shutil.copytree(many / "crops", output)
    constants(SOURCE_DIR=many / "source", FACES="cropped")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.jpg")}
    prepare.main()
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.jpg")} == before
    assert "1199 of 1200 pictures became crops" in capsys.readouterr().out
    constants(SOURCE_DIR=many / "source", FACES="cropped", SIZE=32, JPEG_QUALITY=90)
    with pytest.raises(Mistake, match="made with SIZE = 160, JPEG_QUALITY = 95"):
        prepare.main()
    constants(SOURCE_DIR=many / "source" / "01", FACES="cropped", SIZE=160, JPEG_QUALITY=95)
    with pytest.raises(Mistake, match="SOURCE_DIR or EXCLUDE changed"):
        prepare.main()


def test_processes_do_not_outlive_the_first(many, tmp_path):
    output = tmp_path / "crops"
    process = run_script(many / "source", output)
    if children(process) is None:
        process.kill()
        pytest.skip("this system does not list the children of a process")
    wait_until(lambda: len(children(process)) >= 2, [process])
    started = children(process)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, started)), [], timeout=10)


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
        ("FACES", "boxes", "FACES must be one of vggface2, detect, cropped"),
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
    with pytest.raises(vggface2.Mistake, match="none.txt"):
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
    for path in ROOT.glob("*.py"):
        shutil.copy(path, tmp_path)
    result = subprocess.run(
        [sys.executable, "prepare.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (1, "prepare.py: there is no folder VGGFace2\n")


# --- Without boxes ---


def test_the_main_face_is_large_and_central():
    boxes = [(0, 0, 40, 40), (80, 80, 40, 40), (150, 100, 20, 20)]
    assert cropping.main_face(boxes, 200, 200) == 1
    assert cropping.main_face([(0, 0, 190, 190), *boxes[1:]], 200, 200) == 0


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


@NEEDS_MTCNN
def test_pictures_of_other_sizes_in_a_batch_do_not_move_a_face():
    from imaging.detection import FaceDetector

    face = np.asarray(Image.open(SAMPLES / "n000041" / "0003_01.jpg"))
    others = [np.zeros((300, 500, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)]
    detector = FaceDetector()
    alone, together = detector.find([face])[0], detector.find([*others, face])[2]
    # Not the same: MTCNN sees the face at slightly other scales.
    np.testing.assert_allclose(together[0].box, alone[0].box, atol=16)
    np.testing.assert_allclose(together[0].landmarks, alone[0].landmarks, atol=16)


def test_large_pictures_are_searched_in_smaller_batches(monkeypatch):
    batches = []

    class Detector:
        def find(self, photographs, smallest):
            batches.append([len(photograph) for photograph in photographs])
            return [[] for _ in photographs]

    monkeypatch.setattr(prepare, "_detector", Detector)
    monkeypatch.setattr(prepare, "BATCH_PIXELS", 40_000)
    sides = (100, 100, 100, 150, 100, 300, 20, 20)
    pictures = [prepare.Picture(f"{i}.jpg") for i in range(len(sides) + 1)]
    pixels = [np.zeros((side, side, 3), np.uint8) for side in sides]
    prepare._detect(pictures, [*pixels[:2], None, *pixels[2:]], 20)
    assert batches == [[100, 100, 100], [150], [100], [300], [20, 20]]
    assert [p.reason for p in pictures] == ["no face found"] * 2 + [""] + ["no face found"] * 6
