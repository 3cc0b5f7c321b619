import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from cheap_recogniser import Recogniser
from facenet_files import (
    deepface_name,
    random_arrays,
    share_networks,
    torch_state,
    write_keras_2,
    write_keras_3,
    write_torch_legacy,
)
from networks import narrow_unet
from processes import files_no_larger_than, sent_after_steps, wait_for_steps
from project import Project, assert_one_line, assert_same_arrays

import train
from data import Degradation, to_pixels
from facenet import FaceNet
from trained_networks import newest_network, read_people
from training.checkpoints import list_checkpoints
from training.history import read_rows

# --- One step ---

DEGRADATION = Degradation(128, [(16, 16)])


@pytest.fixture
def small_unet(monkeypatch):
    """The U-Net with an eighth of its filters."""
    return narrow_unet(monkeypatch)


@pytest.fixture
def batch(sample_faces):
    hr_pixels = to_pixels(sample_faces[0][::6])
    return hr_pixels, tf.constant([(16, 16)] * len(hr_pixels))


def step(unet, facenet, optimizer, batch, pixel_weight, embedding_weight):
    optimizer.build(unet.trainable_variables)
    weights = pixel_weight, embedding_weight
    return train.train_step(unet, facenet, DEGRADATION, optimizer, *batch, *weights)


