import numpy as np
from PIL import Image

from imaging.sheets import sample_sheet
from training.curves import save_curves
from training.history import append_rows


def test_a_sheet_shows_every_face_of_every_column_in_rgb():
    red, blue = (np.full((2, 32, 32, 3), c, np.uint8) for c in ((255, 0, 0), (0, 0, 255)))
    columns = [("7x6", "bicubic", red), ("7x6", "SR", blue), ("128x128", "HR", red)]
    sheet = np.asarray(sample_sheet(columns, "title"))
    assert (sheet == (255, 0, 0)).all(axis=-1).sum() == 2 * 2 * 32 * 32
    assert (sheet == (0, 0, 255)).all(axis=-1).sum() == 2 * 32 * 32
    first_red, first_blue = (
        np.argwhere((sheet == c).all(axis=-1))[0] for c in ((255, 0, 0), (0, 0, 255))
    )
    assert first_red[0] == first_blue[0]
    assert first_red[1] < first_blue[1]


def test_curves_are_drawn_from_the_csv_files(tmp_path):
    rows = [
        {"step": i, "pixel": 1 / i, "embedding": 2 / i, "learning_rate": 1e-3} for i in range(1, 9)
    ]
    append_rows(tmp_path / "history.csv", rows)
    save_curves(tmp_path)  # before the first validation
    metrics = {f"{k}_{m}": 0.5 for k in ("sr", "bicubic") for m in ("psnr", "similarity", "rank1")}
    append_rows(
        tmp_path / "validation.csv",
        [{"step": 4, "low_resolution": s, **metrics} for s in ("7x6", "16x16")],
    )
    save_curves(tmp_path)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size[0] > 800
