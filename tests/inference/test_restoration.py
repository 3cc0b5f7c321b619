import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import memory
from project import SAMPLES
from restoring import Work

from data import Degradation, degrade, to_faces, to_pixels
from imaging.pictures import read_pixels
from imaging.sheets import FACES_PER_SHEET
from inference import restoration

NEEDS_MTCNN = pytest.mark.skipif(
    importlib.util.find_spec("mtcnn") is None, reason="the optional mtcnn is not installed"
)


@pytest.fixture
def work(tmp_path, monkeypatch, capsys):
    return Work(tmp_path, monkeypatch, capsys)


def test_red_green_and_blue_stay_what_they_are(work):
    for name, color in {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255)}.items():
        work.picture(f"{name}.png", color=color)
    code, _, _ = work.run("r.png", "g.png", "b.png")
    assert code == 0
    assert (work.result("r_sr.png") == (255, 0, 0)).all()
    assert (work.result("g_sr.png") == (0, 255, 0)).all()
    assert (work.result("b_sr.png") == (0, 0, 255)).all()
    sheet = np.asarray(Image.open("super_resolved/comparison_001.png"))
    rows = []
    for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        found = np.argwhere((sheet == color).all(axis=-1))
        assert len(found) == 3 * 128 * 128
        rows += [found[0][0], found[-1][0]]
    assert rows == sorted(rows)


def test_photographs_10000_pixels_wide_are_done_and_bombs_are_not(work):
    Image.new("RGB", (10_000, 7_000), (10, 200, 30)).save("wide.jpg")
    Image.new("RGB", (10_000, 9_500), (10, 200, 30)).save("wide.png", compress_level=1)
    Image.new("1", (20_000, 10_000)).save("bomb.png", compress_level=1)
    code, out, err = work.run("wide.jpg", "wide.png", "bomb.png")
    assert code == 1
    assert "2 of the pictures have more than 128 pixels" in out
    assert "Not done: bomb.png: Image size (200000000 pixels) exceeds" in err
    assert work.result("wide_sr.png").shape == (90, 128, 3)
    sizes = [row["input_size"] for row in work.report() if not row["problem"]]
    assert sizes == ["7000x10000", "9500x10000"]
    assert work.result("wide_2_sr.png").shape == (122, 128, 3)
    assert np.abs(work.result("wide_sr.png").astype(int) - (10, 200, 30)).max() <= 3


