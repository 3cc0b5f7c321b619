import numpy as np
import pytest
from PIL import Image

from imaging.pictures import crop_and_resize, read_pixels

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


# --- Cropping ---


def test_without_chance_the_central_square_is_taken():
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 255
    assert (crop_and_resize(pixels, 16) == 255).all()


def test_random_squares_stay_inside_and_differ():
    rng = np.random.default_rng(0)
    pixels = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    crops = [crop_and_resize(pixels, 50, rng, smallest_crop=0.8, mirror=True) for _ in range(50)]
    widths = [int(c[0].max()) - int(c[0].min()) for c in crops]
    assert 0.7 * 200 < min(widths) < 0.85 * 200
    mirrored = sum(bool(c[0, 0, 0] > c[0, -1, 0]) for c in crops)
    assert 10 < mirrored < 40
