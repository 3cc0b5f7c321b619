"""Any face recogniser in ONNX format, and what its input has to look like.

Optional: `pip install onnxruntime onnx`. OpenCV can read ONNX files as well, but computes some of
them wrongly.
"""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np

from errors import Mistake
from evaluation.alignment import align
from evaluation.constants import BOX, is_box
from imaging.opencv import cv2
from imaging.pictures import crop_and_resize

POINTS, WHOLE = "points", "whole"
BATCH_SIZE = 16  # faces; it changes speed alone
FIRST_NODES = 8  # among which insightface looks for a normalisation inside the graph


@dataclasses.dataclass(frozen=True)
class Convention:
    """What a recogniser wants to be given.

    Attributes:
        size: height and width of its input in pixels.
        channels: "RGB" or "BGR".
        mean: what is subtracted from levels of 0 to 255: a number, or one per channel in the order
            of `channels`.
        scale: what the difference is multiplied with, likewise.
        layout: "NCHW" or "NHWC".
        face: "points", aligned by five landmarks; "whole", the whole picture; or (left, top,
            right, bottom) of the part that is cut out, as fractions.
        centred: whether the mean embedding of the HR faces is subtracted, as it must be where
            all numbers of an embedding are positive.
        output: name of the output that is the embedding; None takes the first that can be one.
    """

    size: tuple
    channels: str = "RGB"
    mean: float | tuple = 127.5
    scale: float | tuple = 1 / 127.5
    layout: str = "NCHW"
    face: str | tuple = POINTS
    centred: bool = False
    output: str | None = None


CHECKS = {
    "size": (lambda v: _is_size(v), "pixels, or (height, width) in pixels"),
    "channels": (lambda v: v in ("RGB", "BGR"), '"RGB" or "BGR"'),
    "mean": (lambda v: _are_levels(v), "a number, or three"),
    "scale": (lambda v: _are_levels(v), "a number, or three"),
    "layout": (lambda v: v in ("NCHW", "NHWC"), '"NCHW" or "NHWC"'),
    "face": (lambda v: v in (POINTS, WHOLE) or is_box(v), f'"{POINTS}", "{WHOLE}" or {BOX}'),
    "centred": (lambda v: isinstance(v, bool), "True or False"),
    "output": (lambda v: v is None or isinstance(v, str), "None or a name"),
}


def _are_levels(value):
    return isinstance(value, int | float) or (len(value) == 3 and all(map(_are_levels, value)))


def _is_size(value):
    sides = (value,) * 2 if type(value) is int else value
    return len(sides) == 2 and all(type(side) is int and side > 0 for side in sides)


