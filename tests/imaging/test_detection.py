import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import SAMPLES

from imaging.detection import FaceDetector

NEEDS_MTCNN = pytest.mark.skipif(
    importlib.util.find_spec("mtcnn") is None, reason="the optional mtcnn is not installed"
)


@NEEDS_MTCNN
def test_pictures_of_other_sizes_in_a_batch_do_not_move_a_face():
    face = np.asarray(Image.open(SAMPLES / "n000041" / "0003_01.jpg"))
    others = [np.zeros((300, 500, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)]
    detector = FaceDetector()
    alone, together = detector.find([face])[0], detector.find([*others, face])[2]
    # Not the same: MTCNN sees the face at slightly other scales.
    np.testing.assert_allclose(together[0].box, alone[0].box, atol=16)
    np.testing.assert_allclose(together[0].landmarks, alone[0].landmarks, atol=16)


@NEEDS_MTCNN
def test_the_detector_ignores_files_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pnet.lz4", "rnet.lz4", "onet.lz4"):
        Path(name).write_bytes(b"something to unpickle")
    FaceDetector()
