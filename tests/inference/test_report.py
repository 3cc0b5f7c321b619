from pathlib import Path

import pytest
from restoring import Work

from imaging.sheets import ComparisonSheets


@pytest.fixture
def work(tmp_path, monkeypatch, capsys):
    return Work(tmp_path, monkeypatch, capsys)


def test_a_report_of_someone_else_is_left_alone(work):
    work.picture("a.png")
    Path("super_resolved").mkdir()
    Path("super_resolved/report.csv").write_text("day,profit\n1,2\n")
    code, _, err = work.run("a.png")
    assert code == 2
    assert "super_resolved/report.csv is not a report of this script" in err
    assert Path("super_resolved/report.csv").read_text() == "day,profit\n1,2\n"
    assert work.results() == []


def test_a_sheet_that_cannot_be_written_undoes_no_picture(work, monkeypatch):
    work.picture("a.png")

    def fail(self):
        raise OSError("no space left")

    monkeypatch.setattr(ComparisonSheets, "flush", fail)
    code, out, err = work.run("a.png")
    assert code == 1
    assert "Warning  cannot write a comparison sheet: no space left" in err
    assert "Not done" not in err
    assert "Done     1 of 1" in out
    assert [row["result"] for row in work.report()] == ["super_resolved/a_sr.png"]


def test_identity_similarity_is_reported_with_a_warning_for_tiny_faces(work):
    for size in ((7, 6), (11, 8), (16, 16)):
        work.picture(f"{size[0]}.png", size)
    code, out, _ = work.run("7.png", "11.png", "16.png", "--facenet")
    assert code == 0
    assert "Warning  1 of the faces are smaller than about 11x8" in out
    # The network returns its input, and the correction only makes up for what enlarging smooths.
    assert all(0.7 < float(row["identity_similarity"]) < 1.0 for row in work.report())
    assert [row["input_size"] for row in work.report()] == ["7x6", "11x8", "16x16"]
    _, out, _ = work.run("16.png", "--overwrite")
    assert "Warning" not in out
    assert work.report()[-1]["identity_similarity"] == ""
