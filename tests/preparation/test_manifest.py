"""Going on after an interruption, and what a folder of crops refuses."""

import random
import shutil
import time

import pytest
from preparing import constants_of, files_of, noise, rows_of, run_script, save
from processes import children, is_running, wait_until

import prepare
from errors import Mistake
from preparation.manifest import PART


@pytest.fixture
def constants(monkeypatch, tmp_path):
    return constants_of(monkeypatch, tmp_path / "crops")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A source of 1,200 pictures and what an uninterrupted run makes of it."""
    folder = tmp_path_factory.mktemp("many")
    pixels = [noise((96, 80), seed) for seed in range(4)]
    for i in range(1200):
        save(folder / "source" / f"{i // 100:02}" / f"{i:04}.jpg", pixels[i % 4])
    (folder / "source/03/0319.jpg").write_bytes(b"broken")
    run_script(folder / "source", folder / "crops").communicate()
    assert len(rows_of(folder / "crops")) == 1200
    return folder


def test_after_kill_9_the_result_is_that_of_an_uninterrupted_run(many, tmp_path):
    output, source = tmp_path / "crops", many / "source"
    manifest, whole = output / "manifest_unfinished.csv", files_of(many / "crops")
    chance, kills = random.Random(0), 0
    while not (output / "manifest.csv").exists():
        process = run_script(source, output)
        before = manifest.stat().st_size if manifest.exists() else 0
        # Some time before or after the first part of this run is done.
        while process.poll() is None and not (
            manifest.exists() and manifest.stat().st_size > before
        ):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.15) if kills % 2 else 0.0)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        for path in output.rglob("[!.]*.jpg"):
            assert path.read_bytes() == whole[path.relative_to(output)]
    process = run_script(source, output)
    process.communicate()
    assert process.returncode == 0
    assert kills >= 3
    assert files_of(output) == whole


@pytest.mark.parametrize("size", [0, 5, 200, 9001, "in the last row of a part"])
def test_a_manifest_cut_anywhere_is_continued(many, tmp_path, size, constants):
    output = tmp_path / "crops"
    shutil.copytree(many / "crops", output)
    content = (output / "manifest.csv").read_bytes()
    if isinstance(size, str):
        size = content.index(b"cannot identify")
        assert (content[:size].count(b"\n") - 1) % PART == PART - 1
    (output / "manifest.csv").unlink()
    (output / "manifest_unfinished.csv").write_bytes(content[:size])
    kept = max(0, content[:size].count(b"\n") - 1) // PART * PART
    for name in [row["crop"] for row in rows_of(many / "crops").values()][kept:]:
        if name:
            (output / name).write_bytes(b"half a cr")
    constants(SOURCE_DIR=many / "source", FACES="cropped")
    prepare.main()
    assert files_of(output) == files_of(many / "crops")


def test_a_full_disk_leaves_no_half_written_crop(many, tmp_path):
    output = tmp_path / "crops"
    largest = max(
        len(content) for path, content in files_of(many / "crops").items() if path.suffix == ".jpg"
    )
    # The system cuts every write at this size, as a full disk does at some other.
    setup = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, BYTES))"
    process = run_script(many / "source", output, setup.replace("BYTES", str(largest - 1)))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "OSError: [Errno 27]" in err
    whole = files_of(many / "crops")
    crops = {p: c for p, c in files_of(output).items() if p.suffix not in (".csv", ".json")}
    assert all(whole[path] == content for path, content in crops.items())
    process = run_script(many / "source", output)
    process.communicate()
    assert process.returncode == 0
    assert files_of(output) == whole


def test_a_finished_folder_is_left_as_it_is(many, constants, tmp_path, capsys):
    output = tmp_path / "crops"
    shutil.copytree(many / "crops", output)
    constants(SOURCE_DIR=many / "source", FACES="cropped")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.jpg")}
    prepare.main()
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.jpg")} == before
    assert "1199 of 1200 pictures became crops" in capsys.readouterr().out
    constants(SOURCE_DIR=many / "source", FACES="cropped", SIZE=32, JPEG_QUALITY=90)
    with pytest.raises(Mistake, match="made with SIZE = 160, JPEG_QUALITY = 95"):
        prepare.main()
    constants(SOURCE_DIR=many / "source" / "01", FACES="cropped", SIZE=160, JPEG_QUALITY=95)
    with pytest.raises(Mistake, match="SOURCE_DIR or EXCLUDE changed"):
        prepare.main()


def test_processes_do_not_outlive_the_first(many, tmp_path):
    output = tmp_path / "crops"
    process = run_script(many / "source", output)
    if children(process) is None:
        process.kill()
        pytest.skip("this system does not list the children of a process")
    wait_until(lambda: len(children(process)) >= 2, [process])
    started = children(process)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(is_running, started)), [], timeout=10)
