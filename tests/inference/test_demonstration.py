import io

import keras
import numpy as np
import pytest
from PIL import Image
from project import SAMPLES
from sklearn.metrics.pairwise import paired_cosine_distances

from data import degrade, to_faces, to_pixels
from errors import Mistake
from imaging.pictures import crop_and_resize, read_pixels
from inference.demonstration import FIND, WHOLE, Demonstration, sizes_of
from inference.resolution import AUTO
from inference.super_resolver import SuperResolver
from metrics import BICUBIC, SR
from trained_networks import read_config

SAMPLE = SAMPLES / "n000041" / "0001_01.jpg"


def embed(faces):
    """Numbers that fine detail changes: how much each pixel differs from the one beside it."""
    return np.diff(np.asarray(faces), axis=2).reshape(len(faces), -1)


@pytest.fixture(scope="module")
def super_resolve():
    """A network that changes faces, and nothing that is slow to build."""
    kernel = keras.initializers.RandomNormal(stddev=0.3, seed=0)
    layer = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer=kernel)
    return SuperResolver(keras.Sequential([keras.Input((128, 128, 3)), layer]))


@pytest.fixture
def demonstrate(super_resolve):
    """A demonstration that finds one face at a known place, (10, 20, 100)."""
    return Demonstration(super_resolve, embed, lambda photograph: [(10, 20, 100)])


def saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("size", [(7, 6), (16, 12), (32, 32)])
def test_a_reduced_face_is_shown_in_every_version(demonstrate, size):
    versions = demonstrate(SAMPLE, WHOLE, size)
    original = crop_and_resize(read_pixels(SAMPLE), 128)
    np.testing.assert_array_equal(versions.original, original)
    assert versions.pixels.shape == (*size, 3)
    lr_face = degrade(to_faces(original), size).numpy()
    np.testing.assert_array_equal(versions.bicubic, to_pixels(lr_face))
    # The pixels shown are those that the network is given: enlarged, they are the bicubic picture.
    width, height = 128, 128
    enlarged = Image.fromarray(versions.pixels).resize((width, height), Image.Resampling.BICUBIC)
    assert np.abs(np.int32(enlarged) - versions.bicubic).max() <= 3
    assert versions.sr.shape == (128, 128, 3)
    assert np.abs(np.int32(versions.sr) - versions.bicubic).max() > 10


def test_similarity_is_the_cosine_between_the_embeddings_of_a_version_and_the_original(demonstrate):
    versions = demonstrate(SAMPLE, WHOLE, (7, 6))
    pictures = versions.bicubic, versions.sr, versions.original
    bicubic, sr, original = (embed(to_faces(picture)[None]) for picture in pictures)
    for name, embedding in ((BICUBIC, bicubic), (SR, sr)):
        expected = 1 - paired_cosine_distances(embedding, original)[0]
        assert versions.similarities[name] == pytest.approx(expected, abs=0.01)
    assert abs(versions.similarities[BICUBIC] - versions.similarities[SR]) > 0.1


def test_a_face_taken_as_it_is_has_no_original(demonstrate, super_resolve, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 3), dtype=np.uint8)
    versions = demonstrate(saved(tmp_path / "small.png", pixels), WHOLE, AUTO)
    np.testing.assert_array_equal(versions.pixels, pixels)
    assert versions.original is None
    assert (versions.similarities, versions.notes) == ({}, ())
    assert versions.bicubic.shape == versions.sr.shape == (128, 102, 3)
    _, (sr_face,) = super_resolve([pixels])
    np.testing.assert_array_equal(versions.sr, to_pixels(sr_face)[:, 13:115])


def test_what_was_enlarged_is_taken_for_what_it_was(demonstrate, tmp_path):
    small = np.asarray(Image.open(SAMPLE).resize((16, 16), Image.Resampling.BICUBIC))
    enlarged = Image.fromarray(small).resize((128, 128), Image.Resampling.BICUBIC)
    versions = demonstrate(saved(tmp_path / "a.png", np.asarray(enlarged)), WHOLE, AUTO)
    assert versions.pixels.shape == (16, 16, 3)
    assert versions.notes == ("It looks enlarged: its 128x128 pixels are taken for 16x16.",)


