"""Faces in photographs: finding them, cutting them out, putting them back. Needs `mtcnn`."""

import dataclasses
import importlib.resources
import importlib.util

import numpy as np
from PIL import Image

# MTCNN's box around a face is this much of the height of the pictures that the network was
# trained on, and its middle lies here in them: medians over 80 sample faces.
BOX_HEIGHT, BOX_MIDDLE = 0.88, 0.55
SMALLEST_FACE = 12  # pixels; MTCNN's smallest window
LEAST_CONFIDENCE = 0.9
LONGEST_SIDE = 2048  # larger photographs are reduced to search them, so that memory stays small
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # MTCNN's names
FEATHER = 0.1  # of the side: the border in which a face fades into its photograph


class DetectorError(RuntimeError):
    """The optional face detector cannot be used."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A face in a photograph, in pixels.

    Attributes:
        box: [left, top, width, height].
        landmarks: five [x, y]: eyes, nose, corners of the mouth, of two the one on the left first.
    """

    box: list
    landmarks: list


class FaceDetector:
    """Finds the faces of a photograph and cuts squares around them like those of the training."""

    def __init__(self):
        """Load MTCNN.

        Raises:
            DetectorError: the package is not installed, or too old.
        """
        if importlib.util.find_spec("mtcnn") is None:
            raise DetectorError("finding faces needs a package: pip install mtcnn")
        try:
            from mtcnn import MTCNN
            from mtcnn.stages import StageONet, StagePNet, StageRNet
        except ImportError as error:
            message = f"finding faces cannot use this mtcnn ({error}): pip install --upgrade mtcnn"
            raise DetectorError(message) from error

        # Given only names, mtcnn would unpickle files of these names in the current folder.
        weights = importlib.resources.files("mtcnn") / "assets" / "weights"
        stages = {"pnet.lz4": StagePNet, "rnet.lz4": StageRNet, "onet.lz4": StageONet}
        self._detector = MTCNN([stage(weights=str(weights / n)) for n, stage in stages.items()])

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


def cut_out(photograph, square):
    """Return the pixels in a square (top, left, side), edges repeated where it reaches beyond."""
    top, left, side = square
    steps = np.arange(side)
    rows = photograph.take(top + steps, axis=0, mode="clip")
    return rows.take(left + steps, axis=1, mode="clip")


def put_back(photograph, square, face):
    """Lay a face over its square of a photograph, fading at its border.

    Args:
        photograph: uint8 RGB (H, W, 3), changed in place.
        square: (top, left, side) in pixels, see `FaceDetector`.
        face: uint8 RGB (S, S, 3), resized to the side of the square.
    """
    top, left, side = square
    image = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
    height, width = photograph.shape[:2]
    rows = slice(max(0, -top), min(side, height - top))
    columns = slice(max(0, -left), min(side, width - left))
    from_edge = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    ramp = np.minimum(1.0, from_edge / max(1.0, FEATHER * side))
    weight = np.outer(ramp, ramp)[rows, columns, None]
    target = photograph[
        top + rows.start : top + rows.stop, left + columns.start : left + columns.stop
    ]
    mixed = weight * np.asarray(image)[rows, columns] + (1.0 - weight) * target
    target[:] = np.round(mixed)
