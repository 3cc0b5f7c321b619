"""The frozen face recogniser of the identity loss.

`FaceNet(weights_path)` is all that other code needs: faces in, embeddings out.
"""

from facenet.embedder import EMBEDDED_WEIGHTS, FaceNet, resize_bicubic
from facenet.weights import WeightsError

__all__ = ["EMBEDDED_WEIGHTS", "FaceNet", "WeightsError", "resize_bicubic"]
