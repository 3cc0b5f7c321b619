import keras
import pytest
from keras import layers

from benchmarks import loading, step, training
from model import build_unet


def test_operations_by_hand():
    unet = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(5, 4, 2, "same"),  # 4x4 places, 4x4x3x5 products each
            layers.Conv2DTranspose(2, 4, 2, "same"),  # from 4x4 places, 4x4x2x5 products each
        ]
    )
    facenet = keras.Sequential([keras.Input((7,)), layers.Dense(9)])
    first, second = 2 * 16 * 240, 2 * 16 * 160
    counted = step.count_operations(unet, facenet, batch_size=10)
    assert counted["U-Net forward"] == 10 * (first + second)
    assert counted["U-Net forward and backward"] == 10 * (2 * first + 3 * second)
    assert counted["FaceNet on HR"] == 10 * 2 * 63
    assert counted["FaceNet on SR, forward and backward"] == 10 * 4 * 63
    assert counted["step"] == 10 * (2 * first + 3 * second + 6 * 63)


def test_a_forward_pass_of_the_unet_takes_2_86_thousand_million_products():
    unet = build_unet()
    facenet = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    forward = step.count_operations(unet, facenet, 1)["U-Net forward"]
    assert forward / 2 == pytest.approx(2.86e9, rel=0.01)


def test_input_is_measured_on_1_2_4_cores_and_so_on(monkeypatch):
    for cores, counts in ((1, [1]), (2, [1, 2]), (6, [1, 2, 4]), (16, [1, 2, 4, 8, 16])):
        monkeypatch.setattr(loading, "cpu_count", lambda cores=cores: cores)
        assert loading.core_counts() == counts


def test_a_gpu_table_names_sizes_that_do_not_fit(capsys):
    training.print_gpu_table({})
    assert "no GPU" in capsys.readouterr().out
    training.print_gpu_table({"bfloat16": {"images/s": {64: 3800.0}, "of peak": {64: 0.104}}})
    printed = capsys.readouterr().out
    assert "| batch 64 | 3,800 (10%) |" in printed
    assert "| batch 256 | does not fit |" in printed
