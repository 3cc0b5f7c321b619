"""Faces turned, scaled and moved so that five landmarks lie where recognisers expect them.

A landmark is (x, y) in pixels, of eyes, nose and corners of the mouth, of two the one further left
in the picture first. A whole number is the middle of a pixel.
"""

import numpy as np

from imaging.cropping import CropError, similarity
from imaging.opencv import cv2

TEMPLATE_SIZE = 112  # pixels, height and width of the picture that the template belongs to
# Where insightface, SFace, AdaFace and most others since ArcFace have been trained to expect them.
TEMPLATE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)


def align(picture, landmarks, height, width):
    """Return a face (height, width, 3) whose landmarks come as close to the template as they can.

    Args:
        picture: uint8 (H, W, 3).
        landmarks: float (5, 2), in this picture.
        height: of the result in pixels.
        width: of the result in pixels; the template is scaled with either.
    """
    # The scaling keeps the middles of pixels at whole numbers.
    scale = np.array([width, height]) / TEMPLATE_SIZE
    target = (TEMPLATE + 0.5) * scale - 0.5
    try:
        matrix = similarity(np.asarray(landmarks, float), target)
    except CropError:  # all landmarks in one point: no face was found
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR)