def test_what_is_large_already_is_said_to_gain_nothing(demonstrate):
    (note,) = demonstrate(SAMPLE, WHOLE, AUTO).notes
    assert "It has 192x192 pixels, the network gives 128x128" in note


def test_the_face_that_was_found_is_cut_out(super_resolve):
    photograph = read_pixels(SAMPLE)
    squares = [(0, 0, 12), (10, 20, 100)]
    versions = Demonstration(super_resolve, embed, lambda _: squares)(SAMPLE, FIND, (16, 12))
    expected = crop_and_resize(photograph[10:110, 20:120], 128)
    np.testing.assert_array_equal(versions.original, expected)
    assert versions.notes == ("2 faces were found; this is the largest, most central.",)


def test_the_whole_picture_is_its_middle_where_it_is_reduced(demonstrate, tmp_path):
    pixels = np.zeros((150, 250, 3), np.uint8)
    pixels[:, 50:200] = 200
    versions = demonstrate(saved(tmp_path / "wide.png", pixels), WHOLE, (16, 12))
    assert (versions.original == 200).all()
    assert versions.notes == ("Faces are square: this is the middle of the picture.",)


def test_a_face_is_searched_once_for_all_sizes(super_resolve):
    searched = []

    def detector(photograph):
        searched.append(photograph.shape)
        return [(10, 20, 100)]

    demonstrate = Demonstration(super_resolve, embed, detector)
    shapes = [demonstrate(SAMPLE, FIND, size).pixels.shape for size in ((7, 6), (16, 12))]
    assert shapes == [(7, 6, 3), (16, 12, 3)]
    assert searched == [(192, 192, 3)]


def test_few_pixels_are_said_to_tell_little(demonstrate):
    assert demonstrate(SAMPLE, WHOLE, (7, 6)).notes == (
        "So few pixels hardly tell who a person is.",
    )
    assert demonstrate(SAMPLE, WHOLE, (11, 8)).notes == ()


def test_what_cannot_be_shown_ends_in_a_sentence(super_resolve, tmp_path, monkeypatch):
    demonstrate = Demonstration(super_resolve, embed, lambda photograph: [])
    written = io.BytesIO()
    Image.open(SAMPLE).save(written, "PNG")
    for name, data in (
        ("text.png", b"no picture"),
        ("empty.jpg", b""),
        ("cut.png", written.getvalue()[:5000]),
    ):
        (tmp_path / name).write_bytes(data)
    small = saved(tmp_path / "small.png", np.zeros((20, 15, 3), np.uint8))
    for path, framing, sentence in (
        (tmp_path / "text.png", WHOLE, "This file is no picture"),
        (tmp_path / "empty.jpg", FIND, "This file is no picture"),
        (tmp_path / "cut.png", WHOLE, "This picture cannot be read: "),
        (tmp_path / "gone.png", WHOLE, "This picture is not kept any more"),
        (small, WHOLE, "This face has 20x15 pixels itself: choose a lower resolution"),
        (SAMPLE, FIND, "No face was found."),
    ):
        with pytest.raises(Mistake) as mistake:
            demonstrate(path, framing, (16, 12))
        assert sentence in str(mistake.value)
        assert str(tmp_path) not in str(mistake.value)
        assert str(mistake.value).endswith(".")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # twice that is refused
    with pytest.raises(Mistake, match="too large: it has more than 0 million pixels"):
        demonstrate(SAMPLE, WHOLE, (16, 12))


def test_sizes_are_those_of_the_training(tmp_path, monkeypatch):
    network = tmp_path / "model.keras"
    assert len(sizes_of(network, 128)) == 10
    assert (112, 96) not in sizes_of(network, 64)
    (tmp_path / "config.json").write_text(
        '{"constants": {"LOW_RESOLUTIONS": [[9, 8], [20, 20]]}, "recipe": {}}'
    )
    assert read_config(network)
    assert sizes_of(network, 128) == [(9, 8), (20, 20)]
