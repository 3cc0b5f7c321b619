import cv2
import numpy as np
import pytest
from preparing import noise

from imaging import cropping
from imaging.cropping import CropError


def test_a_turned_face_comes_to_lie_on_the_template():
    angle, scale, size = np.radians(25), 1.7, 100
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = cropping.TEMPLATE @ (90 * turn).T + (150, 80)
    pixels = np.zeros((400, 400, 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(pixels, (round(x), round(y)), 6, (255, 255, 255), -1)
    box = (*landmarks.min(0), *np.ptp(landmarks, axis=0))
    crop = cropping.crop(pixels, box, 0.3, size, landmarks)
    for x, y in (0.5 + (cropping.TEMPLATE - 0.5) / 1.3) * size:
        around = crop[round(y) - 7 : round(y) + 7, round(x) - 7 : round(x) + 7, 0].astype(float)
        rows, columns = np.mgrid[round(y) - 7 : round(y) + 7, round(x) - 7 : round(x) + 7] + 0.5
        middle = np.array([(around * columns).sum(), (around * rows).sum()]) / around.sum()
        np.testing.assert_allclose(middle, (x, y), atol=0.75)
    assert crop.shape == (size, size, 3)


def test_the_identity_alignment_is_the_plain_crop():
    pixels = noise((200, 200), 3)
    box = (50, 60, 80, 80)  # squared with this margin: 40 to 140, 50 to 150
    landmarks = cropping.TEMPLATE * 80 + (50, 60)
    plain = cropping.crop(pixels, box, 0.25, 100)
    np.testing.assert_array_equal(cropping.crop(pixels, box, 0.25, 100, landmarks), plain)
    halved = cropping.crop(pixels, box, 0.25, 50, landmarks).astype(int)
    assert np.abs(halved - cropping.crop(pixels, box, 0.25, 50)).max() <= 1


def test_landmarks_that_are_one_point_are_refused():
    with pytest.raises(CropError, match="all one point"):
        cropping.similarity(np.ones((5, 2)), cropping.TEMPLATE)


def test_the_main_face_is_large_and_central():
    boxes = [(0, 0, 40, 40), (80, 80, 40, 40), (150, 100, 20, 20)]
    assert cropping.main_face(boxes, 200, 200) == 1
    assert cropping.main_face([(0, 0, 190, 190), *boxes[1:]], 200, 200) == 0


@pytest.mark.parametrize("square", [(5, 7, 20), (-6, -3, 20), (45, 70, 30), (-10, -10, 100)])
def test_a_face_cut_out_and_put_back_changes_nothing_else(square):
    photograph = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    face = cropping.cut_out(photograph, square)
    assert face.shape == (square[2], square[2], 3)
    restored = photograph.copy()
    cropping.put_back(restored, square, face)
    assert np.abs(restored.astype(int) - photograph).max() <= 1
    cropping.put_back(restored, square, np.zeros_like(face))
    rows, columns = np.mgrid[:60, :80]
    top, left, side = square
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    np.testing.assert_array_equal(restored[~inside], photograph[~inside])
    middle = np.clip((top + side // 2, left + side // 2), 0, (59, 79))
    assert (restored[tuple(middle)] == 0).all()
