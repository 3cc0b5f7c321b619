"""Reading image files as pixels: uint8 RGB (H, W, 3) in [0, 255]. Needs no TensorFlow."""

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps


def read_pixels(path):
    """Read an image file of any common format as upright 8-bit RGB.

    EXIF rotation is applied, 16 bits become 8, greyscale and CMYK become RGB, transparency is
    laid over white, of an animation the first frame is taken.

    Args:
        path: image file.

    Returns:
        uint8 (H, W, 3).

    Raises:
        OSError: the file cannot be read as an image; the message says why.
    """
    try:
        with Image.open(path) as image:
            return _upright_rgb(image)
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise OSError(f"{path}: {error}") from error


def read_or_note(path, note):
    """Read an image file, or note why that is impossible.

    Args:
        path: image file.
        note: function from the path and the OSError of `read_pixels`.

    Returns:
        uint8 (H, W, 3), or None.
    """
    try:
        return read_pixels(path)
    except OSError as error:
        note(path, error)
        return None


def read_reduced(path, longest):
    """Read an image file as `read_pixels` does; a large one is reduced while it is read.

    Args:
        path: image file.
        longest: most pixels of the longer side.

    Returns:
        (pixels, size): uint8 (H, W, 3), and the (height, width) that the file has, upright.

    Raises:
        OSError: see `read_pixels`.
    """
    try:
        with Image.open(path) as image:
            if max(image.size) <= longest or image.mode == "F":  # which is refused anyway
                pixels = _upright_rgb(image)
                return pixels, pixels.shape[:2]
            width, height = image.size
            if image.mode.startswith("I;"):  # 16 bits, which Pillow cannot reduce
                image = image.convert("I")
            elif image.mode in ("1", "P") or "transparency" in image.info:
                image = image.convert("RGBA")
            # Of a JPEG, this decodes a smaller scale alone.
            image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
            # Asked for only now: loading a TIFF already turned it upright.
            if image.getexif().get(ExifTags.Base.Orientation, 1) > 4:
                width, height = height, width
            return _upright_rgb(image), (height, width)
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise OSError(f"{path}: {error}") from error


def _upright_rgb(image):
    """Return an open image as uint8 (H, W, 3), see `read_pixels`."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit greyscale; Pillow would clip it to 255
        image = Image.fromarray(np.uint8(np.asarray(image).clip(0, 65535) // 257))
    elif image.mode == "F":
        raise OSError("pixels are floating-point numbers of unknown range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def crop_and_resize(pixels, size, rng=None, smallest_crop=1.0, mirror=False):
    """Cut a square out of an image and resize it to the network's size.

    Args:
        pixels: uint8 (H, W, 3).
        size: height and width of the result in pixels.
        rng: `np.random.Generator` that draws the square and the mirroring; None takes the
            largest central square, unmirrored.
        smallest_crop: side of the smallest square that may be drawn, as a fraction in (0, 1] of
            the largest; 1 leaves only the position of the largest square to chance.
        mirror: whether half of the faces are mirrored left to right.

    Returns:
        uint8 (size, size, 3).
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    if rng is None:
        top, left = (height - side) // 2, (width - side) // 2
    else:
        side = max(1, round(side * rng.uniform(smallest_crop, 1.0)))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = pixels[top : top + side, left : left + side]
    if mirror and rng is not None and rng.random() < 0.5:
        square = square[:, ::-1]
    # INTER_AREA averages, so shrinking does not alias; for enlarging, OpenCV advises INTER_CUBIC.
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=interpolation)