def test_broken_files_are_named_and_the_others_done(work):
    work.picture("in/whole.png")
    work.picture("in/cut.png", (64, 64))
    data = Path("in/cut.png").read_bytes()
    Path("in/cut.png").write_bytes(data[: len(data) // 2])
    work.picture("in/cut.jpg", (640, 640))
    data = Path("in/cut.jpg").read_bytes()
    Path("in/cut.jpg").write_bytes(data[: len(data) // 2])
    Image.fromarray(np.ones((600, 600), np.float32)).save("in/floats.tif")
    Path("in/text.jpg").write_text("no image")
    Path("in/empty.png").touch()
    Path("nothing").mkdir()
    code, out, err = work.run("in", "missing.png", "nothing")
    assert code == 1
    assert work.results() == ["whole_sr.png"]
    assert "Done     1 of 8 pictures" in out
    named = [line for line in err.splitlines() if line.startswith("Not done: ")]
    assert len(named) == 7
    broken = {f"in/{n}" for n in ("cut.png", "cut.jpg", "floats.tif", "text.jpg", "empty.png")}
    for name in {*broken, "missing.png"}:
        assert sum(f"Not done: {name}: " in line for line in named) == 1
    assert "Not done: in/floats.tif: pixels are floating-point numbers" in err
    assert sum("nothing holds no image" in line for line in named) == 1
    problems = {row["source"] for row in work.report() if row["problem"]}
    assert problems == {*broken, "missing.png", "nothing"}


def test_places_that_cannot_be_written_to_are_named(work):
    work.picture("a.png")
    work.picture("in/long/b.png")
    Path("file").touch()
    code, _, err = work.run("a.png", "-o", "file")
    assert code == 2
    assert "cannot write to --output" in err
    Path("super_resolved").mkdir()
    Path("super_resolved/long").touch()
    code, out, err = work.run("in", "a.png")
    assert code == 1
    assert "Not done: cannot write super_resolved/long/b_sr.png" in err
    assert work.results() == ["a_sr.png"]
    assert not list(Path("super_resolved").rglob("unfinished*"))


def test_an_interrupted_run_leaves_its_sheet(work, monkeypatch):
    for name in ("a.png", "b.png"):
        work.picture(name)
    write = restoration.write_picture

    def interrupt(path, pixels):
        if path.name == "b_sr.png":
            raise KeyboardInterrupt
        write(path, pixels)

    monkeypatch.setattr(restoration, "write_picture", interrupt)
    assert work.run("a.png", "b.png")[0] == 130
    assert Path("super_resolved/comparison_001.png").is_file()


def test_memory_stays_flat(work):
    work.picture("in/0.png")
    data = Path("in/0.png").read_bytes()
    for i in range(1, 40):
        Path(f"in/{i}.png").write_bytes(data)
    assert work.run("in")[0] == 0
    before = memory("VmRSS")
    for i in range(40, 400):
        Path(f"in/{i}.png").write_bytes(data)
    assert work.run("in", "--overwrite")[0] == 0
    # 360 faces as float32, with their input, would be 140 MB.
    assert memory("VmRSS") - before < 60
    assert len(list(Path("super_resolved").glob("comparison*"))) == -(-400 // FACES_PER_SHEET) + 2


@NEEDS_MTCNN
def test_faces_in_a_photograph_are_super_resolved_and_put_back(work):
    photograph = Image.new("RGB", (500, 260), (110, 120, 130))
    boxes = {"n000041": (20, 30, 40), "n000042": (100, 60, 64), "n000045": (220, 20, 220)}
    for identity, (left, top, side) in boxes.items():
        with Image.open(SAMPLES / identity / "0003_01.jpg") as face:
            photograph.paste(face.resize((side, side)), (left, top))
    photograph.save("party.png")
    before = Path("party.png").read_bytes()
    code, out, err = work.run("party.png", "--detect")
    assert code == 0, err
    assert Path("party.png").read_bytes() == before
    assert "1 faces of 128 or more pixels were left as they are" in out
    assert work.results() == ["party_faces/1_sr.png", "party_faces/2_sr.png", "party_sr.png"]
    assert work.result("party_faces/1_sr.png").shape == (128, 128, 3)
    changed = np.abs(work.result("party_sr.png").astype(int) - np.asarray(photograph)).max(axis=-1)
    assert changed[:, 215:].max() == 0
    assert changed[110:, :].max() < 40  # only the border of a square reaches here
    for left, top, side in list(boxes.values())[:2]:
        inside = changed[top : top + side, left : left + side]
        assert 0 < inside.mean() < 8  # enlarged and reduced again by a network that changes nothing


@NEEDS_MTCNN
def test_photographs_without_small_faces_are_named(work):
    Image.new("RGB", (300, 200), (110, 120, 130)).save("empty.png")
    Image.new("RGB", (1, 1)).save("dot.png")
    portrait = Image.new("RGB", (400, 300), (110, 120, 130))
    with Image.open(SAMPLES / "n000045" / "0003_01.jpg") as face:
        portrait.paste(face.resize((220, 220)), (100, 40))
    portrait.save("portrait.png")
    code, _, err = work.run("empty.png", "dot.png", "portrait.png", "--detect")
    assert code == 1
    assert "empty.png: no small face was found" in err
    assert "dot.png: no small face was found" in err
    assert "portrait.png: no small face; the 1 found have 128 or more pixels already" in err
    assert work.results() == []


def test_a_picture_that_was_enlarged_before_gives_what_the_original_gives(work):
    work.picture("small.png", (16, 12))
    with Image.open("small.png") as image:
        image.resize((48, 64), Image.Resampling.NEAREST).save("large.png")
    code, out, err = work.run("small.png", "large.png")
    assert code == 0, err
    assert "Note     1 of the faces were taken for enlargements of smaller pictures" in out
    np.testing.assert_array_equal(work.result("large_sr.png"), work.result("small_sr.png"))
    assert [row["input_size"] for row in work.report()] == ["16x12", "64x48"]
    code, out, _ = work.run("large.png", "--resolution", "own", "--overwrite")
    assert (code, "taken for" in out) == (0, False)
    assert (work.result("large_sr.png") != work.result("small_sr.png")).any()


def test_a_named_resolution_is_what_it_is_in_training(work):
    # A square face is restored from 7 rows of 6 pixels, and stays square.
    work.picture("square.png", (128, 128))
    work.picture("wide.png", (100, 200), color=90)
    work.picture("small.png", (7, 6))
    code, out, err = work.run("square.png", "wide.png", "small.png", "--resolution", "7x6")
    assert (code, "taken for" in out) == (0, False), err
    hr_faces = to_faces(read_pixels("square.png")[None])
    lr_faces = degrade(hr_faces, (7, 6))
    sr_faces = Degradation(128, [(7, 6)]).correct(lr_faces, lr_faces, np.int32([(7, 6)]))
    np.testing.assert_array_equal(work.result("square_sr.png"), to_pixels(sr_faces)[0])
    # Others keep their proportions, and what has no more pixels keeps those it has.
    sizes = [row["result_size"] for row in work.report()]
    assert sizes == ["128x128", "64x128", "128x110"]
    before = work.result("small_sr.png")
    assert work.run("small.png", "--resolution", "own", "--overwrite")[0] == 0
    np.testing.assert_array_equal(before, work.result("small_sr.png"))
