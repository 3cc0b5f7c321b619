from PIL import Image

from training.curves import save_curves
from training.history import append_rows


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
