import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from data import LOW_RESOLUTIONS
from training.identity_view import IdentityView


def resized(faces):
    return tf.image.resize(faces, (160, 160), "bicubic", antialias=True)


def test_each_face_is_blurred_by_its_own_low_resolution(sample_faces):
    faces = sample_faces[0][:3]
    sizes = [(16, 12), (32, 32), (112, 96)]
    view = IdentityView(None, 128, LOW_RESOLUTIONS, blur=0.5)
    seen = view.view(faces, np.array(sizes, np.int32))
    for face, (height, width), result in zip(faces, sizes, seen, strict=True):
        deviations = (0.5 * 128 / height, 0.5 * 128 / width, 0.0)
        blurred = gaussian_filter(face, deviations, mode="nearest")
        np.testing.assert_allclose(result, resized(blurred), atol=5e-3)


def test_without_blur_faces_are_shown_as_they_are(sample_faces):
    faces = sample_faces[0][:2]
    view = IdentityView(None, 128, [(7, 6)], blur=0)
    seen = view.view(faces, np.array([(7, 6)] * 2, np.int32))
    np.testing.assert_allclose(seen, resized(faces), atol=5e-3)


def test_strokes_finer_than_the_view_are_not_seen():
    stripes = np.arange(128) // 2 % 2 * 2.0 - 1.0  # 4 pixels a period
    faces = np.broadcast_to(stripes[:, None, None], (1, 128, 128, 3)).astype(np.float32)
    view = IdentityView(None, 128, [(14, 12), (112, 96)], blur=0.3)
    coarse, fine = (
        np.abs(view.view(faces, np.array([size], np.int32)))[:, 16:-16].max()
        for size in ((14, 12), (112, 96))
    )
    assert coarse < 0.1
    assert fine > 0.5


def test_what_is_seen_does_not_depend_on_where_it_lies():
    spot = np.zeros((1, 128, 128, 3), np.float32)
    spot[0, 60, 60] = 1.0
    view = IdentityView(None, 128, [(7, 6)], blur=0.3)
    size = np.array([(7, 6)], np.int32)
    moved = view.view(np.roll(spot, (4, 12), (1, 2)), size)  # 5 and 15 pixels of 160
    np.testing.assert_allclose(moved, np.roll(view.view(spot, size), (5, 15), (1, 2)), atol=1e-6)
