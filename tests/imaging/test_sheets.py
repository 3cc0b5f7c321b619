import numpy as np

from imaging.sheets import Card, draw_sheet, sample_sheet


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


def test_a_sheet_shows_names_and_pictures_of_any_proportion():
    rng = np.random.default_rng(0)
    shapes = [(16, 16), (128, 60), (30, 128), (1, 128)]
    pictures = [rng.integers(0, 100, (*shape, 3), dtype=np.uint8) for shape in shapes]
    cards = [
        Card("n" * (i * 60) + "x\udce9日.png", "16x16", (picture,) * 3)
        for i, picture in enumerate(pictures)
    ]
    sheet = np.asarray(draw_sheet(cards, 128))
    one = np.asarray(draw_sheet(cards[:1], 128))
    assert sheet.shape[1] > 2 * 3 * 128 > one.shape[1]
    large = pictures[0].repeat(8, axis=0).repeat(8, axis=1)
    left, top = 16, 42 + 20
    np.testing.assert_array_equal(sheet[top : top + 128, left : left + 128], large)
    assert (sheet[: top - 1, : left + 128] < 100).any()  # label and name