class OnnxRecogniser:
    """A recogniser of an ONNX file.

    Attributes:
        convention: `Convention`.
    """

    def __init__(self, path, **said):
        """Load a file and find out what it wants.

        Args:
            path: the file.
            **said: fields of `Convention` that are known better than by the file.

        Raises:
            Mistake: the packages are not installed; the file is none, wants something that is not
                known, or gives no vector per face.
        """
        if importlib.util.find_spec("onnxruntime") is None:
            raise Mistake(f"{path} needs a package: pip install onnxruntime onnx")
        import onnxruntime

        if not Path(path).is_file():
            raise Mistake(f"there is no file {path}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are for those who wrote the file
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # it raises many kinds
            raise Mistake(
                f"{path} is no ONNX network: {' '.join(str(error).split())[:200]}"
            ) from error
        self._path = path
        (self._input, *others) = self._session.get_inputs()
        if others or len(self._input.shape) != 4 or self._input.type != "tensor(float)":
            raise Mistake(f"{path} does not take float pictures alone: it is no face recogniser")
        self.convention = self._find_convention(said)
        batch = self._input.shape[0]
        self._batch_size = batch if isinstance(batch, int) else BATCH_SIZE
        self._output = self._find_output()

    def _find_convention(self, said):
        known = {field.name for field in dataclasses.fields(Convention)}
        if unknown := said.keys() - known:
            raise Mistake(f"{self._path}: {min(unknown)} is none of {', '.join(sorted(known))}")
        for name, value in said.items():
            works, wanted = CHECKS.get(name, (lambda v: True, ""))
            try:
                holds = works(value)
            except TypeError:
                holds = False
            if not holds:
                raise Mistake(f"{self._path}: {name} must be {wanted}, not {value!r}")
        shape = self._input.shape[1:]
        layout = said.get("layout", "NHWC" if shape[-1] == 3 and shape[0] != 3 else "NCHW")
        sides = tuple(shape[1:] if layout == "NCHW" else shape[:2])
        size = said.get("size", sides)
        size = (size, size) if isinstance(size, int) else tuple(size)
        known = all(isinstance(side, int) and side > 0 for side in size)
        fits = all(
            own in (side, None) or isinstance(own, str)
            for own, side in zip(sides, size, strict=False)
        )
        if len(size) != 2 or not known or not fits:
            raise Mistake(f"{self._path} takes {list(self._input.shape)}: say its size, in pixels")
        own = self._by_name_and_graph(size) if not said.keys() >= {"mean", "scale"} else {}
        return Convention(**{**own, **said, "layout": layout, "size": size})

    def _by_name_and_graph(self, size):
        """Return what is known of files as people have them, by name and first nodes."""
        name = Path(self._path).name.lower()
        if "adaface" in name:
            return {"channels": "BGR"}
        if size != (112, 112):
            raise Mistake(
                f"{self._path} takes faces of {size[0]}x{size[1]}, so its input is not known: name "
                'it as {"path": ..., "channels": ..., "mean": ..., "scale": ..., "face": ...}'
            )
        if "sface" in name or self._normalises():
            return {"mean": 0.0, "scale": 1.0}
        return {}  # insightface's

    def _normalises(self):
        """Whether the graph itself begins by subtracting and multiplying, as insightface asks."""
        if importlib.util.find_spec("onnx") is None:
            raise Mistake(f"{self._path}: its graph is read by a package: pip install onnx")
        import onnx

        nodes = onnx.load(self._path, load_external_data=False).graph.node[:FIRST_NODES]
        return {"Sub", "Mul"} <= {node.op_type for node in nodes}

    def _find_output(self):
        """Return the name of the output that is a vector per face, by trying two faces."""
        names = [output.name for output in self._session.get_outputs()]
        if self.convention.output is not None:
            names = [name for name in names if name == self.convention.output]
        faces = np.zeros((2, *self.convention.size, 3), np.uint8)
        for name in names:
            self._output = name
            try:
                found = self._run(self.inputs(faces, None, aligned=True))
            except Exception as error:
                reason = " ".join(str(error).split())[:200]
                raise Mistake(f"{self._path} cannot be given faces: {reason}") from error
            if found.ndim == 2 and len(found) == 2 and found.shape[1] > 1:
                return name
        raise Mistake(f"{self._path} gives no vector per face: it is no face recogniser")

    def inputs(self, pixels, landmarks, aligned=False):
        """Return what the network is given, float32 in its layout.

        Args:
            pixels: uint8 RGB (N, H, W, 3).
            landmarks: float (N, 5, 2) where `face` is "points", else None.
            aligned: whether the pixels have the network's size and place already.
        """
        if not aligned:
            pixels = np.stack(
                [
                    self._cut(face, None if landmarks is None else landmarks[i])
                    for i, face in enumerate(pixels)
                ]
            )
        if self.convention.channels == "BGR":
            pixels = pixels[..., ::-1]
        values = (pixels - np.float32(self.convention.mean)) * np.float32(self.convention.scale)
        if self.convention.layout == "NCHW":
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values, np.float32)

    def _cut(self, face, landmarks):
        (height, width), part = self.convention.size, self.convention.face
        if part == POINTS:
            return align(face, landmarks, height, width)
        if part != WHOLE:
            sides = np.array([face.shape[1], face.shape[0]] * 2)
            left, top, right, bottom = np.round(part * sides).astype(int)
            face = face[top:bottom, left:right]
        if height == width and face.shape[0] == face.shape[1]:
            return crop_and_resize(face, height)
        shrinks = height * width < face.shape[0] * face.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return cv2.resize(face, (width, height), interpolation=interpolation)

    def embed(self, pixels, landmarks, flip=False):
        """Return the embeddings of faces, float32 (N, E).

        Args:
            pixels: uint8 RGB (N, H, W, 3).
            landmarks: see `inputs`.
            flip: whether the mean with the embedding of the mirrored input is taken.
        """
        inputs = self.inputs(pixels, landmarks)
        embeddings = self._run(inputs)
        if flip:
            axis = 3 if self.convention.layout == "NCHW" else 2
            embeddings = (embeddings + self._run(np.flip(inputs, axis))) / 2
        return embeddings

    def _run(self, inputs):
        parts = []
        for start in range(0, len(inputs), self._batch_size):
            batch = inputs[start : start + self._batch_size]
            missing = 0
            if isinstance(self._input.shape[0], int):  # a fixed number of faces, filled up
                missing = self._batch_size - len(batch)
                batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            (found,) = self._session.run(
                [self._output], {self._input.name: np.ascontiguousarray(batch)}
            )
            parts.append(np.asarray(found)[: len(found) - missing])
        return np.concatenate(parts)
