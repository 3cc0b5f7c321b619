"""Where a face is cut out of a picture: boxes, margins, alignment.

A box is (left, top, width, height), a landmark (x, y), both in pixels, y downwards. The five
landmarks are eyes, nose and corners of the mouth, of two the one further left in the picture first.
"""

import math

import numpy as np
from PIL import Image

from imaging.opencv import cv2
from imaging.pictures import crop_and_resize

# Where the landmarks lie in a squared box, as fractions of its side: medians of what MTCNN finds on
# 96 sample faces, made symmetric.
TEMPLATE = np.array([(0.34, 0.40), (0.66, 0.40), (0.50, 0.62), (0.36, 0.78), (0.64, 0.78)])
FEATHER = 0.1  # of the side: the border in which a face fades into its photograph
LARGEST_SIDE = 4  # times the longer side of the picture; a larger square is no face


class CropError(ValueError):
    """A face that cannot be cut out; the message says why."""


def square_around(box, margin):
    """Return the square (top, left, side) in whole pixels around the middle of a box.

    Args:
        box: (left, top, width, height).
        margin: how much longer the square is than the longer side of the box, as a fraction of it.
    """
    left, top, width, height = box
    side = max(1, round(max(width, height) * (1 + margin)))
    return round(top + height / 2 - side / 2), round(left + width / 2 - side / 2), side


def crop(pixels, box, margin, size, landmarks=None):
    """Cut a face out of a picture, edges repeated where the square reaches beyond them.

    Args:
        pixels: uint8 (H, W, 3).
        box: (left, top, width, height).
        margin: see `square_around`.
        size: height and width of the crop in pixels.
        landmarks: (5, 2), to turn and move the face so that they come to lie on `TEMPLATE` as
            closely as possible; None cuts out the square as it is.

    Returns:
        uint8 (size, size, 3).

    Raises:
        CropError: the box has no area, lies outside of the picture or is far larger than it, or
            the landmarks are all one point.
    """
    height, width = pixels.shape[:2]
    box_left, box_top, box_width, box_height = box
    if not (box_width > 0 and box_height > 0):
        raise CropError(f"the box has no area: {box_width:g}x{box_height:g}")
    overlaps = -box_width < box_left < width and -box_height < box_top < height
    if not overlaps:
        raise CropError("the box lies outside of the picture")
    top, left, side = square_around(box, margin)
    if side > LARGEST_SIDE * max(height, width):
        raise CropError("the box is far larger than the picture")
    if landmarks is None:
        return crop_and_resize(cut_out(pixels, (top, left, side)), size)
    return _align(pixels, landmarks, margin, size)


def _align(pixels, landmarks, margin, size):
    """Return the face (size, size, 3) after the similarity that fits the landmarks best."""
    target = (0.5 + (TEMPLATE - 0.5) / (1 + margin)) * size
    matrix = similarity(np.asarray(landmarks, float), target)
    # OpenCV's warp does not average; a face that shrinks is warped larger and then averaged.
    enlarged = math.ceil(min(8.0, max(1.0, 1 / math.hypot(*matrix[:, 0]) - 1e-6)))
    # Pixel centres lie at halves of the coordinates above and at whole numbers for OpenCV.
    matrix *= enlarged
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    warped = cv2.warpAffine(
        pixels,
        matrix,
        (size * enlarged, size * enlarged),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return crop_and_resize(warped, size)


def similarity(points, targets):
    """Return the 2x3 matrix of the turn, scale and shift that maps points closest to targets.

    Args:
        points: float (N, 2).
        targets: float (N, 2).

    Raises:
        CropError: the points are all one.
    """
    x, y = points.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    (a, b, dx, dy), _, rank, _ = np.linalg.lstsq(rows, targets.T.ravel(), rcond=None)
    if rank < 4:
        raise CropError("the landmarks are all one point")
    return np.array([(a, -b, dx), (b, a, dy)])


def main_face(boxes, height, width):
    """Return the index of the largest, most central box.

    The score is the area less twice the squared distance between the middles of box and picture,
    so that of two faces of like size the central one is taken.

    Args:
        boxes: list of (left, top, width, height), at least one.
        height: height of the picture.
        width: width of the picture.
    """
    left, top, box_width, box_height = np.array(boxes, float).T
    distance = np.hypot(left + box_width / 2 - width / 2, top + box_height / 2 - height / 2)
    return int(np.argmax(box_width * box_height - 2 * distance**2))


def cut_out(photograph, square):
    """Return the pixels in a square (top, left, side), edges repeated where it reaches beyond."""
    top, left, side = square
    steps = np.arange(side)
    rows = photograph.take(top + steps, axis=0, mode="clip")
    return rows.take(left + steps, axis=1, mode="clip")


def squared(picture):
    """Return a picture padded to a square by repeating its edges, the picture in the middle."""
    height, width = picture.shape[:2]
    side = max(height, width)
    return cut_out(picture, (-((side - height) // 2), -((side - width) // 2), side))


def put_back(photograph, square, face):
    """Lay a face over its square of a photograph, fading at its border.

    Args:
        photograph: uint8 RGB (H, W, 3), changed in place.
        square: (top, left, side) in pixels, see `FaceDetector`.
        face: uint8 RGB (S, S, 3), resized to the side of the square.
    """
    top, left, side = square
    image = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
    height, width = photograph.shape[:2]
    rows = slice(max(0, -top), min(side, height - top))
    columns = slice(max(0, -left), min(side, width - left))
    from_edge = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    ramp = np.minimum(1.0, from_edge / max(1.0, FEATHER * side))
    weight = np.outer(ramp, ramp)[rows, columns, None]
    target = photograph[
        top + rows.start : top + rows.stop, left + columns.start : left + columns.stop
    ]
    mixed = weight * np.asarray(image)[rows, columns] + (1.0 - weight) * target
    target[:] = np.round(mixed)
