import io

import cv2
import numpy as np
import pytest
from PIL import Image
from project import SAMPLES

from inference.resolution import effective_size, parse_resolution, undo_enlargement

KERNELS = {kernel.name: kernel for kernel in Image.Resampling}
SIZES = [(8, 8), (16, 12), (32, 32), (40, 48)]


def face(size):
    """A sample face reduced to (height, width), as a camera would, uint8."""
    with Image.open(SAMPLES / "n000041" / "0003_01.jpg") as image:
        return np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BICUBIC))


def enlarged(pixels, factor, kernel, quality=None):
    width, height = (round(factor * side) for side in pixels.shape[1::-1])
    if kernel == "OpenCV":
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC)
    else:
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), KERNELS[kernel]))
    if quality:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        pixels = np.asarray(Image.open(file))
    return pixels


@pytest.mark.parametrize("kernel", ["BICUBIC", "BILINEAR", "NEAREST", "LANCZOS", "OpenCV"])
@pytest.mark.parametrize("quality", [None, 95])
def test_enlarged_pictures_are_taken_for_what_they_were(kernel, quality):
    for size in SIZES:
        for factor in (2, 2.5, 3, 4):
            pixels = enlarged(face(size), factor, kernel, quality)
            assert effective_size(pixels) == size, (size, factor)


def test_most_pictures_are_found_through_a_strong_jpeg():
    found = [
        effective_size(enlarged(face(size), factor, kernel, 75)) == size
        for size in SIZES
        for factor in (2, 2.5, 3, 4)
        for kernel in ("BICUBIC", "BILINEAR", "NEAREST")
    ]
    assert np.mean(found) > 0.75
    quickly = [effective_size(enlarged(face((32, 32)), 4, kernel, 75)) for kernel in KERNELS]
    assert quickly.count((32, 32)) >= 4


@pytest.mark.parametrize("size", [(1, 1), (7, 6), (16, 12), (32, 32), (64, 64), (112, 96)])
def test_pictures_that_were_not_enlarged_keep_their_size(size):
    assert effective_size(face(size)) == size
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert effective_size(noise) == size
    assert effective_size(np.full_like(noise, 77)) == size
    np.testing.assert_array_equal(undo_enlargement(noise), noise)


@pytest.mark.parametrize("kernel", ["BICUBIC", "BILINEAR", "NEAREST"])
def test_an_enlargement_is_undone_exactly(kernel):
    before = face((16, 12))
    after = undo_enlargement(enlarged(before, 4, kernel))
    # Rounding is all that is lost; of bicubic enlargements, overshoot was clipped as well.
    assert np.abs(after.astype(int) - before).max() <= (8 if kernel == "BICUBIC" else 1)
    assert np.abs(after.astype(int) - before).mean() < 0.3


def test_a_resolution_can_be_named():
    assert (parse_resolution("own"), parse_resolution("auto")) == ("own", "auto")
    assert (parse_resolution("10x12"), parse_resolution("80X12")) == ((10, 12), (80, 12))
    for text in ("", "10", "10x", "0x5", "-1x5", "Auto", "10x12x3", "1.5x2"):
        with pytest.raises(ValueError, match="--resolution .* is none of"):
            parse_resolution(text)
