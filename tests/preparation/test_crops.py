import numpy as np

from preparation import crops


def test_large_pictures_are_searched_in_smaller_batches(monkeypatch):
    batches = []

    class Detector:
        def find(self, photographs, smallest):
            batches.append([len(photograph) for photograph in photographs])
            return [[] for _ in photographs]

    monkeypatch.setattr(crops, "_detector", Detector)
    monkeypatch.setattr(crops, "BATCH_PIXELS", 40_000)
    sides = (100, 100, 100, 150, 100, 300, 20, 20)
    pictures = [crops.Picture(f"{i}.jpg") for i in range(len(sides) + 1)]
    pixels = [np.zeros((side, side, 3), np.uint8) for side in sides]
    crops._detect(pictures, [*pixels[:2], None, *pixels[2:]], 20)
    assert batches == [[100, 100, 100], [150], [100], [300], [20, 20]]
    assert [p.reason for p in pictures] == ["no face found"] * 2 + [""] + ["no face found"] * 6
