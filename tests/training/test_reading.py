"""TensorFlow's reader beside that of `imaging.pictures`, which is right by its own tests."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms, PngImagePlugin
from project import SAMPLES

from imaging.lists import find_faces
from imaging.pictures import crop_and_resize, read_pixels
from training.faces import TrainingFaces
from training.reading import read_face

DRAWS = np.array([0.3, 0.7, 0.9, 0.2])  # of a side, its place from top and left, mirroring
LEFT = np.full((32, 32, 3), 7, np.uint8)  # what stands for a file that is left to others


def photo(size=(203, 151), mode="RGB"):
    face = Image.open(SAMPLES / "n000001" / "0001_01.jpg").resize(size, Image.Resampling.BICUBIC)
    return face.convert(mode)


def left():
    return tf.constant(LEFT)


traced = tf.function(read_face)


def read(path, draws=DRAWS, size=32, smallest_crop=0.9, mirror=True):
    """Return what TensorFlow reads; `LEFT` of a file that is left to others."""
    path, draws = tf.constant(str(path)), tf.constant(draws)
    return traced(path, draws, size, smallest_crop, mirror, left).numpy()


def difference(path, draws=DRAWS, size=32):
    """Return the levels between both readers, and on what share of the values they differ."""
    expected = crop_and_resize(read_pixels(path), size, draws, 0.9, mirror=True)
    levels = np.abs(read(path, draws, size).astype(int) - expected)
    return levels.max(), np.mean(levels > 0)


PLAIN = {
    "a.jpg": (photo(), {"quality": 90}),
    "coarse.jpg": (photo(), {"quality": 30, "subsampling": "4:2:0"}),
    "fine.jpg": (photo(), {"quality": 95, "subsampling": "4:4:4"}),
    "progressive.jpg": (photo(), {"progressive": True}),
    "grey.jpg": (photo(mode="L"), {}),
    "photo.png": (photo(), {}),
    "grey.png": (photo(mode="L"), {}),
    "wide.jpg": (photo((400, 130)), {}),
    "twice.png": (photo((64, 64)), {}),
    "a_jpeg.png": (photo(), {"format": "JPEG"}),  # what counts is the content
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_become_the_same_pixels_to_within_a_level(tmp_path, name):
    image, options = PLAIN[name]
    image.save(tmp_path / name, **options)
    for draws in np.random.default_rng(0).random((4, 4)):
        levels, share = difference(tmp_path / name, draws)
        assert levels <= 1
        assert share < (0.2 if name == "twice.png" else 0.01)  # halves are rounded otherwise


@pytest.mark.parametrize("name", ["coarse.jpg", "fine.jpg", "grey.jpg", "photo.png"])
def test_what_is_decoded_is_equal(tmp_path, name):
    image, options = PLAIN[name]
    image.crop((20, 10, 140, 130)).save(tmp_path / name, **options)
    # A square of its own size is not resized, so that every pixel is seen.
    whole = read(tmp_path / name, size=120, smallest_crop=1.0, mirror=False)
    np.testing.assert_array_equal(whole, read_pixels(tmp_path / name))


@pytest.mark.parametrize("side", [1, 2, 17, 60, 95, 96])
def test_small_faces_are_enlarged_alike(tmp_path, side):
    photo((side, side)).save(tmp_path / "a.png")
    levels, share = difference(tmp_path / "a.png", size=96)
    assert levels <= 1
    assert share < 0.05


def with_text(key, value):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text(key, value)
    return {"pnginfo": chunks}


turned = Image.Exif()
turned[0x0112] = 6
srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
deep = Image.fromarray(np.arange(40 * 40, dtype=np.uint16).reshape(40, 40) * 40)
SPECIAL = {
    "turned.jpg": (photo(), {"exif": turned}),
    "turned.png": (photo(), {"exif": turned}),
    "profile.jpg": (photo(), {"icc_profile": srgb}),
    "profile.png": (photo(), {"icc_profile": srgb}),
    "cmyk.jpg": (photo(mode="CMYK"), {}),
    "palette.png": (photo(mode="P"), {}),
    "bilevel.png": (photo(mode="1"), {}),
    "transparent.png": (photo(mode="RGBA"), {}),
    "grey_transparent.png": (photo(mode="LA"), {}),
    "one_colour_transparent.png": (photo(), {"transparency": (1, 2, 3)}),
    "deep.png": (deep, {}),
    "moving.png": (photo(), {"save_all": True, "append_images": [photo()]}),
    "xmp.png": (photo(), with_text("XML:com.adobe.xmp", '<x tiff:Orientation="6">')),
    "webp.webp": (photo(), {}),
    "a_webp.jpg": (photo(), {"format": "WEBP"}),
    "gif.gif": (photo(), {}),
    "bmp.bmp": (photo(), {}),
    "tiff.tif": (photo(), {}),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_files_that_need_more_than_decoding_are_left_to_others(tmp_path, name):
    image, options = SPECIAL[name]
    image.save(tmp_path / name, **options)
    np.testing.assert_array_equal(read(tmp_path / name), LEFT)


def test_a_stream_of_all_kinds_of_files_is_right_and_damage_is_named(tmp_path):
    folder = tmp_path / "person"
    folder.mkdir()
    for name, (image, options) in (PLAIN | SPECIAL).items():
        image.save(folder / name, **options)
    whole = (folder / "a.jpg").read_bytes()
    adobe = photo(mode="CMYK").save(folder / "bare_cmyk.jpg") or folder / "bare_cmyk.jpg"
    contents = adobe.read_bytes()
    start = contents.index(
        b"\xff\xee"
    )  # the marker of Adobe, without which it is CMYK all the same
    length = int.from_bytes(contents[start + 2 : start + 4], "big")
    adobe.write_bytes(contents[:start] + contents[start + 2 + length :])
    damaged = {"cut.jpg": whole[:-900], "head.jpg": whole[:10], "empty.png": b""}
    for name, contents in damaged.items():  # the first one begins as a whole file does
        (folder / name).write_bytes(contents)
    paths = find_faces(tmp_path)
    stream = TrainingFaces(paths, len(paths), 32, smallest_crop=0.9, mirror=True)
    hr_pixels, low_resolutions = next(stream.batches())
    positions = np.arange(len(paths))
    _, draws, sizes = stream._plan(positions[None])
    np.testing.assert_array_equal(low_resolutions, sizes[0])
    expected = np.stack([stream._draw(i, draws[0, i]) for i in positions]).astype(int)
    assert np.abs(hr_pixels.numpy() - expected).max() <= 1
    assert sorted(path.name for path in stream.unreadable.reasons) == sorted(damaged)
    assert len(set(stream.unreadable.reasons.values())) == len(damaged)


def test_python_reads_none_of_the_plain_files(face_folder, monkeypatch):
    def read_pixels(path):
        raise AssertionError(f"{path} was read by Python")

    monkeypatch.setattr("training.faces.read_pixels", read_pixels)
    stream = TrainingFaces(find_faces(face_folder), 4, mirror=True)
    for _, (hr_pixels, _) in zip(range(9), stream.batches(), strict=False):
        assert hr_pixels.shape == (4, 128, 128, 3)
