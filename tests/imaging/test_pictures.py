import itertools
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from colour_profiles import DISPLAY_P3, colour_profile, grey_profile, ink_profile
from PIL import Image
from project import ROOT

from imaging import pictures
from imaging.pictures import EXTENSIONS, crop_and_resize, read_or_note, read_pixels, read_reduced

SRGB = [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.7141]]
RED, GREEN, BLUE = (200, 30, 40), (30, 200, 40), (40, 30, 200)


def three_stripes(mode="RGB"):
    """A 90x60 picture: red, green and blue from top to bottom."""
    image = Image.new("RGB", (60, 90), RED)
    image.paste(GREEN, (0, 30, 60, 60))
    image.paste(BLUE, (0, 60, 60, 90))
    return image.convert(mode)


def assert_three_stripes(pixels, tolerance=12):
    assert pixels.shape == (90, 60, 3)
    assert pixels.dtype == np.uint8
    for row, colour in ((15, RED), (45, GREEN), (75, BLUE)):
        np.testing.assert_allclose(pixels[row, 30].astype(int), colour, atol=tolerance)


# --- Reading ---


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.jpg", "a.gif", "a.tif"])
def test_common_formats_become_rgb(tmp_path, name):
    three_stripes().save(tmp_path / name)
    assert_three_stripes(read_pixels(tmp_path / name))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_jpeg_colours_become_rgb(tmp_path, mode):
    three_stripes(mode).save(tmp_path / "a.jpg")
    assert_three_stripes(read_pixels(tmp_path / "a.jpg"))


def test_a_palette_becomes_rgb(tmp_path):
    three_stripes("P").save(tmp_path / "a.png")
    assert_three_stripes(read_pixels(tmp_path / "a.png"), tolerance=30)


def test_greyscale_gets_three_equal_channels(tmp_path):
    Image.new("L", (5, 4), 77).save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png") == np.full((4, 5, 3), 77)).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    Image.fromarray(np.full((4, 5), 100 * 257, np.uint16)).save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png") == 100).all()


def test_transparency_is_laid_over_white(tmp_path):
    Image.new("RGBA", (5, 4), (200, 100, 0, 0)).save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png") == 255).all()


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_pixels(tmp_path / "a.gif") == (255, 0, 0)).all()


def test_exif_rotation_is_applied(tmp_path):
    sideways = three_stripes().rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    sideways.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert_three_stripes(read_pixels(tmp_path / "a.jpg"))


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0"])
def test_a_broken_file_is_an_os_error_that_names_it(tmp_path, content):
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(OSError, match="broken.jpg"):
        read_pixels(tmp_path / "broken.jpg")


def test_a_truncated_jpeg_is_broken(tmp_path):
    three_stripes().save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "broken.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match="broken.jpg"):
        read_pixels(tmp_path / "broken.jpg")


@pytest.mark.parametrize("ending", sorted(EXTENSIONS))
def test_every_ending_that_is_listed_can_be_read(tmp_path, ending):
    image = three_stripes({".pgm": "L", ".pbm": "1"}.get(ending, "RGB"))
    image.save(tmp_path / f"a{ending}", **({"format": "PPM"} if ending == ".pnm" else {}))
    pixels = read_pixels(tmp_path / f"a{ending}")
    assert pixels.shape == (90, 60, 3)
    if image.mode == "RGB":
        assert_three_stripes(pixels, tolerance=16)


def test_two_photographs_in_one_jpeg_are_the_first(tmp_path):
    other = Image.new("RGB", (60, 90))
    three_stripes().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[other])
    assert_three_stripes(read_pixels(tmp_path / "a.jpg"))


