from training.history import append_rows, cut_after, read_rows


def test_rows_are_appended_under_one_header(tmp_path):
    path = tmp_path / "history.csv"
    append_rows(path, [{"step": 1, "total": 0.5}])
    append_rows(path, [{"step": 2, "total": 0.25}, {"step": 3, "total": 0.1}])
    assert path.read_text().split() == ["step,total", "1,0.5", "2,0.25", "3,0.1"]
    assert [row["step"] for row in read_rows(path, every=2)] == ["1", "3"]
    assert read_rows(path)[1] == {"step": "2", "total": "0.25"}


def test_rows_after_a_step_and_unfinished_ones_are_cut(tmp_path):
    path = tmp_path / "history.csv"
    append_rows(path, [{"step": i, "total": i / 3} for i in range(1, 6)])
    before = path.read_text()
    with path.open("a") as file:
        file.write("6,0.0\n7,1.5\n8")
    cut_after(path, 5)
    assert path.read_text() == before
    cut_after(path, 2)
    assert [row["step"] for row in read_rows(path)] == ["1", "2"]
    cut_after(path, 0)
    assert not path.exists()
    assert read_rows(path) == []
