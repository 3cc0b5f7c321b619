import types

import numpy as np
import pytest

from errors import Mistake
from evaluation.intervals import People
from evaluation.measuring import Judges
from evaluation.native import (
    AS_IT_IS,
    GALLERY,
    NATIVE,
    draw_across,
    judge_probes,
    measure_probes,
    sizes_of,
)
from evaluation.recognisers import Recogniser
from metrics import BICUBIC, SR


def colours(faces, landmarks):
    """Embed a face by its mean colour."""
    return faces.mean((1, 2))


@pytest.fixture
def native():
    """Four people of four colours: HR faces of three of them, and small probes of all."""
    red, green, blue, grey = np.uint8([[200, 0, 0], [0, 200, 0], [0, 0, 200], [90, 90, 90]])
    gallery = np.stack([np.tile(c, (32, 32, 1)) for c in (red, red, green, blue)])
    sizes = ((6, 7), (9, 5), (40, 36), (8, 8))
    probes = [
        np.tile(c, (*size, 1)) for c, size in zip((red, green, blue, grey), sizes, strict=True)
    ]
    return probes, np.array(list("rgbx")), gallery, np.array(list("rrgb"))


def test_probes_without_hr_face_are_identified_in_the_gallery(native):
    probes, people, gallery, gallery_people = native
    judges = Judges([Recogniser("r", colours, centred=True)])
    # A network that makes green of everything.
    green = np.float32([-1, 0.5, -1])
    restorer = types.SimpleNamespace(super_resolve=lambda lr_faces, sizes: lr_faces * 0 + green)
    further = {"mean": lambda faces, hr_faces: faces.mean((1, 2, 3))}
    versions, of_pictures = measure_probes(probes, gallery, restorer, judges, further)
    assert versions.keys() == {GALLERY, *((NATIVE, m) for m in (AS_IT_IS, BICUBIC, SR))}
    np.testing.assert_allclose(versions[GALLERY]["r"].mean(0), 0, atol=1e-6)
    outcomes = judge_probes(versions, of_pictures, ["r"], people, gallery_people, None)
    for method, right in ((AS_IT_IS, [1, 1, 1]), (BICUBIC, [1, 1, 1]), (SR, [0, 1, 0])):
        found = outcomes["r", (NATIVE, method)].ranks
        assert (found[:3] == 1).tolist() == right
        assert np.isnan(found[3])  # who is in no gallery cannot be found there
    sr = outcomes["r", (NATIVE, SR)].of_faces["mean"]
    np.testing.assert_allclose(sr, green.mean(), atol=1e-6)


def test_the_low_resolution_of_a_probe_is_that_of_its_square(native):
    assert sizes_of(native[0], 32) == [(7, 7), (9, 9), (32, 32), (8, 8)]


def test_native_pairs_are_a_gallery_face_and_a_probe(native):
    rng = np.random.default_rng(0)
    gallery_people = np.repeat(np.arange(12), 2)
    people = np.repeat(np.arange(12), 3)
    pairs = draw_across(gallery_people, people, 100, seed=0)
    assert len(pairs) == 100
    assert (pairs.same == (gallery_people[pairs.first] == people[pairs.second])).all()
    assert pairs.same.sum() == 50
    assert len(set(zip(pairs.first, pairs.second, strict=True))) == 100
    embeddings = np.eye(12) + rng.normal(0, 0.01, (12, 12))
    versions = {
        GALLERY: {"r": embeddings[gallery_people]},
        (NATIVE, SR): {"r": embeddings[people]},
    }
    outcome = judge_probes(versions, {}, ["r"], people, gallery_people, pairs)["r", (NATIVE, SR)]
    assert outcome.judgements["HR-LR"].verification.auc == 100.0
    with pytest.raises(Mistake, match="called alike in GALLERY_DIR and PROBE_DIR"):
        draw_across(gallery_people, people + 100, 100, seed=0)


def test_people_of_the_gallery_alone_are_always_there():
    people = People(np.array(["b", "d"]))
    people.weights = np.array([[2, 0], [1, 1]], np.float32)
    places = people.places_of(np.array(["a", "b", "c", "d", "e"]))
    assert places.tolist() == [-1, 0, -1, 1, -1]

    class Pair:
        first, second = np.array([0, 1, 3, 1]), np.array([0, 0, 0, 1])

    # a with b, b with b, d with b, b with d.
    assert people.of_pairs(Pair, places).tolist() == [[2, 2, 0, 0], [1, 1, 1, 1]]
