"""Where faces are in photographs: found by MTCNN. Needs `mtcnn`."""

import dataclasses
import importlib.resources
import importlib.util

import numpy as np
from PIL import Image

from errors import Mistake

# MTCNN's box around a face is this much of the height of the pictures that the network was
# trained on, and its middle lies here in them: medians over 80 sample faces.
BOX_HEIGHT, BOX_MIDDLE = 0.88, 0.55
SMALLEST_FACE = 12  # pixels; MTCNN's smallest window
LEAST_CONFIDENCE = 0.9
LONGEST_SIDE = 2048  # larger photographs are reduced to search them, so that memory stays small
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # MTCNN's names


@dataclasses.dataclass(frozen=True)
class Found:
    """A face in a photograph, in pixels.

    Attributes:
        box: [left, top, width, height].
        landmarks: five [x, y]: eyes, nose, corners of the mouth, of two the one on the left first.
    """

    box: list
    landmarks: list


def import_mtcnn():
    """Import MTCNN without computing anything, so that no GPU is taken.

    Returns:
        (its class, {file of weights: class of the stage}).

    Raises:
        Mistake: the package is not installed, or too old.
    """
    if importlib.util.find_spec("mtcnn") is None:
        raise Mistake("finding faces needs a package: pip install mtcnn")
    import hardware  # noqa: F401  # before TensorFlow, whose notes at its start look like errors

    try:
        from mtcnn import MTCNN
        from mtcnn.stages import StageONet, StagePNet, StageRNet
    except ImportError as error:
        message = f"finding faces cannot use this mtcnn ({error}): pip install --upgrade mtcnn"
        raise Mistake(message) from error
    return MTCNN, {"pnet.lz4": StagePNet, "rnet.lz4": StageRNet, "onet.lz4": StageONet}


class FaceDetector:
    """Finds the faces of a photograph and cuts squares around them like those of the training."""

    def __init__(self):
        """Load MTCNN.

        Raises:
            Mistake: see `import_mtcnn`.
        """
        mtcnn, stages = import_mtcnn()
        # Given only names, mtcnn would unpickle files of these names in the current folder.
        weights = importlib.resources.files("mtcnn") / "assets" / "weights"
        self._detector = mtcnn([stage(weights=str(weights / n)) for n, stage in stages.items()])

    def __call__(self, photograph):
        """Find faces.

        Args:
            photograph: uint8 RGB (H, W, 3).

        Returns:
            List of squares (top, left, side) in pixels, from the top of the photograph down; they
            may reach beyond its edges.
        """
        return sorted(_square(face.box) for face in self.find([photograph])[0])

    def find(self, photographs, smallest=SMALLEST_FACE):
        """Find the faces of several photographs at once.

        Args:
            photographs: list of uint8 RGB (H, W, 3), each of its own size.
            smallest: side of the smallest face looked for, in pixels; 12 is the least.

        Returns:
            A list of `Found` per photograph.
        """
        reduced, factors = zip(*(_reduce(photograph) for photograph in photographs), strict=True)
        # Padded here: mtcnn 1.0 pads as well, but shifts results by the padding of other pictures.
        height, width = np.max([picture.shape[:2] for picture in reduced], axis=0)
        padded = [
            np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1]), (0, 0))) for p in reduced
        ]
        found = self._detector.detect_faces(padded, min_face_size=smallest)
        return [
            [_found(face, factor) for face in faces if face["confidence"] >= LEAST_CONFIDENCE]
            for faces, factor in zip(found, factors, strict=True)
        ]


def _found(face, factor):
    """Return a face that MTCNN found in a reduced picture as `Found` in the picture itself."""
    landmarks = [[float(edge) * factor for edge in face["keypoints"][name]] for name in LANDMARKS]
    return Found([float(edge) * factor for edge in face["box"]], landmarks)


def _reduce(photograph):
    """Return (photograph of at most `LONGEST_SIDE`, by how much it was reduced)."""
    height, width = photograph.shape[:2]
    factor = max(1.0, max(height, width) / LONGEST_SIDE)
    if factor == 1.0:
        return photograph, factor
    size = max(1, round(width / factor)), max(1, round(height / factor))
    image = Image.fromarray(photograph)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2)), factor


def _square(box):
    left, top, width, height = box
    side = max(width, height) / BOX_HEIGHT
    y, x = top + height / 2 - BOX_MIDDLE * side, left + width / 2 - side / 2
    return round(y), round(x), max(1, round(side))