def test_the_identity_loss_alone_trains_every_variable_of_the_unet_and_none_of_facenet(
    small_unet, facenet, batch
):
    before = [v.numpy() for v in small_unet.trainable_variables]
    frozen = facenet.network.get_weights()
    values = step(small_unet, facenet, keras.optimizers.SGD(1.0), batch, 0.0, 1.0)
    assert float(values["total"]) == float(values["embedding"]) > 0.0
    for old, new in zip(before, small_unet.trainable_variables, strict=True):
        assert np.abs(old - new.numpy()).max() > 0.0, new.path
    for old, new in zip(frozen, facenet.network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_steps_on_one_batch_lower_both_losses(small_unet, facenet, batch):
    optimizer = keras.optimizers.Adam(2e-3, 0.5)
    optimizer.build(small_unet.trainable_variables)
    compiled = tf.function(
        lambda *batch: train.train_step(
            small_unet, facenet, DEGRADATION, optimizer, *batch, 5.0, 0.3
        )
    )
    values = [{k: float(v) for k, v in compiled(*batch).items()} for _ in range(20)]
    for name in ("total", "pixel", "embedding"):
        assert values[-1][name] < 0.8 * values[0][name]
    assert values[3]["total"] == pytest.approx(
        5.0 * values[3]["pixel"] + 0.3 * values[3]["embedding"], rel=1e-5
    )


def test_float16_scales_the_loss_and_takes_the_scale_out_again(small_unet, facenet, batch):
    # Without `scale_loss` in the step, the update would be 32,768 times too small.
    start = small_unet.get_weights()
    changes = []
    for scaled in (False, True):
        small_unet.set_weights(start)
        for layer in small_unet.layers:
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        optimizer = keras.optimizers.SGD(1e-2)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        step(small_unet, facenet, optimizer, batch, 5.0, 0.3)
        changes.append(small_unet.trainable_variables[2].numpy() - start[2])
    np.testing.assert_allclose(changes[1], changes[0], rtol=1e-2, atol=1e-6)
    assert np.abs(changes[0]).max() > 0.0


@pytest.mark.parametrize(
    ("form", "expected"),
    [((True,), 2.0), ((False,), 5.0), ((True, (((7, 6), 0.0), ((16, 16), 0.25))), 0.5)],
)
def test_embeddings_are_compared_at_one_length_or_raw_and_in_part(
    small_unet, batch, form, expected
):
    # A right angle; raw, (3^2 + 1^2) / 2; a quarter of it for faces of 16x16.
    embeddings = iter([[3.0, 0.0], [0.0, 1.0]])

    def facenet(faces):
        return tf.constant([next(embeddings)] * len(faces)) + 0.0 * tf.reduce_sum(faces)

    optimizer = keras.optimizers.SGD(1e-2)
    optimizer.build(small_unet.trainable_variables)
    values = train.train_step(small_unet, facenet, DEGRADATION, optimizer, *batch, 5.0, 1.0, *form)
    assert float(values["embedding"]) == pytest.approx(expected)


def test_without_an_embedding_weight_facenet_is_not_asked(small_unet, batch):
    values = step(small_unet, None, keras.optimizers.SGD(1e-2), batch, 5.0, 0.0)
    assert float(values["pixel"]) > 0.0
    assert float(values["total"]) == pytest.approx(5.0 * float(values["pixel"]))
    assert float(values["embedding"]) == 0.0


# --- Whole runs, as a user starts them ---


def test_a_run_leaves_everything_it_promises(finished):
    found = {
        p.relative_to(finished.output).as_posix()
        for p in finished.output.rglob("*")
        if p.is_file() and p.parent.name != "logs"
    }
    assert found == {
        "checkpoints/best.keras",
        "checkpoints/step_00000004.npz",
        "checkpoints/step_00000005.npz",
        "checkpoints/step_00000006.npz",
        "config.json",
        "curves.png",
        "history.csv",
        "model.keras",
        "people.json",
        "report.md",
        "samples/step_00000002.png",
        "samples/step_00000003.png",
        "samples/step_00000004.png",
        "samples/step_00000006.png",
        "unreadable.txt",
        "validation.csv",
    }
    assert any((finished.output / "logs").iterdir())
    assert [row["step"] for row in read_rows(finished.output / "history.csv")] == list("123456")
    assert len(read_rows(finished.output / "validation.csv")) == 2 * 2


def test_the_table_is_printed_and_broken_files_are_named(finished):
    assert (finished.output / "report.md").read_text().strip() in finished.printed
    assert "| 7x6 |" in finished.printed
    assert "1 unreadable files, named in" in finished.printed
    assert "0009_01.jpg" in (finished.output / "unreadable.txt").read_text()


def test_the_saved_network_is_the_trained_one(finished):
    network = keras.models.load_model(finished.output / "model.keras")
    arrays = finished.checkpoint().arrays
    rest = 0.99**6  # of the first values 0 and 1 of batch norm, after 6 steps: taken out
    for variable in network.weights:
        (name,) = (n for n in arrays if n.split("/", 1)[1] == variable.path)
        if variable.name.startswith("moving"):
            first = float(variable.name == "moving_variance")
            expected = (arrays[name] - rest * first) / (1 - rest)
            np.testing.assert_allclose(variable, expected, rtol=1e-3, atol=1e-6)
        else:
            np.testing.assert_array_equal(variable, arrays[name])


@pytest.mark.long
def test_a_run_killed_again_and_again_ends_as_if_it_never_was(finished, tmp_path):
    project = Project(tmp_path / "project", finished.faces)
    project.edit("train.py", SAVE_MINUTES=0)
    rng = np.random.default_rng()
    for rows in (3, 5):
        process = project.fork()
        wait_for_steps(project, rows, process)
        time.sleep(rng.uniform(0.0, 1.0))  # in a step, a validation or a checkpoint
        process.kill()
        process.communicate()
        if rows == 5:  # and the newest checkpoint is damaged
            newest = list_checkpoints(project.output / "checkpoints")[-1]
            newest.write_bytes(newest.read_bytes()[:-1000])
    process = project.fork()
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert f"{newest.name} is damaged" in out
    assert "from step 0 " not in out

    checkpoint, expected = project.checkpoint(), finished.checkpoint()
    assert_same_arrays(checkpoint.arrays, expected.arrays)
    assert checkpoint.record == expected.record
    for name in ("history.csv", "validation.csv"):
        assert (project.output / name).read_text() == (finished.output / name).read_text()


def test_two_steps_do_differ(finished):
    """Guards the test above: the arrays it compares change from step to step."""
    from training.checkpoints import read_checkpoint

    paths = list_checkpoints(finished.output / "checkpoints")
    a, b = (read_checkpoint(path).arrays for path in paths[-2:])
    changed = [name for name in a if not np.array_equal(a[name], b[name])]
    assert any("seed_generator" in name for name in changed)
    assert any("moving_mean" in name for name in changed)
    assert any("velocity" in name for name in changed)
    assert any("kernel" in name for name in changed)


def test_a_signal_saves_and_says_how_to_go_on(finished, tmp_path):
    project = Project(tmp_path / "project", finished.faces)
    with sent_after_steps(project, 1, signal.SIGTERM):
        code, out, err = project.run(recogniser=Recogniser, EPOCHS=200)
    assert code == 128 + signal.SIGTERM, err
    record = project.checkpoint().record
    assert f"Stopped after step {record['step']}" in out
    assert 1 <= record["step"] == len(read_rows(project.output / "history.csv")) < 600


def test_a_finished_run_stays_as_it_is(continued, finished):
    code, out, err = continued.run()
    assert code == 0, err
    assert "from step 6 to step 6" in out
    assert_same_arrays(continued.checkpoint().arrays, finished.checkpoint().arrays)


@pytest.mark.long
def test_a_run_can_be_continued_with_other_constants_and_a_published_facenet(continued, tmp_path):
    name, (write, facts) = next(iter(FACENET_FILES.items()))
    write(tmp_path / name)
    continued.edit("train.py", FACENET_WEIGHTS=str(tmp_path / name))
    code, out, err = continued.run(EPOCHS=3, LEARNING_RATE=1e-4, CONTINUE_WITH_CHANGES=True)
    assert code == 0, err
    assert "EPOCHS was 2 and is now 3" in out
    line = next(line for line in out.splitlines() if line.startswith("FaceNet"))
    for fact in (name, *facts):
        assert fact in line
    assert continued.checkpoint().record["step"] == 9
    rows = read_rows(continued.output / "history.csv")
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates[-1] < 1e-4 / 10 < rates[-3] < 1e-4
    assert len(rows) == 9
    assert all(float(row["embedding"]) > 0.0 for row in rows)


def test_steps_are_renumbered_by_what_was_seen_when_an_epoch_has_others(continued):
    """6 steps of 4 of 13 faces were 2 epochs; with steps of 2 of 9 faces, 8 are."""
    before = continued.checkpoint()
    continued.edit("train.py", HELD_OUT_IDENTITIES=2)
    # Drawn although not trained on, and longer than all that is.
    continued.edit("train.py", SAMPLE_RESOLUTIONS=((9, 5), (112, 96)))
    code, out, err = continued.run(
        recogniser=Recogniser, BATCH_SIZE=2, EPOCHS=3, CONTINUE_WITH_CHANGES=True
    )
    assert code == 0, err
    assert "from step 8 to step 12" in out
    assert [row["step"] for row in read_rows(continued.output / "history.csv")] == [
        str(step) for step in range(9, 13)
    ]
    assert len(read_rows(continued.output / "history_1.csv")) == 6
    names = [path.name for path in list_checkpoints(continued.output / "checkpoints")]
    assert names == [f"step_{step:08d}.npz" for step in (10, 11, 12)]
    assert before.record["step"] == 6
    rates = [float(row["learning_rate"]) for row in read_rows(continued.output / "history.csv")]
    assert rates[0] == pytest.approx(2e-4 * (1 + np.cos(np.pi * 8 / 12)) / 2, rel=1e-4)
    trained_on = read_people(continued.output)["people"]  # the last one before, but not now
    assert sorted(trained_on) == ["n000001", "n000002", "n000003"]


def test_a_loss_that_explodes_stops_the_run_and_keeps_the_checkpoints(continued):
    before = list_checkpoints(continued.output / "checkpoints")
    continued.edit("train.py", EPOCHS=4, CONTINUE_WITH_CHANGES=True)
    continued.edit("train.py", SAMPLE_STEPS=60, SAVE_MINUTES=60)  # the step before was finite
    told = continued.run(recogniser=Recogniser, LEARNING_RATE=1e38)
    assert_one_line(told, "LEARNING_RATE")
    assert list_checkpoints(continued.output / "checkpoints") == before
    # What the end of the run had left is no longer the network of the run.
    assert newest_network(continued.output) == continued.output / "checkpoints" / "best.keras"
    for name in ("model_1.keras", "report_1.md"):
        assert (continued.output / name).is_file()
        assert f"is {name} now" in told[1]


def test_a_full_disk_is_named_and_keeps_the_checkpoints(continued):
    before = list_checkpoints(continued.output / "checkpoints")
    continued.edit("train.py", EPOCHS=3, CONTINUE_WITH_CHANGES=True)
    with files_no_larger_than(before[0].stat().st_size // 2):
        told = continued.run(recogniser=Recogniser)
    assert_one_line(told, "train.py: cannot save")
    assert not list(continued.output.rglob("unfinished*"))
    assert list_checkpoints(continued.output / "checkpoints") == before


FACENET_FILES = {
    "facenet_keras.h5": (
        lambda path: write_keras_2(path, random_arrays()),
        ("Keras 2 model", "128-d, prewhitened input"),
    ),
    "facenet512_weights.h5": (
        lambda path: write_keras_2(path, random_arrays(512), model=False, rename=deepface_name),
        ("deepface's names", "512-d, input (x - 127.5) / 128"),
    ),
    "20180402-114759-vggface2.pt": (
        lambda path: write_torch_legacy(path, torch_state(random_arrays(512))),
        ("PyTorch legacy file", "512-d, input (x - 127.5) / 128"),
    ),
    "facenet.weights.h5": (
        lambda path: write_keras_3(path, random_arrays()),
        ("Keras 3 weights", "128-d, prewhitened input"),
    ),
}


@pytest.mark.parametrize("name", FACENET_FILES)
def test_a_step_takes_published_weights_and_says_what_they_are(
    tmp_path, monkeypatch, name, small_unet, batch
):
    share_networks(monkeypatch)
    write, facts = FACENET_FILES[name]
    write(tmp_path / name)
    facenet = FaceNet(tmp_path / name)
    for fact in (name, *facts):
        assert fact in facenet.description
    before = small_unet.get_weights()
    values = step(small_unet, facenet, keras.optimizers.SGD(1.0), batch, 0.0, 1.0)
    assert 0.0 < float(values["embedding"]) < float("inf")
    assert any(map(np.any, map(np.subtract, small_unet.get_weights(), before)))


MISTAKES = {
    "no folder nowhere": {"TRAIN_DIR": "nowhere"},
    "holds no image": {"TRAIN_DIR": "empty"},
    "BATCH_SIZE to at most 13": {"BATCH_SIZE": 14, "OUTPUT_DIR": "other"},
    "KEEP_CHECKPOINTS must be an integer from 1": {"KEEP_CHECKPOINTS": 3.0},
    "no FaceNet weight file at none.h5": {"FACENET_WEIGHTS": "none.h5"},
    "BATCH_SIZE was 4 and is now 2": {"BATCH_SIZE": 2},
    "has done 2 epochs, so with EPOCHS = 1 nothing is left to do": {
        "EPOCHS": 1,
        "CONTINUE_WITH_CHANGES": True,
    },
}


def test_mistakes_are_named_in_one_line_and_leave_a_training_as_it_is(continued):
    (continued.folder / "empty").mkdir()
    results = [*continued.output.glob("checkpoints/step*"), *continued.output.glob("*.*")]
    before = {path: path.stat().st_mtime_ns for path in results}
    assert continued.output / "report.md" in before
    for message, constants in MISTAKES.items():
        assert_one_line(continued.run(**constants), message)
    assert {path: path.stat().st_mtime_ns for path in results} == before


def test_an_output_folder_that_cannot_be_is_named(tmp_path, face_folder):
    project = Project(tmp_path / "project", face_folder)
    (project.folder / "output").write_text("a file")
    assert_one_line(project.run(), "OUTPUT_DIR")
