import math

import numpy as np
import pytest

import metrics
from data import degrade


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


def test_perfect_faces_have_perfect_quality(sample_faces):
    faces, _ = sample_faces
    embeddings = np.eye(4, 128, dtype=np.float32)
    quality = metrics.measure(faces[:4], faces[:4], embeddings, embeddings, [0, 1, 2, 3])
    assert quality.psnr == math.inf
    assert quality.ssim == pytest.approx(1.0)
    assert quality.similarity == pytest.approx(1.0)
    assert quality.pixel == quality.embedding == 0.0


def test_psnr_and_similarity_by_hand():
    # An error of 0.2 in [-1, 1] is 0.1 in [0, 1]: 20 dB. Embeddings at right angles and equal.
    hr_faces = np.zeros((2, 16, 16, 3), np.float32)
    embeddings = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
    hr_embeddings = np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)
    quality = metrics.measure(hr_faces + 0.2, hr_faces, embeddings, hr_embeddings, [0, 1])
    assert quality.psnr == pytest.approx(20.0, abs=1e-4)
    assert quality.similarity == pytest.approx(0.5)
    assert quality.pixel == pytest.approx(0.2)
    assert quality.embedding == pytest.approx((1 + 1 + 0 + 1) / 4)


def test_held_out_faces_are_degraded_as_in_training_and_compared_with_bicubic(
    sample_faces, facenet
):
    faces, identities = sample_faces
    sizes = ((7, 6), (32, 32))
    held_out = metrics.HeldOut(faces, identities, facenet, sizes)
    np.testing.assert_allclose(held_out.lr_faces((7, 6)), degrade(faces, (7, 6)), atol=1e-6)
    unchanged = held_out.measure(lambda lr_faces: lr_faces)
    assert unchanged == held_out.bicubic
    assert held_out.bicubic[(7, 6)].psnr < held_out.bicubic[(32, 32)].psnr
    assert held_out.bicubic[(7, 6)].similarity < held_out.bicubic[(32, 32)].similarity

    better = held_out.measure(lambda lr_faces: lr_faces * 0.0)
    rows = metrics.quality_rows(held_out.bicubic, better)
    assert [row["low_resolution"] for row in rows] == ["7x6", "32x32"]
    assert rows[0]["bicubic_psnr"] == held_out.bicubic[(7, 6)].psnr
    assert rows[0]["sr_psnr"] == better[(7, 6)].psnr
    table = metrics.quality_table(held_out, better)
    assert f"{held_out.bicubic[(7, 6)].psnr:.2f} -> {better[(7, 6)].psnr:.2f}" in table


def test_the_mean_loss_weighs_both_terms():
    def quality(pixel, embedding):
        return metrics.Quality(0, 0, 0, 0, pixel, embedding)

    loss = metrics.mean_loss({(7, 6): quality(0.1, 1.0), (8, 8): quality(0.3, 2.0)}, 5.0, 2.0)
    assert loss == pytest.approx((2.5 + 5.5) / 2)
