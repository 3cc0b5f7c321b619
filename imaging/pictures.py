"""Reading image files as pixels: uint8 RGB (H, W, 3) in [0, 255]. Needs no TensorFlow."""

import functools
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms, features

from errors import shown
from imaging.opencv import cv2

# The formats of pictures, as Pillow calls them, by the ending of a file in lower case.
ENDINGS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "PPM"),
    **{".png": "PNG", ".bmp": "BMP", ".webp": "WEBP", ".gif": "GIF"},
    **{".avif": "AVIF", ".jp2": "JPEG2000"},
}
OPTIONAL = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}  # not in every Pillow
EXTENSIONS = frozenset(
    ending
    for ending, name in ENDINGS.items()
    if name not in OPTIONAL or OPTIONAL[name] in features.get_supported()
)
# Whatever a file is called, nothing else is opened: Pillow would start Ghostscript for a
# PostScript file, and has readers that hardly anybody looks at.
FORMATS = tuple(sorted({ENDINGS[ending] for ending in EXTENSIONS}))
# By the orientation that EXIF says: what turns the picture upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
LYING = (5, 6, 7, 8)  # orientations whose height and width change places
COLOUR_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of profiles; Pillow's names
SAME_COLOUR = 2  # levels of 255 by which a profile of sRGB itself may differ


def read_pixels(path):
    """Read an image file of any of `FORMATS` as upright 8-bit sRGB.

    EXIF rotation and colour profile are applied, 16 bits become 8, greyscale and CMYK become RGB,
    transparency is laid over white, of an animation the first frame is taken. EXIF and profiles
    that make no sense are passed over.

    Args:
        path: image file.

    Returns:
        uint8 (H, W, 3).

    Raises:
        OSError: the file cannot be read as an image; the message says why.
    """
    return read_reduced(path, None)[0]


def read_reduced(path, longest):
    """Read an image file as `read_pixels` does; a large one is reduced while it is read.

    Args:
        path: image file.
        longest: most pixels of the longer side; None for any number.

    Returns:
        (pixels, size): uint8 RGB (H, W, 3), and the (height, width) that the file has, upright.

    Raises:
        OSError: the file cannot be read as an image; the message says why.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.mode == "F":
                raise OSError("pixels are floating-point numbers of unknown range")
            width, height = image.size
            if longest is not None and max(image.size) > longest:
                image = _reduce(image, longest)
            image.load()  # only now can be asked for the rest: a TIFF turns itself upright
            orientation = _orientation(image)
            if orientation in LYING:
                width, height = height, width
            profile = image.info.get("icc_profile")
            if orientation in TURNS:
                image = image.transpose(TURNS[orientation])
            if image.mode.startswith("I"):  # 16-bit greyscale; Pillow would clip it to 255
                image = Image.fromarray(np.uint8(np.asarray(image).clip(0, 65535) // 257))
            return np.asarray(_on_white(image, profile)), (height, width)
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise OSError(shown(f"{path}: {error}")) from error


def _reduce(image, longest):
    if image.mode.startswith("I;"):  # 16 bits, which Pillow cannot reduce
        image = image.convert("I")
    elif image.mode in ("1", "P") or "transparency" in image.info:
        image = image.convert("RGBA")
    # Of a JPEG, this decodes a smaller scale alone.
    image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    return image


def _orientation(image):
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # nothing else of EXIF is needed, and a picture is whole without
        return 1


def _on_white(image, profile):
    """Return an 8-bit image as sRGB, whatever is transparent laid over white."""
    if not image.has_transparency_data:
        return _to_srgb(image, profile)
    if image.mode != "LA":
        image = image.convert("RGBA")
    alpha = image.getchannel("A")
    image = _to_srgb(image.convert(image.mode[:-1]), profile)
    image.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


# --- Colours ---------------------------------------------------------------------------------


def _to_srgb(image, profile):
    """Return an image without transparency as RGB, its colours those of sRGB."""
    space, transform = _transform(profile) if profile else (None, None)
    if space == "RGB" and image.mode != "CMYK":  # also of grey pictures that once were colour
        image = image.convert("RGB")
    if transform and image.mode == space:
        return ImageCms.applyTransform(image, transform)
    return image.convert("RGB")


@functools.lru_cache(maxsize=16)
def _transform(profile):
    """Return (mode of the images a profile is for, their transform to sRGB).

    The transform is None if the profile is damaged, or sRGB itself.
    """
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        space = COLOUR_SPACES[source.profile.xcolor_space]
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), space, "RGB")
    except Exception:  # the picture is whole without
        return None, None
    if space == "RGB":
        levels = np.uint8(np.linspace(0, 255, 9))
        colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
        converted = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
        if np.abs(converted.astype(int) - colours).max() <= SAME_COLOUR:
            transform = None
    return space, transform


# --- Passing over, cropping ------------------------------------------------------------------


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


def crop_and_resize(pixels, size, draws=None, smallest_crop=1.0, mirror=False):
    """Cut a square out of an image and resize it to the network's size.

    Args:
        pixels: uint8 (H, W, 3).
        size: height and width of the result in pixels.
        draws: four numbers in [0, 1), drawn at random: for the square's side, its place from top
            to bottom and from left to right, and the mirroring. None takes the largest central
            square, unmirrored.
        smallest_crop: side of the smallest square that may be drawn, as a fraction in (0, 1] of
            the largest; 1 leaves only the position of the largest square to chance.
        mirror: whether half of the faces are mirrored left to right.

    Returns:
        uint8 (size, size, 3).
    """
    top, left, side = _square(*pixels.shape[:2], draws, smallest_crop)
    square = pixels[top : top + side, left : left + side]
    # INTER_AREA averages, so shrinking does not alias; for enlarging, OpenCV advises INTER_CUBIC.
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    resized = cv2.resize(square, (size, size), interpolation=interpolation)
    return resized[:, ::-1] if mirror and draws is not None and draws[3] < 0.5 else resized


def _square(height, width, draws, smallest_crop):
    """Return (top, left, side) of the square to cut out of an image."""
    side = min(height, width)
    if draws is None:
        return (height - side) // 2, (width - side) // 2, side
    side = max(1, round(side * (smallest_crop + (1.0 - smallest_crop) * draws[0])))
    top, left = (
        int((room - side + 1) * draw) for room, draw in ((height, draws[1]), (width, draws[2]))
    )
    return top, left, side