def test_a_file_that_cannot_be_read_is_noted(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9\n.jpg")).write_bytes(b"broken")
    (path,), noted = tmp_path.iterdir(), {}
    assert read_or_note(path, noted.__setitem__) is None
    assert str(noted[path]).startswith(f"{tmp_path}/caf\\xe9\\n.jpg: cannot identify image file")
    three_stripes().save(tmp_path / "a.png")
    assert_three_stripes(read_or_note(tmp_path / "a.png", noted.__setitem__))
    assert list(noted) == [path]


def test_a_picture_that_is_postscript_starts_no_program(tmp_path):
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    three_stripes().save(tmp_path / "a.jpg", "EPS")
    read = "from imaging.pictures import read_pixels; import sys; read_pixels(sys.argv[1])"
    result = subprocess.run(
        [sys.executable, "-c", read, tmp_path / "a.jpg"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert not (tmp_path / "started").exists()
    assert "a.jpg: cannot identify image file" in result.stderr


def test_only_meant_formats_are_opened_anywhere():
    sources = [path for path in ROOT.rglob("*.py") if "tests" not in path.relative_to(ROOT).parts]
    calls = [
        (path.name, line.strip())
        for path in sources
        for line in path.read_text().splitlines()
        if "Image.open(" in line
    ]
    assert len(calls) >= 2
    assert [call for call in calls if "formats=" not in call[1]] == []


# --- Large pictures ---


def test_of_a_large_picture_the_proportions_and_its_own_size_stay(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = three_stripes().resize((1200, 1800)).rotate(90, expand=True)
    for name in ("a.jpg", "a.png", "a.tif"):
        image.save(tmp_path / name, exif=exif)
        pixels, size = read_reduced(tmp_path / name, 90)
        assert size == (1800, 1200)
        assert_three_stripes(pixels)
    assert read_reduced(tmp_path / "a.jpg", None)[0].shape == (1800, 1200, 3)


# --- EXIF that makes no sense ---


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_rubbish_for_exif_does_not_matter(tmp_path, name):
    three_stripes().save(tmp_path / name, exif=b"Exif\0\0rubbish, no TIFF at all")
    assert_three_stripes(read_pixels(tmp_path / name))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    ("tag", "kind"), [(0x010F, 5), (0x010F, 12), (0x011A, 2), (0x8769, 9), (0xA005, 7)]
)
def test_wrong_fields_of_exif_do_not_hide_the_orientation(tmp_path, tag, kind):
    fields = [(0x0112, 3, 6), (tag, kind, 0xFFFFFFFF if kind == 9 else 5)]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(fields))
    exif += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    image = three_stripes().rotate(90, expand=True)
    image.save(tmp_path / "a.jpg", exif=exif + bytes(4), quality=95)
    assert_three_stripes(read_pixels(tmp_path / "a.jpg"))


@pytest.mark.parametrize("orientation", [0, 9, 255, "6", (6, 6)])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, monkeypatch, orientation):
    monkeypatch.setattr(Image.Image, "getexif", lambda image: {0x0112: orientation})
    three_stripes().save(tmp_path / "a.png")
    expected = (60, 90, 3) if orientation == "6" else (90, 60, 3)
    assert read_pixels(tmp_path / "a.png").shape == expected


# --- Colour profiles ---


def to_srgb(levels, gamma, primaries):
    """What levels of other primaries are in sRGB, as its definition says."""
    linear = (np.array(levels) / 255) ** gamma @ np.array(primaries)
    linear = linear @ np.linalg.inv(SRGB)
    return 255 * np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_of_display_p3_become_those_of_srgb(tmp_path, mode, name):
    levels = (204, 102, 102)  # which web palettes have, too
    expected = to_srgb(levels, 2.2, DISPLAY_P3)
    assert np.abs(expected - levels).max() > 8
    image = Image.new("RGB", (5, 4), levels).convert(mode)
    image.save(tmp_path / name, icc_profile=colour_profile(DISPLAY_P3, 2.2))
    np.testing.assert_allclose(read_pixels(tmp_path / name)[0, 0], expected, atol=2)
    np.testing.assert_allclose(read_reduced(tmp_path / name, 3)[0][0, 0], expected, atol=2)


def test_what_is_transparent_is_white_under_any_profile(tmp_path):
    image = Image.new("RGBA", (5, 4), (170, 110, 90, 0))
    image.save(tmp_path / "a.png", icc_profile=colour_profile(DISPLAY_P3, 2.2))
    assert (read_pixels(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_has_profiles_too(tmp_path, mode):
    # Half of the light is level 188 in sRGB.
    Image.new("L", (5, 4), 128).convert(mode).save(tmp_path / "a.png", icc_profile=grey_profile(1))
    np.testing.assert_allclose(read_pixels(tmp_path / "a.png"), 188, atol=1)


def test_grey_with_a_profile_of_colours_is_read_by_it(tmp_path):
    profile = colour_profile(DISPLAY_P3, 1)
    Image.new("L", (5, 4), 128).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_allclose(read_pixels(tmp_path / "a.png"), 188, atol=1)


def test_inks_are_those_of_the_profile(tmp_path):
    image = Image.new("CMYK", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 0))
    image.save(tmp_path / "a.tif", icc_profile=ink_profile())
    # L* = 50.2 is level 119 to 120 in sRGB.
    np.testing.assert_allclose(read_pixels(tmp_path / "a.tif"), [[[255] * 3, [119.5] * 3]], atol=2)


def test_srgb_itself_changes_no_pixel(tmp_path):
    # As programs write it: a table of rounded numbers, which would move colours by a level.
    x = np.linspace(0, 1, 1024)
    table = np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) * 65535
    profile = colour_profile(SRGB, table.round().astype(int).tolist())
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", icc_profile=profile)
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png"), noise)


def test_broken_profiles_and_those_of_other_colours_are_passed_over(tmp_path):
    whole = colour_profile(DISPLAY_P3, 2.2)
    for profile, mode in itertools.product((b"rubbish", whole[:200], whole), ("RGB", "L", "CMYK")):
        if profile == whole and mode != "CMYK":
            continue
        image = Image.new("RGB", (5, 4), (119, 119, 119)).convert(mode)
        image.save(tmp_path / "a.tif", icc_profile=profile)
        assert (read_pixels(tmp_path / "a.tif") == 119).all()
    assert pictures._transform(whole)[1] is not None


# --- Cropping ---


def test_without_chance_the_central_square_is_taken():
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 255
    assert (crop_and_resize(pixels, 16) == 255).all()


def test_random_squares_stay_inside_and_differ():
    rng = np.random.default_rng(0)
    pixels = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    crops = [
        crop_and_resize(pixels, 50, rng.random(4), smallest_crop=0.8, mirror=True)
        for _ in range(50)
    ]
    widths = [int(c[0].max()) - int(c[0].min()) for c in crops]
    assert 0.7 * 200 < min(widths) < 0.85 * 200
    mirrored = sum(bool(c[0, 0, 0] > c[0, -1, 0]) for c in crops)
    assert 10 < mirrored < 40
