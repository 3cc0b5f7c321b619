import numpy as np
import pytest

import losses
import metrics
from data import Degradation, degrade
from training.validation import HeldOut, Quality, mean_loss, quality_rows, quality_table


@pytest.mark.parametrize("unit_length", [True, False])
def test_the_embedding_loss_is_that_of_the_training_step(sample_faces, facenet, unit_length):
    faces, sizes = sample_faces[0][:3], ((7, 6), (16, 16))
    held_out = HeldOut(faces, np.arange(3), sizes, facenet, unit_length, Degradation(128, sizes))
    darker = dict(held_out.measure(lambda lr_faces, _: lr_faces - 0.1))
    for size in sizes:
        embedded = [facenet(x) for x in (degrade(faces, size) - 0.1, faces)]
        expected = float(losses.embedding_loss(*embedded, unit_length))
        assert darker[size].embedding == pytest.approx(expected, rel=1e-4)
        cosine = metrics.similarity(*map(np.asarray, embedded)).mean()
        assert darker[size].similarity == pytest.approx(cosine, abs=1e-4)


def test_held_out_faces_are_degraded_as_in_training_and_compared_with_bicubic(
    sample_faces, facenet
):
    faces, identities = sample_faces
    sizes = ((7, 6), (32, 32))
    degradation = Degradation(128, sizes)
    held_out = HeldOut(faces, identities, sizes, facenet, True, degradation)
    np.testing.assert_allclose(held_out.lr_faces((7, 6)), degrade(faces, (7, 6)), atol=1e-5)
    unchanged = dict(held_out.measure(lambda lr_faces, _: lr_faces))
    assert unchanged == held_out.bicubic
    assert held_out.bicubic[(7, 6)].psnr < held_out.bicubic[(32, 32)].psnr
    assert held_out.bicubic[(7, 6)].similarity < held_out.bicubic[(32, 32)].similarity

    better = dict(held_out.measure(lambda lr_faces, _: lr_faces * 0.0))
    rows = quality_rows(held_out.bicubic, better)
    assert [row["low_resolution"] for row in rows] == ["7x6", "32x32"]
    assert rows[0]["bicubic_psnr"] == held_out.bicubic[(7, 6)].psnr
    assert rows[0]["sr_psnr"] == better[(7, 6)].psnr
    table = quality_table(held_out, better)
    assert f"{held_out.bicubic[(7, 6)].psnr:.2f} -> {better[(7, 6)].psnr:.2f}" in table


def test_the_mean_loss_weighs_both_terms():
    def quality(pixel, embedding):
        return Quality(0, 0, 0, 0, pixel, embedding)

    loss = mean_loss({(7, 6): quality(0.1, 1.0), (8, 8): quality(0.3, 2.0)}, 5.0, 2.0, ())
    assert loss == pytest.approx((2.5 + 5.5) / 2)


def test_the_mean_loss_has_of_the_identity_loss_the_part_of_the_size():
    quality = Quality(0, 0, 0, 0, pixel=0.0, embedding=1.0)
    loss = mean_loss({(7, 6): quality, (8, 8): quality}, 5.0, 2.0, [[[7, 6], 0.25]])
    assert loss == pytest.approx((0.5 + 2.0) / 2)
