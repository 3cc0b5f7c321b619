import collections

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import data
from data import TrainingFaces, degrade
from errors import Mistake
from imaging.pictures import crop_and_resize, read_pixels

RED, GREEN, BLUE = (200, 30, 40), (30, 200, 40), (40, 30, 200)


def three_stripes(mode="RGB"):
    """A 90x60 picture: red, green and blue from top to bottom."""
    image = Image.new("RGB", (60, 90), RED)
    image.paste(GREEN, (0, 30, 60, 60))
    image.paste(BLUE, (0, 60, 60, 90))
    return image.convert(mode)


def assert_three_stripes(pixels, tolerance=12):
    assert pixels.shape == (90, 60, 3)
    assert pixels.dtype == np.uint8
    for row, colour in ((15, RED), (45, GREEN), (75, BLUE)):
        np.testing.assert_allclose(pixels[row, 30].astype(int), colour, atol=tolerance)


# --- Reading ---


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.jpg", "a.gif", "a.tif"])
def test_common_formats_become_rgb(tmp_path, name):
    three_stripes().save(tmp_path / name)
    assert_three_stripes(read_pixels(tmp_path / name))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_jpeg_colours_become_rgb(tmp_path, mode):
    three_stripes(mode).save(tmp_path / "a.jpg")
    assert_three_stripes(read_pixels(tmp_path / "a.jpg"))


def test_a_palette_becomes_rgb(tmp_path):
    three_stripes("P").save(tmp_path / "a.png")
    assert_three_stripes(read_pixels(tmp_path / "a.png"), tolerance=30)


def test_greyscale_gets_three_equal_channels(tmp_path):
    Image.new("L", (5, 4), 77).save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png") == np.full((4, 5, 3), 77)).all()


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    Image.fromarray(np.full((4, 5), 100 * 257, np.uint16)).save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png") == 100).all()


def test_transparency_is_laid_over_white(tmp_path):
    Image.new("RGBA", (5, 4), (200, 100, 0, 0)).save(tmp_path / "a.png")
    assert (read_pixels(tmp_path / "a.png") == 255).all()


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (5, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (read_pixels(tmp_path / "a.gif") == (255, 0, 0)).all()


def test_exif_rotation_is_applied(tmp_path):
    sideways = three_stripes().rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    sideways.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert_three_stripes(read_pixels(tmp_path / "a.jpg"))


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\xff\xd8\xff\xe0"])
def test_a_broken_file_is_an_os_error_that_names_it(tmp_path, content):
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(OSError, match="broken.jpg"):
        read_pixels(tmp_path / "broken.jpg")


def test_a_truncated_jpeg_is_broken(tmp_path):
    three_stripes().save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "broken.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match="broken.jpg"):
        read_pixels(tmp_path / "broken.jpg")


# --- Finding and splitting ---


def test_faces_are_found_at_any_depth_in_a_fixed_order(tmp_path):
    for name in ("b/1.JPG", "a/deep/2.png", "a/1.jpg", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [p.relative_to(tmp_path).as_posix() for p in data.find_faces(tmp_path)]
    assert found == ["a/1.jpg", "a/deep/2.png", "b/1.JPG"]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(Mistake, match="no folder .*nowhere"):
        data.find_faces(tmp_path / "nowhere")
    with pytest.raises(Mistake, match="holds no image"):
        data.find_faces(tmp_path)


def test_held_out_identities_share_no_face_with_training(face_folder):
    paths = data.find_faces(face_folder)
    training, held_out = data.hold_out_identities(paths, 1)
    assert sorted([*training, *held_out]) == list(paths)
    assert {p.parent.name for p in held_out} == {"n000004"}
    assert {p.parent.name for p in training} == {"n000001", "n000002", "n000003"}
    for count in (0, 4, 5):
        with pytest.raises(Mistake, match="hold out"):
            data.hold_out_identities(paths, count)


def test_loaded_faces_are_spread_over_the_identities(face_folder):
    (face_folder / "n000001" / "0001_01.jpg").write_bytes(b"broken")
    pixels, identities, unreadable = data.load_faces(data.find_faces(face_folder), 8)
    assert pixels.shape == (8, 128, 128, 3)
    assert sorted(collections.Counter(identities).values()) == [2, 2, 2, 2]
    assert len(data.load_faces(data.find_faces(face_folder), 99)[0]) == 15
    assert [path.name for path in unreadable] == ["0001_01.jpg"]


# --- Cropping ---


def test_without_chance_the_central_square_is_taken():
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, 30:70] = 255
    assert (crop_and_resize(pixels, 16) == 255).all()


def test_random_squares_stay_inside_and_differ():
    rng = np.random.default_rng(0)
    pixels = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (200, 200, 3))
    crops = [crop_and_resize(pixels, 50, rng, smallest_crop=0.8, mirror=True) for _ in range(50)]
    widths = [int(c[0].max()) - int(c[0].min()) for c in crops]
    assert 0.7 * 200 < min(widths) < 0.85 * 200
    mirrored = sum(bool(c[0, 0, 0] > c[0, -1, 0]) for c in crops)
    assert 10 < mirrored < 40


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
    stream = TrainingFaces(data.find_faces(face_folder), 4, low_resolutions=((11, 8),))
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
    stream = TrainingFaces(data.find_faces(face_folder), 4)
    epochs = [[stream.paths[stream.locate(16 * e + i)[1]] for i in range(16)] for e in range(3)]
    for order in epochs:
        assert sorted(order) == list(stream.paths)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(stream.paths)


def test_batches_depend_on_seed_and_position_alone(face_folder):
    paths = data.find_faces(face_folder)
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
    paths = data.find_faces(face_folder)
    paths[3].write_bytes(b"broken")
    stream = TrainingFaces(paths, 4)
    batches = stream.batches()
    for _ in range(4):
        hr_faces = next(batches)[1]
        assert hr_faces.shape == (4, 128, 128, 3)
    assert list(stream.unreadable) == [paths[3]]
    again = TrainingFaces(paths, 4).batches(3)  # a resumed run replaces it by the same face
    np.testing.assert_array_equal(next(again)[1], hr_faces)


def test_only_unreadable_files_are_an_error_that_says_so(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(b"broken")
    with pytest.raises(Mistake, match="4 images in a row could not be read"):
        next(TrainingFaces(data.find_faces(tmp_path), 2).batches())
    with pytest.raises(Mistake, match="no readable image"):
        data.load_faces(data.find_faces(tmp_path), 2)


def test_a_batch_larger_than_the_data_names_the_constant(face_folder):
    with pytest.raises(Mistake, match="BATCH_SIZE to at most 16"):
        TrainingFaces(data.find_faces(face_folder), 17)


def test_the_fingerprint_tells_lists_apart_but_not_places(face_folder, tmp_path):
    paths = data.find_faces(face_folder)
    before = data.fingerprint(paths)
    assert data.fingerprint(paths[1:]) != before
    moved = face_folder.rename(tmp_path / "moved")
    assert data.fingerprint(data.find_faces(moved)) == before
