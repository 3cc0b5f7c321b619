"""The formats that a network is exported to: how each is written, run, and compared with Keras."""

import contextlib
import dataclasses
import functools
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from data import BACK_PROJECTIONS, LOW_RESOLUTIONS, degrade, enlarge, to_faces, to_pixels
from files import whole
from imaging.lists import find_faces, load_faces

SAMPLES = Path(__file__).parents[1] / "samples"
LIMIT = {"float32": 1e-4, "float16": 2e-2}  # largest difference to Keras, on [-1, 1]
INPUT, OUTPUT = "lr_faces", "sr_faces"


@dataclasses.dataclass(frozen=True)
class Export:
    """A way to write a network and to run what was written.

    Attributes:
        format: what the user calls it.
        file: name of the file or folder.
        precision: "float32" or "float16", of the weights.
        packages: what must be installed.
        write: function of (network, path, options of `data.Degradation` that it was trained with).
        run: function of (path, float32 lr_faces) that returns float32 sr_faces.
    """

    format: str
    file: str
    precision: str
    packages: tuple
    write: Callable
    run: Callable

    @property
    def missing(self):
        """List of the packages that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    @property
    def limit(self):
        """Largest difference to Keras, on [-1, 1]."""
        return LIMIT[self.precision]


class Differs(Exception):
    """An export that does not compute what Keras does.

    Attributes:
        difference: largest absolute difference on [-1, 1], or NaN.
    """

    def __init__(self, difference):
        super().__init__(difference)
        self.difference = difference


# --- Writing and running ---------------------------------------------------------------------


def write_keras(network, path, options):
    """Write a `.keras` file."""
    network.save(path)


def run_keras(path, lr_faces):
    """Run a `.keras` file."""
    network = keras.models.load_model(path, compile=False)
    return network(lr_faces, training=False).numpy()


def write_saved_model(network, path, options):
    """Write a SavedModel that takes pictures as they are, or faces as the network does.

    The signature "serving_default" maps `images`, uint8 RGB (B, H, W, 3) of any H and W, to
    `sr_images`, uint8 (B, S, S, 3): padded to a square and enlarged by `enlarge`, corrected by what
    the image says. The signature "faces" maps float32 `lr_faces` to `sr_faces` as the network does.
    """
    size = network.input_shape[1]
    antialias = options.get("antialias", True)
    steps = BACK_PROJECTIONS if options.get("consistent", True) else 0

    def correct(sr_faces, lr_faces, side):
        for _ in range(steps):  # as `Degradation.correct`, without its tables
            seen = tf.image.resize(sr_faces, (side, side), "bicubic", antialias=antialias)
            sr_faces += lr_faces - tf.image.resize(seen, (size, size), "bicubic", antialias=True)
        return sr_faces

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")])
    def super_resolve_images(images):
        lr_faces = enlarge(images, size)
        side = tf.minimum(tf.reduce_max(tf.shape(images)[1:3]), size)
        sr_faces = network(lr_faces, training=False)
        return {"sr_images": to_pixels(correct(sr_faces, lr_faces, side))}

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, name=INPUT)])
    def super_resolve_faces(lr_faces):
        return {OUTPUT: network(lr_faces, training=False)}

    # Not through keras.export, which stores every weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    signatures = {"serving_default": super_resolve_images, "faces": super_resolve_faces}
    with _plain(path.parent) as folder:
        tf.saved_model.save(module, str(folder / path.name), signatures)


def run_saved_model(path, lr_faces):
    """Run a SavedModel on faces."""
    with _plain(path.parent) as folder:
        loaded = tf.saved_model.load(str(folder / path.name))
        return loaded.signatures["faces"](**{INPUT: tf.constant(lr_faces)})[OUTPUT].numpy()


@contextlib.contextmanager
def _plain(folder):
    """Yield a `Path` that leads to a folder and holds nothing that TensorFlow reads otherwise.

    It takes `[`, `*` and `?` for patterns, and no bytes that are no text.
    """
    with tempfile.TemporaryDirectory() as links:
        link = Path(links, "folder")
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


def write_tflite(network, path, options, precision):
    """Write a TFLite file with weights of a precision; it computes in float32."""
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(network, Path(folder), options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["faces"])
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())


def run_tflite(path, lr_faces):
    """Run a TFLite file, a face at a time as a phone does."""
    from ai_edge_litert.interpreter import Interpreter

    # Read here: the interpreter cannot open every path that Python can.
    run = Interpreter(model_content=path.read_bytes()).get_signature_runner("faces")
    faces = [run(**{INPUT: face[None]})[OUTPUT] for face in lr_faces]
    return np.concatenate(faces)


def write_onnx(network, path, options):
    """Write an ONNX file."""
    import onnx

    from inference.onnx_graph import build_onnx

    onnx.save(build_onnx(network, INPUT, OUTPUT), path)


def run_onnx(path, lr_faces):
    """Run an ONNX file on the CPU."""
    import onnxruntime

    # Read here, as above.
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run([OUTPUT], {INPUT: lr_faces})[0]


EXPORTS = (
    Export("keras", "ipu_net.keras", "float32", (), write_keras, run_keras),
    Export("savedmodel", "ipu_net_savedmodel", "float32", (), write_saved_model, run_saved_model),
    *(
        Export(
            "tflite",
            f"ipu_net_{precision}.tflite",
            precision,
            ("ai_edge_litert",),
            functools.partial(write_tflite, precision=precision),
            run_tflite,
        )
        for precision in LIMIT
    ),
    Export("onnx", "ipu_net.onnx", "float32", ("onnx", "onnxruntime"), write_onnx, run_onnx),
)


# --- Comparing -------------------------------------------------------------------------------


def comparison_faces(size):
    """Return ten sample faces, each reduced to another low resolution, float32 (10, S, S, 3)."""
    pixels, _, _ = load_faces(find_faces(SAMPLES), len(LOW_RESOLUTIONS), size)
    pairs = zip(to_faces(pixels), LOW_RESOLUTIONS, strict=True)
    return np.stack([degrade(face, low_resolution) for face, low_resolution in pairs])


def write_compared(export, network, options, folder, lr_faces, sr_faces):
    """Write one format, load it back, compare it, and keep it if it agrees.

    Args:
        export: `Export`.
        network: `keras.Model`.
        options: of `data.Degradation`, that it was trained with.
        folder: `Path` of an existing folder; an earlier export in it is replaced.
        lr_faces: float32 faces to compare on.
        sr_faces: what Keras makes of them.

    Returns:
        Largest absolute difference, on [-1, 1].

    Raises:
        Differs: it is above the limit; nothing is kept, an earlier export stays.
    """
    with whole(folder / export.file) as unfinished:
        export.write(network, unfinished, options)
        difference = float(np.abs(export.run(unfinished, lr_faces) - sr_faces).max())
        if not difference <= export.limit:  # so if it is NaN
            raise Differs(difference)
    return difference
