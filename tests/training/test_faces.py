import collections

import numpy as np
import pytest
from PIL import Image

import data
from errors import Mistake
from imaging.lists import find_faces, load_faces
from training.faces import TrainingFaces


def test_each_size_is_drawn_for_each_face_with_probability_one_tenth(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    stream = TrainingFaces([tmp_path / "a.png"] * 1000, 10, image_size=8)
    draws = [tuple(int(x) for x in size) for size in stream._plan(np.arange(4000))[2]]
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
    for first in (0, 3, 4, 6):  # from the start, around the end of the first epoch, later
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
        hr_pixels, _ = next(batches)
        assert hr_pixels.shape == (4, 128, 128, 3)
    assert list(stream.unreadable.reasons) == [paths[3]]
    again = TrainingFaces(paths, 4).batches(3)  # a resumed run replaces it by the same face
    np.testing.assert_array_equal(next(again)[0], hr_pixels)


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
    with pytest.raises(Mistake, match="1 training faces do not fill one batch of 2: add faces"):
        TrainingFaces(find_faces(face_folder)[:1], 2)
