"""JPEG and PNG files as training faces, by TensorFlow's own operations: none waits for Python.

What `read_face` reads, it reads as `imaging.pictures` does: JPEG files to the same pixels, and
resized to within a level. Files that need more than decoding, by `SPECIAL_JPEG` or `PLAIN_PNG`
and `SPECIAL_PNG`, are left to `imaging.pictures`, whatever they are called.
"""

import tensorflow as tf

# RE2, over the whole of a file; \C is a byte. What is found by chance only takes longer to read.
ANYWHERE = r"(?s)\C*(?:{})\C*"
# Orientation, profiles, and colours that are not those of JFIF (Adobe's CMYK and RGB).
SPECIAL_JPEG = ANYWHERE.format("Exif|ICC_PROFILE|Adobe|tiff:Orientation")
PLAIN_PNG = r"\x08[\x00\x02]"  # 8 bits, grey or RGB: no palette, no transparency
# Chunks of animations, transparency, profiles and orientation.
SPECIAL_PNG = ANYWHERE.format("acTL|tRNS|iCCP|eXIf|Raw profile|XML:com")


def read_face(path, draws, size, smallest_crop, mirror, otherwise):
    """Read an image file, cut a square out of it and resize it to the network's size.

    Args:
        path: string scalar.
        draws: float64 (4,) in [0, 1), see `imaging.pictures.crop_and_resize`.
        size: height and width of the result in pixels.
        smallest_crop: see `crop_and_resize`.
        mirror: see `crop_and_resize`.
        otherwise: function without arguments, to the pixels of a file that is left to others.

    Returns:
        uint8 (size, size, 3). An `tf.errors.OpError` is raised for a file that cannot be read.
    """
    contents = tf.io.read_file(path)
    is_jpeg = tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff"
    is_png = tf.strings.substr(contents, 0, 8) == b"\x89PNG\r\n\x1a\n"

    def from_jpeg():
        shape = tf.io.extract_jpeg_shape(contents)
        height, width, channels = tf.unstack(shape)
        with tf.control_dependencies([tf.debugging.assert_none_equal(channels, 4)]):  # CMYK
            top, left, side = _square(height, width, draws, smallest_crop)
        # Columns are cut afterwards: at the sides of a window, colours would be others.
        window = tf.stack([top, 0, side, width])
        # libjpeg's default, as in Pillow; TensorFlow's is faster and less exact.
        exact = "INTEGER_ACCURATE"
        pixels = tf.io.decode_and_crop_jpeg(contents, window, channels=3, dct_method=exact)
        return resize(pixels[:, left : left + side], size)

    def from_png():
        pixels = tf.io.decode_png(contents, channels=3)
        height, width, _ = tf.unstack(tf.shape(pixels))
        top, left, side = _square(height, width, draws, smallest_crop)
        return resize(pixels[top : top + side, left : left + side], size)

    def decoded():
        pixels = tf.cond(is_jpeg, from_jpeg, from_png)
        if mirror:
            pixels = pixels[:, :: tf.where(draws[3] < 0.5, -1, 1)]
        return tf.ensure_shape(pixels, (size, size, 3))

    def is_plain_jpeg():
        return ~tf.strings.regex_full_match(contents, SPECIAL_JPEG)

    def is_plain_png():
        is_plain = tf.strings.regex_full_match(tf.strings.substr(contents, 24, 2), PLAIN_PNG)
        return is_plain & ~tf.strings.regex_full_match(contents, SPECIAL_PNG)

    is_other = lambda: tf.constant(False)  # noqa: E731
    is_plain = tf.cond(is_jpeg, is_plain_jpeg, lambda: tf.cond(is_png, is_plain_png, is_other))
    return tf.cond(is_plain, decoded, otherwise)


def _square(height, width, draws, smallest_crop):
    """Return (top, left, side) of a square as `imaging.pictures` draws it."""
    short = tf.cast(tf.minimum(height, width), tf.float64)
    side = tf.round(short * (smallest_crop + (1.0 - smallest_crop) * draws[0]))
    side = tf.maximum(1, tf.cast(side, tf.int32))
    top = tf.cast(tf.cast(height - side + 1, tf.float64) * draws[1], tf.int32)
    left = tf.cast(tf.cast(width - side + 1, tf.float64) * draws[2], tf.int32)
    return top, left, side


def resize(pixels, size):
    """Resize a square as `imaging.pictures.crop_and_resize` does, but for roundings.

    Args:
        pixels: uint8 (H, H, 3).
        size: height and width of the result in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    resized = tf.cond(
        tf.shape(pixels)[0] > size,
        lambda: tf.image.resize(pixels, (size, size), "area"),
        lambda: _enlarged(_enlarged(tf.cast(pixels, tf.float32), size, 0), size, 1),
    )
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def _enlarged(pixels, size, axis):
    """Enlarge one axis bicubically as OpenCV does: a = -0.75, edges repeated."""
    before = tf.shape(pixels)[axis]
    scale = tf.cast(before, tf.float32) / size
    centres = (tf.range(size, dtype=tf.float32) + 0.5) * scale - 0.5
    neighbours = tf.floor(centres)[:, None] + tf.constant([-1.0, 0.0, 1.0, 2.0])
    x = tf.abs(centres[:, None] - neighbours)
    near = (1.25 * x - 2.25) * x**2 + 1.0
    far = ((-0.75 * x + 3.75) * x - 6.0) * x + 3.0
    places = tf.clip_by_value(tf.cast(neighbours, tf.int32), 0, before - 1)
    values = tf.gather(pixels, places, axis=axis)  # `axis` became two: places, neighbours
    shape = (size, 4, 1, 1) if axis == 0 else (1, size, 4, 1)
    weights = tf.reshape(tf.where(x < 1.0, near, far), shape)
    return tf.reduce_sum(values * weights, axis=axis + 1)
