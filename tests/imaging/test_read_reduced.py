import numpy as np
import pytest
from PIL import Image
from processes import memory, start_of_peak

from imaging.pictures import read_reduced


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
        pixels, size = read_reduced(tmp_path / name, 512)
        assert size == ((3000, 2000) if large else (24, 16)), name
        height, width = pixels.shape[:2]
        assert (height, width) == ((512, 341) if large else (24, 16)), name
        assert np.abs(pixels[1, width // 2].astype(int) - top).max() < 12, name
        assert np.abs(pixels[-2, width // 2].astype(int) - bottom).max() < 12, name


def test_a_large_jpeg_is_never_decoded_in_full(tmp_path):
    path = tmp_path / "wide.jpg"
    Image.new("RGB", (10_000, 7_000), (10, 200, 30)).save(path)
    before = start_of_peak()
    if before is None:
        pytest.skip("this system does not measure the peak of memory")
    assert read_reduced(path, 512)[0].shape == (358, 512, 3)
    assert memory("VmHWM") - before < 100  # MB; all pixels would take 280
