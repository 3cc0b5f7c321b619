import os
from pathlib import Path

import pytest
from restoring import Work

import super_resolve


@pytest.fixture
def work(tmp_path, monkeypatch, capsys):
    return Work(tmp_path, monkeypatch, capsys)


def test_a_tree_of_odd_names_is_mirrored_and_sources_stay(work):
    names = ["a b.png", "sub folder/ü.png", "sub folder/日本/лицо.JPEG", "-x.webp", "new\nline.png"]
    for name in names:
        work.picture(f"in/{name}")
    before = {p: p.read_bytes() for p in Path("in").rglob("*") if p.is_file()}
    code, out, err = work.run("in")
    assert code == 0, err
    assert work.results() == sorted(f"{os.path.splitext(name)[0]}_sr.png" for name in names)
    assert {p: p.read_bytes() for p in Path("in").rglob("*") if p.is_file()} == before
    assert {row["source"] for row in work.report()} == {f"in/{name}" for name in names}
    assert "Done     5 of 5 pictures" in out


def test_a_name_that_is_no_text_is_done_as_well(work):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        work.picture("x.png")
        Path("x.png").rename(name)
    except OSError:
        pytest.skip("this file system only takes names that are text")
    code, _, err = work.run(name)
    assert code == 0, err
    assert Path("super_resolved", os.fsdecode(b"caf\xe9_sr.png")).is_file()
    folder = os.fsdecode(b"\xe9")
    code, out, err = work.run(name, "missing_" + name, "--output", folder)
    assert (code, Path(folder, os.fsdecode(b"caf\xe9_sr.png")).is_file()) == (1, True)
    assert r"Not done: missing_caf\xe9.png: there is no such file" in err
    assert r"Done     1 of 2 pictures, see \xe9" in out
    assert [row["source"] for row in work.report()] == [r"caf\udce9.png"]


def test_a_home_that_no_shell_has_seen_to_is_found(work, monkeypatch):
    monkeypatch.setenv("HOME", str(work.folder / "home"))
    work.picture("home/in/a.png")
    work.picture("~b.png")  # a name like any other
    work.network.rename("home/net.keras")
    code, _, err = work.run("~/in", "~b.png", "--output=~/out", "--model=~/net.keras")
    assert code == 0, err
    assert sorted(p.name for p in Path("home/out").glob("*_sr.png")) == ["a_sr.png", "~b_sr.png"]
    assert not Path("~").exists()
    code, _, err = work.run("~b.png", "--output", "~nobody_of_this_name/out", "--model=x.keras")
    assert (code, "there is no home folder ~nobody_of_this_name/out" in err) == (2, True)


def test_pictures_of_one_name_do_not_replace_each_other(work):
    reds = (250, 200, 150, 100)
    for name, red in zip(("a.png", "a.bmp", "x/a.png", "y/a.png"), reds, strict=True):
        work.picture(name, color=(red, 0, 0))
    code, _, _ = work.run("a.png", "a.bmp", "x", "y/a.png", "./a.png")
    assert code == 0
    assert work.results() == ["a_2_sr.png", "a_3_sr.png", "a_4_sr.png", "a_sr.png"]
    for name, red in zip(("a_sr", "a_2_sr", "a_3_sr", "a_4_sr"), reds, strict=True):
        assert (work.result(f"{name}.png")[..., 0] == red).all()


def test_results_are_replaced_on_request_only(work):
    work.picture("a.png", color=(255, 0, 0))
    assert work.run("a.png")[0] == 0
    work.picture("a.png", color=(0, 255, 0))
    code, _, err = work.run("a.png")
    assert code == 1
    assert "a_sr.png exists; --overwrite replaces it" in err
    assert (work.result("a_sr.png") == (255, 0, 0)).all()
    assert work.run("a.png", "--overwrite")[0] == 0
    assert (work.result("a_sr.png") == (0, 255, 0)).all()
    assert [p.name for p in sorted(Path("super_resolved").glob("comparison*"))] == [
        "comparison_001.png",
        "comparison_002.png",
    ]
    assert len(work.report()) == 3


