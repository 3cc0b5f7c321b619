import math

import numpy as np
import pytest

import metrics
from data import Degradation, degrade


def test_rank1_by_hand():
    # A stands at angle 0 and 20, B at 90 and 110; C, alone, at 50, is not counted.
    def at(*degrees):
        return np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)

    gallery, people = at(0, 20, 90, 110, 50), list("AABBC")
    assert metrics.rank1_identification(gallery, gallery, people) == 100.0
    # Face 0 at 30: A without its own photograph is at 20, C at 50, so A. Face 1 at 30: A without
    # its own is at 0, C at 50 is nearer, so wrong. Face 2 at 60: B is at 110, C nearer, wrong.
    # Face 3 at 100: B is at 90, right.
    probes = 7.0 * at(30, 30, 60, 100, 0)
    assert metrics.rank1_identification(probes, gallery, people) == 50.0


def test_rank1_without_two_photographs_or_two_people_is_not_a_number():
    assert math.isnan(metrics.rank1_identification(np.eye(3), np.eye(3), [1, 2, 3]))
    assert math.isnan(metrics.rank1_identification(np.eye(3), np.eye(3), [1, 1, 1]))


def test_ranks_by_hand():
    # A, B and C, two faces each, at right angles to each other.
    gallery, people = np.repeat(np.eye(3), 2, axis=0), list("AABBCC")
    probes = np.array(
        [
            [3.0, 2.0, 1.0],  # A, then B, then C
            [2.0, 3.0, 1.0],  # B, then A
            [1.0, 2.0, 3.0],  # C, then B
            [2.0, 1.0, 3.0],  # C, then A, then B
            [1.0, 1.0, 1.0],  # no opinion counts as wrong
            [0.0, 0.0, 1.0],
        ]
    )
    ranks = metrics.identification_ranks(probes, gallery, people)
    assert ranks.tolist() == [1, 2, 2, 3, 3, 1]
    # The same in a gallery of other pictures, where D is not and E is nobody's.
    gallery_people = np.array(["A", "B", "C", "E"])
    gallery = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [-1.0, -1.0, -1.0]])
    ranks = metrics.ranks_in_gallery(probes, np.array(list("AABBCD")), gallery, gallery_people)
    assert ranks[:5].tolist() == [1, 2, 2, 3, 3]
    assert math.isnan(ranks[5])


def measured(faces, hr_faces):
    """Measure faces by returning them in place of the degraded ones."""
    degradation = Degradation(hr_faces.shape[1], [(8, 8)])
    methods = {"SR": lambda *_: faces}
    ((_, _, of_faces),) = metrics.measure(hr_faces, [(8, 8)], methods, {}, degradation)
    return of_faces


def test_perfect_faces_have_perfect_quality(sample_faces):
    faces, _ = sample_faces
    perfect = measured(faces[:4], faces[:4])
    # As good as rounding to 8 bits leaves a picture: 1/12 level of mean squared error.
    assert perfect.psnr == pytest.approx([58.92] * 4, abs=0.01)
    assert perfect.ssim == pytest.approx(np.ones(4))
    assert not perfect.pixel.any()
    assert not perfect.shift.any()


def test_a_flat_face_has_no_quality_and_leaves_the_mean_of_the_others_alone(sample_faces):
    faces = sample_faces[0][:2].copy()
    faces[1] = 0.5
    degraded = np.asarray(degrade(faces, (16, 16)))
    of_faces = measured(degraded, faces)
    alone = measured(degraded[:1], faces[:1])
    assert np.isnan(of_faces.psnr[1])
    assert np.isnan(of_faces.ssim[1])
    assert metrics.known_mean(of_faces.psnr) == pytest.approx(alone.psnr[0])
    assert metrics.known_mean(of_faces.ssim) == pytest.approx(alone.ssim[0])


def test_psnr_by_hand():
    # An error of 0.2 in [-1, 1] is 0.1 in [0, 1]: 20 dB.
    hr_faces = np.zeros((2, 16, 16, 3), np.float32)
    hr_faces[:, ::2] = 0.5
    of_faces = measured(hr_faces + 0.2, hr_faces)
    assert of_faces.psnr == pytest.approx([20.0, 20.0], abs=1e-4)
    assert of_faces.pixel == pytest.approx([0.2, 0.2])
    np.testing.assert_allclose(of_faces.shift, 0.2 * 127.5, atol=1e-4)


def test_every_size_is_degraded_restored_and_embedded(sample_faces):
    faces, sizes = sample_faces[0][:2], [(7, 6), (32, 32)]
    methods = {"bicubic": None, "SR": lambda lr_faces, sizes: -lr_faces}
    embedders = {"first": lambda faces, size: faces[:, 0, 0], "size": lambda faces, size: size}
    found = list(metrics.measure(faces, sizes, methods, embedders, Degradation(128, sizes)))
    assert [(size, method) for size, method, _ in found] == [
        (size, method) for size in sizes for method in methods
    ]
    lr_faces = np.asarray(degrade(faces, (7, 6)))
    bicubic, sr = found[0][2], found[1][2]
    np.testing.assert_allclose(bicubic.embeddings["first"], lr_faces[:, 0, 0], atol=1e-5)
    np.testing.assert_allclose(sr.embeddings["first"], -lr_faces[:, 0, 0], atol=1e-5)
    assert [of_faces.embeddings["size"] for *_, of_faces in found] == [(7, 6)] * 2 + [(32, 32)] * 2


def test_similarity_by_hand():
    # Embeddings at right angles and equal in direction.
    embeddings, hr_embeddings = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 1.0]] * 2)
    assert metrics.similarity(embeddings, hr_embeddings) == pytest.approx([0.0, 1.0])


def test_what_is_not_known_is_left_out_of_a_mean():
    assert metrics.known_mean(np.array([1.0, math.nan, 3.0])) == 2.0
    assert math.isnan(metrics.known_mean(np.array([math.nan])))
