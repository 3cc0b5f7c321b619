import csv
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from networks import narrow_unet
from PIL import Image
from processes import memory, start_of_peak
from project import ROOT, SAMPLES

import super_resolve
from data import degrade, to_pixels
from errors import Mistake
from imaging import detection
from imaging.sheets import FACES_PER_SHEET, Card, draw_sheet
from inference import super_resolver
from inference.super_resolver import SuperResolver, enlarge
from trained_networks import load_network, newest_network

NEEDS_MTCNN = pytest.mark.skipif(
    importlib.util.find_spec("mtcnn") is None, reason="the optional mtcnn is not installed"
)


@pytest.fixture(scope="session")
def identity_network(tmp_path_factory):
    """A `.keras` file of a network that returns its input: results can be worked out by hand."""
    inputs = keras.Input((128, 128, 3))
    path = tmp_path_factory.mktemp("identity") / "identity.keras"
    keras.Model(inputs, keras.layers.Activation("linear")(inputs)).save(path)
    return path


@pytest.fixture
def work(tmp_path, monkeypatch, identity_network):
    """Runs the command in an empty folder; returns (exit code, standard output, errors)."""
    monkeypatch.chdir(tmp_path)

    class Work:
        folder = tmp_path

        def picture(self, name, size=(16, 16), color=None, **options):
            """Save a picture of (height, width); returns its pixels."""
            shape = (*size, 3)
            pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
            if color is not None:
                pixels[:] = color
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path, **options)
            return pixels

        def run(self, *arguments, capsys):
            try:
                code = super_resolve.main(["--model", str(identity_network), *map(str, arguments)])
            except SystemExit as end:
                code = end.code
            out, err = capsys.readouterr()
            assert "Traceback" not in err
            return code, out, err

        def result(self, name):
            with Image.open(tmp_path / "super_resolved" / name) as image:
                assert (image.format, image.mode) == ("PNG", "RGB")
                return np.asarray(image)

        def report(self):
            with open("super_resolved/report.csv", encoding="utf-8") as file:
                return list(csv.DictReader(file))

        def results(self):
            return sorted(
                p.relative_to("super_resolved").as_posix()
                for p in Path("super_resolved").rglob("*_sr.png")
            )

    return Work()


# --- Preparing pictures ---


@pytest.mark.parametrize("size", [(16, 16), (32, 32)])
def test_pictures_are_enlarged_as_the_training_enlarges_them(sample_faces, size):
    hr_faces = sample_faces[0]
    small = tf.image.resize(hr_faces, size, "bicubic", antialias=True)
    from_picture = enlarge(to_pixels(small)).numpy()
    # The picture was rounded to 8 bits, and bicubic kernels overshoot by a little.
    assert np.abs(from_picture - degrade(hr_faces, size).numpy()).max() < 1.5 / 127.5


def test_larger_pictures_are_reduced_without_aliasing():
    noise = np.random.default_rng(0).integers(0, 256, (1, 512, 512, 3), dtype=np.uint8)
    # Each value stands for 16 pixels: a quarter of their deviation of 0.58 is left.
    assert enlarge(noise).numpy().std() == pytest.approx(0.58 / 4, abs=0.05)


def test_padding_repeats_the_edge_and_is_cut_off_again():
    picture = np.zeros((1, 8, 4, 3), np.uint8)
    picture[:, :, 0] = 255
    face = enlarge(picture)[0].numpy()
    assert (face[:, :28] > 0.999).all()
    assert (face[:, 64:] < -0.99).all()
    cut = super_resolver.without_padding(face, 8, 4)
    np.testing.assert_array_equal(cut, face[:, 32:96])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1, 1), (128, 128)),
        ((7, 6), (128, 110)),
        ((6, 7), (110, 128)),
        ((400, 500), (102, 128)),
        ((128, 128), (128, 128)),
        ((1, 300), (1, 128)),
        ((129, 2), (128, 2)),
    ],
)
def test_every_size_gives_a_face_of_its_proportions(before, after):
    picture = np.full((*before, 3), 200, np.uint8)
    face = to_pixels(enlarge(picture[None]))[0].numpy()
    assert face.shape == (128, 128, 3)
    assert np.abs(face.astype(int) - 200).max() <= 1
    assert super_resolver.without_padding(face, *before).shape == (*after, 3)