def test_a_source_is_never_replaced(work):
    work.picture("a.png")
    work.picture("a_sr.png")
    before = Path("a_sr.png").read_bytes()
    code, _, err = work.run("a.png", "a_sr.png", "-o", ".", "--overwrite")
    assert code == 1
    assert "its result would replace the source a_sr.png" in err
    assert Path("a_sr.png").read_bytes() == before
    assert Path("a_sr_sr.png").is_file()


def test_results_inside_the_searched_folder_are_not_taken_for_sources(work):
    work.picture("a.png")
    assert work.run(".")[0] == 0
    code, out, _ = work.run(".", "--overwrite")
    assert code == 0
    assert "Done     1 of 1 pictures" in out


def test_paths_that_cannot_be_used_and_folders_with_nothing_to_do_are_named(work):
    work.picture("a.png")
    work.picture(f"{'n' * 250}.png")
    work.picture("super_resolved/old.png")
    long = "x" * 300
    code, _, err = work.run("a.png", long, "n" * 250 + ".png", "super_resolved/../super_resolved/.")
    assert code == 2  # the output folder itself
    Path("sub").symlink_to("super_resolved", target_is_directory=True)
    Path("all").mkdir()
    Path("all/link.png").symlink_to(Path("super_resolved/old.png").resolve())
    code, out, err = work.run("a.png", long, "n" * 250 + ".png", "all")
    assert code == 1
    assert f"Not done: {long}: " in err
    assert f"Not done: {'n' * 250}.png: cannot write" in err
    assert "Not done: all holds no image but results in super_resolved" in err
    assert "Done     1 of 4" in out


class CornerDetector:
    """Stands in for MTCNN: finds as many faces as the class is told to, in the corner."""

    count = 2

    def __call__(self, photograph):
        return [(i, 0, 20) for i in range(self.count)]


def test_folders_of_faces_are_not_mixed_with_anything_else(work, monkeypatch):
    monkeypatch.setattr(super_resolve, "FaceDetector", CornerDetector)
    work.picture("in/party.png", (40, 40))
    work.picture("in/party_faces/1.png", (30, 30))
    assert work.run("in", "--detect")[0] == 0
    names = ["party_2_faces/1_sr.png", "party_2_faces/2_sr.png", "party_2_sr.png"]
    inner = ["1_faces/1_sr.png", "1_faces/2_sr.png", "1_sr.png"]
    expected = sorted(names + [f"party_faces/{name}" for name in inner])
    assert work.results() == expected
    rows = {row["result"]: row["input_size"] for row in work.report()}
    assert rows.keys() == {f"super_resolved/{name}" for name in expected}
    assert rows["super_resolved/party_2_sr.png"] == "40x40"

    Path("super_resolved/party_2_sr.png").unlink()
    code, _, err = work.run("in", "--detect")
    assert code == 1
    assert "super_resolved/party_2_faces exists; --overwrite replaces it" in err
    monkeypatch.setattr(CornerDetector, "count", 1)
    assert work.run("in", "--detect", "--overwrite")[0] == 0
    assert work.results() == sorted(
        name for name in expected if "2_sr.png" not in name[-9:] or name == "party_2_sr.png"
    )

    work.picture("super_resolved/a_faces/1_sr.png")
    work.picture("a.png", (40, 40))
    code, _, err = work.run("a.png", "super_resolved/a_faces/1_sr.png", "--detect", "--overwrite")
    assert code == 1
    assert "would replace the source super_resolved/a_faces/1_sr.png" in err


def test_what_is_passed_over_in_a_folder_is_said(work):
    work.picture("in/a.png")
    Path("in/b.heic").write_bytes(b"no format that is read")
    code, out, _ = work.run("in")
    assert code == 0
    assert "Passed over in in, as no pictures: 1 .heic" in out
