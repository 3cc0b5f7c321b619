"""The frozen face recogniser of the identity loss.

`FaceNet(weights_path)` is all that other code needs: faces in, embeddings out. `python -m facenet
PATH` says what a weight file is and tries it on faces.
"""

from facenet.embedder import EMBEDDED_WEIGHTS, FaceNet
from facenet.errors import WeightsError
from facenet.inception_resnet_v1 import INPUT_SIZE

__all__ = ["EMBEDDED_WEIGHTS", "INPUT_SIZE", "FaceNet", "WeightsError"]
