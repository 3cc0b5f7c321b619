"""The frozen face recogniser of the identity loss.

`FaceNet(weights_path)` is all that other code needs: faces in, embeddings out. `python -m facenet
PATH` says what a weight file is and tries it on faces.
"""

from facenet.embedder import EMBEDDED_WEIGHTS, FaceNet, resize_bicubic
from facenet.errors import WeightsError

__all__ = ["EMBEDDED_WEIGHTS", "FaceNet", "WeightsError", "resize_bicubic"]