def test_the_result_does_not_depend_on_the_batch():
    network = keras.Sequential([keras.Input((128, 128, 3)), keras.layers.Conv2D(3, 3, 1, "same")])
    pictures = list(np.random.default_rng(0).integers(0, 256, (5, 9, 9, 3), dtype=np.uint8))
    _, together = SuperResolver(network, batch_size=2)(pictures)
    alone = [SuperResolver(network)([picture])[1][0] for picture in pictures]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_red_green_and_blue_stay_what_they_are(work, capsys):
    for name, color in {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255)}.items():
        work.picture(f"{name}.png", color=color)
    code, _, _ = work.run("r.png", "g.png", "b.png", capsys=capsys)
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


# --- Reading ---


def hard_pictures(folder, large):
    """Save a picture of every awkward kind, red on top and 1.5 times as high as wide."""
    scale = 1000 if large else 8
    red = np.zeros((3 * scale, 2 * scale, 3), np.uint8)
    red[: scale // 2, :] = 255, 0, 0
    image = Image.fromarray(red)
    exif = Image.Exif()
    exif[274] = 8  # stored lying, to be turned left
    image.transpose(Image.Transpose.ROTATE_270).save(
        folder / "exif.jpg", exif=exif, quality=98, subsampling=0
    )
    image.transpose(Image.Transpose.ROTATE_270).save(folder / "exif.png", exif=exif)
    image.transpose(Image.Transpose.ROTATE_270).save(folder / "exif.tif", exif=exif)
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=98, subsampling=0)
    other = Image.new("RGB", image.size, "blue")
    image.save(folder / "animation.gif", save_all=True, append_images=[other])
    transparent = Image.new("RGBA", image.size, (0, 0, 0, 0))
    transparent.paste(image.crop((0, 0, 2 * scale, scale // 2)))
    transparent.save(folder / "alpha.png")
    image.quantize(4).save(folder / "palette.png")
    grey = np.zeros(red.shape[:2], np.uint16)
    grey[: scale // 2] = 51400
    Image.fromarray(grey).save(folder / "sixteen.png")
    Image.fromarray(grey).save(folder / "sixteen.tif")
    Image.fromarray(grey).save(folder / "sixteenkeyed.png", transparency=1)
    image.convert("LA").save(folder / "greyalpha.png")
    Image.fromarray(red[..., 0]).convert("1").save(folder / "bits.png")
    keyed = image.copy()
    keyed.save(folder / "keyed.png", transparency=(0, 0, 0))


@pytest.mark.parametrize("large", [False, True])
def test_all_kinds_of_pictures_are_read(tmp_path, large):
    hard_pictures(tmp_path, large)
    red, black, white = (255, 0, 0), (0, 0, 0), (255, 255, 255)
    expected = {
        "exif.jpg": (red, black),
        "exif.png": (red, black),
        "exif.tif": (red, black),
        "cmyk.jpg": (red, black),
        "animation.gif": (red, black),
        "alpha.png": (red, white),
        "palette.png": (red, black),
        "sixteen.png": ((200,) * 3, black),
        "sixteen.tif": ((200,) * 3, black),
        "sixteenkeyed.png": ((200,) * 3, black),
        "greyalpha.png": ((76,) * 3, black),
        "bits.png": (white, black),
        "keyed.png": (red, white),
    }
    assert {path.name for path in tmp_path.iterdir()} == expected.keys()
    for name, (top, bottom) in expected.items():
        pixels, size = super_resolve.read_picture(tmp_path / name, 512)
        assert size == ((3000, 2000) if large else (24, 16)), name
        height, width = pixels.shape[:2]
        assert (height, width) == ((512, 341) if large else (24, 16)), name
        assert np.abs(pixels[1, width // 2].astype(int) - top).max() < 12, name
        assert np.abs(pixels[-2, width // 2].astype(int) - bottom).max() < 12, name


def test_photographs_10000_pixels_wide_are_done_and_bombs_are_not(work, capsys):
    Image.new("RGB", (10_000, 7_000), (10, 200, 30)).save("wide.jpg")
    Image.new("RGB", (10_000, 9_500), (10, 200, 30)).save("wide.png", compress_level=1)
    Image.new("1", (20_000, 10_000)).save("bomb.png", compress_level=1)
    code, out, err = work.run("wide.jpg", "wide.png", "bomb.png", capsys=capsys)
    assert code == 1
    assert "2 of the pictures have more than 128 pixels" in out
    assert "Not done: bomb.png: Image size (200000000 pixels) exceeds" in err
    assert work.result("wide_sr.png").shape == (90, 128, 3)
    sizes = [row["input_size"] for row in work.report() if not row["problem"]]
    assert sizes == ["7000x10000", "9500x10000"]
    assert work.result("wide_2_sr.png").shape == (122, 128, 3)
    assert np.abs(work.result("wide_sr.png").astype(int) - (10, 200, 30)).max() <= 3


def test_a_large_jpeg_is_never_decoded_in_full(tmp_path):
    path = tmp_path / "wide.jpg"
    Image.new("RGB", (10_000, 7_000), (10, 200, 30)).save(path)
    before = start_of_peak()
    if before is None:
        pytest.skip("this system does not measure the peak of memory")
    assert super_resolve.read_picture(path, 512)[0].shape == (358, 512, 3)
    assert memory("VmHWM") - before < 100  # MB; all pixels would take 280


def test_broken_files_are_named_and_the_others_done(work, capsys):
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
    code, out, err = work.run("in", "missing.png", "nothing", capsys=capsys)
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


# --- Where results go ---


def test_a_tree_of_odd_names_is_mirrored_and_sources_stay(work, capsys):
    names = ["a b.png", "sub folder/ü.png", "sub folder/日本/лицо.JPEG", "-x.webp", "new\nline.png"]
    for name in names:
        work.picture(f"in/{name}")
    before = {p: p.read_bytes() for p in Path("in").rglob("*") if p.is_file()}
    code, out, err = work.run("in", capsys=capsys)
    assert code == 0, err
    assert work.results() == sorted(f"{os.path.splitext(name)[0]}_sr.png" for name in names)
    assert {p: p.read_bytes() for p in Path("in").rglob("*") if p.is_file()} == before
    assert {row["source"] for row in work.report()} == {f"in/{name}" for name in names}
    assert "Done     5 of 5 pictures" in out


def test_a_name_that_is_no_text_is_done_as_well(work, capsys):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        work.picture("x.png")
        Path("x.png").rename(name)
    except OSError:
        pytest.skip("this file system only takes names that are text")
    code, _, err = work.run(name, capsys=capsys)
    assert code == 0, err
    assert Path("super_resolved", os.fsdecode(b"caf\xe9_sr.png")).is_file()


def test_pictures_of_one_name_do_not_replace_each_other(work, capsys):
    reds = (250, 200, 150, 100)
    for name, red in zip(("a.png", "a.bmp", "x/a.png", "y/a.png"), reds, strict=True):
        work.picture(name, color=(red, 0, 0))
    code, _, _ = work.run("a.png", "a.bmp", "x", "y/a.png", "./a.png", capsys=capsys)
    assert code == 0
    assert work.results() == ["a_2_sr.png", "a_3_sr.png", "a_4_sr.png", "a_sr.png"]
    for name, red in zip(("a_sr", "a_2_sr", "a_3_sr", "a_4_sr"), reds, strict=True):
        assert (work.result(f"{name}.png")[..., 0] == red).all()


def test_results_are_replaced_on_request_only(work, capsys):
    work.picture("a.png", color=(255, 0, 0))
    assert work.run("a.png", capsys=capsys)[0] == 0
    work.picture("a.png", color=(0, 255, 0))
    code, _, err = work.run("a.png", capsys=capsys)
    assert code == 1
    assert "a_sr.png exists; --overwrite replaces it" in err
    assert (work.result("a_sr.png") == (255, 0, 0)).all()
    assert work.run("a.png", "--overwrite", capsys=capsys)[0] == 0
    assert (work.result("a_sr.png") == (0, 255, 0)).all()
    assert [p.name for p in sorted(Path("super_resolved").glob("comparison*"))] == [
        "comparison_001.png",
        "comparison_002.png",
    ]
    assert len(work.report()) == 3


def test_a_source_is_never_replaced(work, capsys):
    work.picture("a.png")
    work.picture("a_sr.png")
    before = Path("a_sr.png").read_bytes()
    code, _, err = work.run("a.png", "a_sr.png", "-o", ".", "--overwrite", capsys=capsys)
    assert code == 1
    assert "its result would replace the source a_sr.png" in err
    assert Path("a_sr.png").read_bytes() == before
    assert Path("a_sr_sr.png").is_file()


def test_results_inside_the_searched_folder_are_not_taken_for_sources(work, capsys):
    work.picture("a.png")
    assert work.run(".", capsys=capsys)[0] == 0
    code, out, _ = work.run(".", "--overwrite", capsys=capsys)
    assert code == 0
    assert "Done     1 of 1 pictures" in out


def test_places_that_cannot_be_written_to_are_named(work, capsys):
    work.picture("a.png")
    work.picture("in/long/b.png")
    Path("file").touch()
    code, _, err = work.run("a.png", "-o", "file", capsys=capsys)
    assert code == 2
    assert "cannot write to --output" in err
    Path("super_resolved").mkdir()
    Path("super_resolved/long").touch()
    code, out, err = work.run("in", "a.png", capsys=capsys)
    assert code == 1
    assert "Not done: cannot write super_resolved/long/b_sr.png" in err
    assert work.results() == ["a_sr.png"]
    assert not list(Path("super_resolved").rglob("unfinished*"))


def test_a_report_of_someone_else_is_left_alone(work, capsys):
    work.picture("a.png")
    Path("super_resolved").mkdir()
    Path("super_resolved/report.csv").write_text("day,profit\n1,2\n")
    code, _, err = work.run("a.png", capsys=capsys)
    assert code == 2
    assert "super_resolved/report.csv is not a report of this script" in err
    assert Path("super_resolved/report.csv").read_text() == "day,profit\n1,2\n"
    assert work.results() == []


def test_paths_that_cannot_be_used_and_folders_with_nothing_to_do_are_named(work, capsys):
    work.picture("a.png")
    work.picture(f"{'n' * 250}.png")
    work.picture("super_resolved/old.png")
    long = "x" * 300
    code, _, err = work.run(
        "a.png", long, "n" * 250 + ".png", "super_resolved/../super_resolved/.", capsys=capsys
    )
    assert code == 2  # the output folder itself
    Path("sub").symlink_to("super_resolved", target_is_directory=True)
    Path("all").mkdir()
    Path("all/link.png").symlink_to(Path("super_resolved/old.png").resolve())
    code, out, err = work.run("a.png", long, "n" * 250 + ".png", "all", capsys=capsys)
    assert code == 1
    assert f"Not done: {long}: " in err
    assert f"Not done: {'n' * 250}.png: cannot write" in err
    assert "Not done: all holds no image but results in super_resolved" in err
    assert "Done     1 of 4" in out


def test_a_sheet_that_cannot_be_written_undoes_no_picture(work, capsys, monkeypatch):
    work.picture("a.png")

    def fail(self):
        raise OSError("no space left")

    monkeypatch.setattr(super_resolve.ComparisonSheets, "flush", fail)
    code, out, err = work.run("a.png", capsys=capsys)
    assert code == 1
    assert "Warning  cannot write a comparison sheet: no space left" in err
    assert "Not done" not in err
    assert "Done     1 of 1" in out
    assert [row["result"] for row in work.report()] == ["super_resolved/a_sr.png"]


def test_an_interrupted_run_leaves_its_sheet(work, capsys, monkeypatch):
    for name in ("a.png", "b.png"):
        work.picture(name)
    write = super_resolve.write_picture

    def interrupt(path, pixels):
        if path.name == "b_sr.png":
            raise KeyboardInterrupt
        write(path, pixels)

    monkeypatch.setattr(super_resolve, "write_picture", interrupt)
    with pytest.raises(KeyboardInterrupt):
        work.run("a.png", "b.png", capsys=capsys)
    assert Path("super_resolved/comparison_001.png").is_file()


def test_mistakes_end_with_usage_and_2(work, capsys, identity_network, monkeypatch):
    work.picture("in/a.png")
    for arguments, message in (
        ([], "the following arguments are required: PATH"),
        (["in", "--output", "./in"], "--output must be another folder"),
        (["in", "--model", "none.keras"], "there is no file none.keras"),
        (["in", "--model", "in/a.png"], "in/a.png is not a whole .keras file"),
    ):
        code, _, err = work.run(*arguments, capsys=capsys)
        assert (code, message in err) == (2, True), err
    Path("cut.keras").write_bytes(identity_network.read_bytes()[:-100])
    code, _, err = work.run("in", "--model", "cut.keras", capsys=capsys)
    assert (code, "cut.keras is not a whole .keras file" in err) == (2, True)
    with pytest.raises(SystemExit) as end:
        super_resolve.main(["in"])
    assert end.value.code == 2
    assert "there is no trained network in output: run train.py" in capsys.readouterr().err
    code, _, err = work.run("in", "--model", "n" * 300, capsys=capsys)
    assert (code, "cannot read --model nnn" in err) == (2, True)
    inputs = keras.Input((160, 160, 3))
    keras.Model(inputs, keras.layers.Flatten()(inputs)).save("other.keras")
    code, _, err = work.run("in", "--model", "other.keras", capsys=capsys)
    assert (code, "other.keras maps (None, 160, 160, 3) to (None, 76800)" in err) == (2, True)
    with monkeypatch.context() as patch:
        Path("old").mkdir()
        Path("old/mtcnn.py").write_text("MTCNN = None")
        patch.syspath_prepend("old")
        for name in [name for name in sys.modules if name.split(".")[0] == "mtcnn"]:
            patch.delitem(sys.modules, name)
        code, _, err = work.run("in", "--detect", capsys=capsys)
        assert (code, "pip install --upgrade mtcnn" in err) == (2, True), err
        del sys.modules["mtcnn"]  # the old one, which undoing would bring back
    monkeypatch.setattr(detection.importlib.util, "find_spec", lambda name: None)
    code, _, err = work.run("in", "--detect", capsys=capsys)
    assert (code, "pip install mtcnn" in err) == (2, True)
    assert work.results() == []


def test_the_newest_network_is_found(tmp_path):
    with pytest.raises(Mistake, match="run train.py"):
        newest_network(tmp_path)
    for age, name in enumerate(("b", "a", "c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").touch()
        os.utime(tmp_path / name / "model.keras", (10 - age, 10 - age))
    assert newest_network(tmp_path) == tmp_path / "b" / "model.keras"
    (tmp_path / "model.keras").touch()
    os.utime(tmp_path / "model.keras", (0, 0))
    assert newest_network(tmp_path) == tmp_path / "model.keras"


def test_an_unfinished_training_gives_the_network_of_its_best_epoch(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints" / "best.keras").touch()
    os.utime(tmp_path / "a" / "checkpoints" / "best.keras", (0, 0))
    assert newest_network(tmp_path) == tmp_path / "b" / "checkpoints" / "best.keras"
    assert newest_network(tmp_path / "a") == tmp_path / "a" / "checkpoints" / "best.keras"
    (tmp_path / "a" / "model.keras").touch()
    assert newest_network(tmp_path) == tmp_path / "a" / "model.keras"


# --- Many pictures, sheets, identity ---


def test_memory_stays_flat(work, capsys):
    work.picture("in/0.png")
    data = Path("in/0.png").read_bytes()
    for i in range(1, 40):
        Path(f"in/{i}.png").write_bytes(data)
    assert work.run("in", capsys=capsys)[0] == 0
    before = memory("VmRSS")
    for i in range(40, 400):
        Path(f"in/{i}.png").write_bytes(data)
    assert work.run("in", "--overwrite", capsys=capsys)[0] == 0
    # 360 faces as float32, with their input, would be 140 MB.
    assert memory("VmRSS") - before < 60
    assert len(list(Path("super_resolved").glob("comparison*"))) == -(-400 // FACES_PER_SHEET) + 2


def test_a_sheet_shows_names_and_pictures_of_any_proportion():
    rng = np.random.default_rng(0)
    shapes = [(16, 16), (128, 60), (30, 128), (1, 128)]
    pictures = [rng.integers(0, 100, (*shape, 3), dtype=np.uint8) for shape in shapes]
    cards = [
        Card("n" * (i * 60) + "x\udce9日.png", "16x16", (picture,) * 3)
        for i, picture in enumerate(pictures)
    ]
    sheet = np.asarray(draw_sheet(cards, 128))
    one = np.asarray(draw_sheet(cards[:1], 128))
    assert sheet.shape[1] > 2 * 3 * 128 > one.shape[1]
    large = pictures[0].repeat(8, axis=0).repeat(8, axis=1)
    left, top = 16, 42 + 20
    np.testing.assert_array_equal(sheet[top : top + 128, left : left + 128], large)
    assert (sheet[: top - 1, : left + 128] < 100).any()  # label and name


def test_identity_similarity_is_reported_with_a_warning_for_tiny_faces(work, capsys):
    for size in ((7, 6), (11, 8), (16, 16)):
        work.picture(f"{size[0]}.png", size)
    code, out, _ = work.run("7.png", "11.png", "16.png", "--facenet", capsys=capsys)
    assert code == 0
    assert "Warning  1 of the faces are smaller than about 11x8" in out
    # The network returns its input: the same face, the same identity.
    assert [row["identity_similarity"] for row in work.report()] == ["1.000"] * 3
    assert [row["input_size"] for row in work.report()] == ["7x6", "11x8", "16x16"]
    _, out, _ = work.run("16.png", "--overwrite", capsys=capsys)
    assert "Warning" not in out
    assert work.report()[-1]["identity_similarity"] == ""


# --- Faces in photographs ---


@pytest.mark.parametrize("square", [(5, 7, 20), (-6, -3, 20), (45, 70, 30), (-10, -10, 100)])
def test_a_face_cut_out_and_put_back_changes_nothing_else(square):
    photograph = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    face = detection.cut_out(photograph, square)
    assert face.shape == (square[2], square[2], 3)
    restored = photograph.copy()
    detection.put_back(restored, square, face)
    assert np.abs(restored.astype(int) - photograph).max() <= 1
    detection.put_back(restored, square, np.zeros_like(face))
    rows, columns = np.mgrid[:60, :80]
    top, left, side = square
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    np.testing.assert_array_equal(restored[~inside], photograph[~inside])
    middle = np.clip((top + side // 2, left + side // 2), 0, (59, 79))
    assert (restored[tuple(middle)] == 0).all()


class CornerDetector:
    """Stands in for MTCNN: finds as many faces as the class is told to, in the corner."""

    count = 2

    def __call__(self, photograph):
        return [(i, 0, 20) for i in range(self.count)]


def test_folders_of_faces_are_not_mixed_with_anything_else(work, capsys, monkeypatch):
    monkeypatch.setattr(super_resolve, "FaceDetector", CornerDetector)
    work.picture("in/party.png", (40, 40))
    work.picture("in/party_faces/1.png", (30, 30))
    assert work.run("in", "--detect", capsys=capsys)[0] == 0
    names = ["party_2_faces/1_sr.png", "party_2_faces/2_sr.png", "party_2_sr.png"]
    inner = ["1_faces/1_sr.png", "1_faces/2_sr.png", "1_sr.png"]
    expected = sorted(names + [f"party_faces/{name}" for name in inner])
    assert work.results() == expected
    rows = {row["result"]: row["input_size"] for row in work.report()}
    assert rows.keys() == {f"super_resolved/{name}" for name in expected}
    assert rows["super_resolved/party_2_sr.png"] == "40x40"

    Path("super_resolved/party_2_sr.png").unlink()
    code, _, err = work.run("in", "--detect", capsys=capsys)
    assert code == 1
    assert "super_resolved/party_2_faces exists; --overwrite replaces it" in err
    monkeypatch.setattr(CornerDetector, "count", 1)
    assert work.run("in", "--detect", "--overwrite", capsys=capsys)[0] == 0
    assert work.results() == sorted(
        name for name in expected if "2_sr.png" not in name[-9:] or name == "party_2_sr.png"
    )

    work.picture("super_resolved/a_faces/1_sr.png")
    work.picture("a.png", (40, 40))
    code, _, err = work.run(
        "a.png", "super_resolved/a_faces/1_sr.png", "--detect", "--overwrite", capsys=capsys
    )
    assert code == 1
    assert "would replace the source super_resolved/a_faces/1_sr.png" in err


@NEEDS_MTCNN
def test_faces_in_a_photograph_are_super_resolved_and_put_back(work, capsys):
    photograph = Image.new("RGB", (500, 260), (110, 120, 130))
    boxes = {"n000041": (20, 30, 40), "n000042": (100, 60, 64), "n000045": (220, 20, 220)}
    for identity, (left, top, side) in boxes.items():
        with Image.open(SAMPLES / identity / "0003_01.jpg") as face:
            photograph.paste(face.resize((side, side)), (left, top))
    photograph.save("party.png")
    before = Path("party.png").read_bytes()
    code, out, err = work.run("party.png", "--detect", capsys=capsys)
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
def test_photographs_without_small_faces_are_named(work, capsys):
    Image.new("RGB", (300, 200), (110, 120, 130)).save("empty.png")
    Image.new("RGB", (1, 1)).save("dot.png")
    portrait = Image.new("RGB", (400, 300), (110, 120, 130))
    with Image.open(SAMPLES / "n000045" / "0003_01.jpg") as face:
        portrait.paste(face.resize((220, 220)), (100, 40))
    portrait.save("portrait.png")
    code, _, err = work.run("empty.png", "dot.png", "portrait.png", "--detect", capsys=capsys)
    assert code == 1
    assert "empty.png: no small face was found" in err
    assert "dot.png: no small face was found" in err
    assert "portrait.png: no small face; the 1 found have 128 or more pixels already" in err
    assert work.results() == []


@NEEDS_MTCNN
def test_the_detector_ignores_files_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pnet.lz4", "rnet.lz4", "onet.lz4"):
        Path(name).write_bytes(b"something to unpickle")
    detection.FaceDetector()


# --- As a user meets it ---


def test_the_script_runs_from_anywhere(tmp_path, identity_network):
    Image.new("RGB", (9, 9)).save(tmp_path / "-face.png")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "model.keras").write_bytes(identity_network.read_bytes())
    result = subprocess.run(
        [sys.executable, ROOT / "super_resolve.py", "./-face.png", "broken.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1, result.stderr
    assert "Not done: broken.png: there is no such file or folder" in result.stderr
    assert (tmp_path / "super_resolved" / "-face_sr.png").is_file()


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as end:
        super_resolve.parse(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in ("--output", "--model", "--detect", "--facenet", "--overwrite", "Exit code"):
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
    expected = network(enlarge(pixels[None]), training=False)
    np.testing.assert_array_equal(names["sr_pixels"], to_pixels(expected))
    loaded = load_network("output/model.keras")
    np.testing.assert_allclose(loaded(enlarge(pixels[None]), training=False), expected, atol=1e-6)
