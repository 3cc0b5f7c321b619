import numpy as np
import tensorflow as tf

from data import LOW_RESOLUTIONS
from identity_view import IdentityView


def resized(faces, *sizes):
    for size in sizes:
        faces = tf.image.resize(faces, size, "bicubic", antialias=True)
    return faces


def test_each_face_is_seen_at_a_multiple_of_its_own_low_resolution(sample_faces):
    faces = sample_faces[0][:3]
    view = IdentityView(128, LOW_RESOLUTIONS, detail=1.5)
    seen = view(faces, np.array([(16, 12), (32, 32), (112, 96)], np.int32))
    expected = [
        resized(faces[:1], (24, 18), (160, 160)),
        resized(faces[1:2], (48, 48), (160, 160)),
        resized(faces[2:], (160, 160)),  # never more than the face itself
    ]
    np.testing.assert_allclose(seen, np.concatenate(expected), atol=5e-3)


def test_unlimited_detail_shows_faces_as_they_are(sample_faces):
    faces = sample_faces[0][:2]
    view = IdentityView(128, [(7, 6)], detail=float("inf"))
    seen = view(faces, np.array([(7, 6)] * 2, np.int32))
    np.testing.assert_allclose(seen, resized(faces, (160, 160)), atol=5e-3)


def test_strokes_finer_than_the_view_are_not_seen():
    stripes = np.arange(128) // 2 % 2 * 2.0 - 1.0  # 4 pixels a period
    faces = np.broadcast_to(stripes[:, None, None], (1, 128, 128, 3)).astype(np.float32)
    view = IdentityView(128, [(14, 12), (112, 96)], detail=1.5)
    coarse, fine = (
        np.abs(view(faces, np.array([size], np.int32)))[:, 16:-16].max()
        for size in ((14, 12), (112, 96))
    )
    assert coarse < 0.1
    assert fine > 0.5
