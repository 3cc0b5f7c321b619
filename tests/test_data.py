import collections

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import data
from data import TrainingFaces, degrade
from errors import Mistake
from imaging.lists import find_faces, load_faces

# --- Degradation ---


def test_faces_and_pixels_are_inverse():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    faces = data.to_faces(pixels)
    assert float(tf.reduce_min(faces)) == -1.0
    assert float(tf.reduce_max(faces)) == 1.0
    np.testing.assert_array_equal(data.to_pixels(faces), pixels)


@pytest.mark.parametrize("size", data.LOW_RESOLUTIONS)
def test_degraded_faces_stay_in_range_although_bicubic_overshoots(size):
    checkers = np.indices((128, 128)).sum(axis=0) // 9 % 2 * 2.0 - 1.0
    faces = tf.constant(np.stack([checkers] * 3, axis=-1), tf.float32)
    lr_faces = degrade(faces, size)
    assert lr_faces.shape == (128, 128, 3)
    assert -1.0 <= float(tf.reduce_min(lr_faces)) <= float(tf.reduce_max(lr_faces)) <= 1.0
    raw = tf.image.resize(tf.image.resize(faces, (32, 32), "bicubic"), (128, 128), "bicubic")
    assert float(tf.reduce_max(tf.abs(raw))) > 1.0  # what clipping is needed for


def test_height_comes_before_width():
    # Stripes along the rows survive many rows of few columns, not the other way round.
    stripes = tf.constant(
        np.tile((np.arange(128) // 8 % 2 * 2.0 - 1.0)[:, None, None], (1, 128, 3))
    )
    stripes = tf.cast(stripes, tf.float32)
    tall, wide = degrade(stripes, (64, 8)), degrade(stripes, (8, 64))
    assert float(tf.math.reduce_std(tall)) > 0.8
    assert float(tf.math.reduce_std(wide)) < 0.2


def test_antialiasing_averages_what_the_original_skips():
    # One-pixel stripes: a camera sees grey; without antialiasing single rows are picked.
    rows = np.arange(128) % 2 * 2.0 - 1.0
    stripes = tf.cast(np.tile(rows[:, None, None], (1, 128, 3)), tf.float32)
    assert float(tf.reduce_max(tf.abs(degrade(stripes, (16, 16))))) < 0.05
    aliased = degrade(stripes[:-1], (16, 16), antialias=False)
    assert float(tf.reduce_max(tf.abs(aliased))) > 0.5


def test_one_face_a_batch_and_the_training_pipeline_degrade_alike(face_folder):
    stream = TrainingFaces(find_faces(face_folder), 4, low_resolutions=((11, 8),))
    lr_faces, hr_faces, low_resolutions = next(stream.batches())
    np.testing.assert_array_equal(low_resolutions, [(11, 8)] * 4)
    together = degrade(hr_faces, (11, 8))
    np.testing.assert_allclose(lr_faces, together, atol=1e-6)
    np.testing.assert_allclose(degrade(hr_faces[2], (11, 8)), together[2], atol=1e-6)


# --- Batches ---


def test_each_size_is_drawn_for_each_face_with_probability_one_tenth(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    stream = TrainingFaces([tmp_path / "a.png"] * 1000, 10, image_size=8)
    draws = [tuple(int(x) for x in stream._draw(i)[1]) for i in range(4000)]
    counts = collections.Counter(draws)
    assert set(counts) == set(data.LOW_RESOLUTIONS)
    assert len(data.LOW_RESOLUTIONS) == 10
    assert max(abs(count - 400) for count in counts.values()) < 80  # 4 standard deviations
    batches = [set(draws[i : i + 10]) for i in range(0, 4000, 10)]
    assert np.mean([len(sizes) for sizes in batches]) > 5  # one size per face, not per batch


def test_every_epoch_visits_each_face_once_in_a_new_order(face_folder):
    stream = TrainingFaces(find_faces(face_folder), 4)
    epochs = [[stream.paths[stream.locate(16 * e + i)[1]] for i in range(16)] for e in range(3)]
    for order in epochs:
        assert sorted(order) == list(stream.paths)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(stream.paths)


def test_batches_depend_on_seed_and_position_alone(face_folder):
    paths = find_faces(face_folder)
    options = {"smallest_crop": 0.9, "mirror": True}
    whole = [
        b for b, _ in zip(TrainingFaces(paths, 4, **options).batches(), range(7), strict=False)
    ]
    for first in range(7):
        rest = TrainingFaces(paths, 4, **options).batches(first)
        for expected in whole[first:]:
            for a, b in zip(expected, next(rest), strict=True):
                np.testing.assert_array_equal(a, b)
    other = next(TrainingFaces(paths, 4, **options, seed=1).batches())
    assert not np.array_equal(other[1], whole[0][1])
    assert not np.array_equal(whole[4][1], whole[0][1])


def test_an_unreadable_file_is_named_and_replaced(face_folder):
    paths = find_faces(face_folder)
    paths[3].write_bytes(b"broken")
    stream = TrainingFaces(paths, 4)
    batches = stream.batches()
    for _ in range(4):
        hr_faces = next(batches)[1]
        assert hr_faces.shape == (4, 128, 128, 3)
    assert list(stream.unreadable.reasons) == [paths[3]]
    again = TrainingFaces(paths, 4).batches(3)  # a resumed run replaces it by the same face
    np.testing.assert_array_equal(next(again)[1], hr_faces)


def test_only_unreadable_files_are_an_error_that_says_so(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(b"broken")
    with pytest.raises(Mistake, match="4 images in a row could not be read"):
        next(TrainingFaces(find_faces(tmp_path), 2).batches())
    with pytest.raises(Mistake, match="no readable image"):
        load_faces(find_faces(tmp_path), 2)


def test_a_batch_larger_than_the_data_names_the_constant(face_folder):
    with pytest.raises(Mistake, match="BATCH_SIZE to at most 16"):
        TrainingFaces(find_faces(face_folder), 17)


def test_training_draws_the_ten_sizes_of_the_original():
    import train

    assert train.LOW_RESOLUTIONS == data.LOW_RESOLUTIONS
