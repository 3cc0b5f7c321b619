"""Take a trained network elsewhere: Keras, SavedModel, TFLite and ONNX, each one checked.

`python export.py` writes all formats whose packages are installed.
"""

from hardware.precision import use_hardware

import argparse
import dataclasses
import functools
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from data import LOW_RESOLUTIONS, degrade, to_faces, to_pixels
from errors import Mistake
from imaging.lists import find_faces, load_faces
from inference.super_resolver import enlarge
from trained_networks import add_model_option, load_network, newest_network

EXPORTS = "exported"
SAMPLES = Path(__file__).parent / "samples"
LIMIT = {"float32": 1e-4, "float16": 2e-2}  # largest difference to Keras, on [-1, 1]
INPUT, OUTPUT = "lr_faces", "sr_faces"

DESCRIPTION = """\
Export a trained network, load every export back with its own runtime, and compare it with Keras
on ten sample faces of ten low resolutions. An export that differs too much is not kept."""

EPILOG = """\
formats:
  keras       ipu_net.keras             for keras.models.load_model
  savedmodel  ipu_net_savedmodel/       for TensorFlow and TensorFlow Serving
  tflite      ipu_net_float32.tflite,   for LiteRT on phones and small devices
              ipu_net_float16.tflite    (needs: pip install ai-edge-litert)
  onnx        ipu_net.onnx              for ONNX Runtime (needs: pip install onnx onnxruntime)

All take lr_faces and give sr_faces: float32 RGB (B, 128, 128, 3) in [-1, 1], enlarged bicubically
beforehand. Only the SavedModel's "serving_default" takes images, uint8 RGB (B, H, W, 3) of any
size, and gives sr_images, uint8 (B, 128, 128, 3). Exit code: 0 all exports agree, 1 some do not,
2 the command cannot work as it was given."""


@dataclasses.dataclass(frozen=True)
class Export:
    """A way to write a network and to run what was written.

    Attributes:
        format: what the user calls it.
        file: name of the file or folder.
        precision: "float32" or "float16", of the weights.
        packages: what must be installed.
        write: function of (network, path).
        run: function of (path, float32 lr_faces) that returns float32 sr_faces.
    """

    format: str
    file: str
    precision: str
    packages: tuple
    write: Callable
    run: Callable


# --- Writing and running ---------------------------------------------------------------------


def write_keras(network, path):
    """Write a `.keras` file."""
    network.save(path)


def run_keras(path, lr_faces):
    """Run a `.keras` file."""
    network = keras.models.load_model(path, compile=False)
    return network(lr_faces, training=False).numpy()


def write_saved_model(network, path):
    """Write a SavedModel that takes pictures as they are, or faces as the network does.

    The signature "serving_default" maps `images`, uint8 RGB (B, H, W, 3) of any H and W, to
    `sr_images`, uint8 (B, S, S, 3): padded to a square and enlarged by `inference.enlarge`. The
    signature "faces" maps float32 `lr_faces` to `sr_faces`.
    """
    size = network.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")])
    def super_resolve_images(images):
        return {"sr_images": to_pixels(network(enlarge(images, size), training=False))}

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, name=INPUT)])
    def super_resolve_faces(lr_faces):
        return {OUTPUT: network(lr_faces, training=False)}

    # Not through keras.export, which stores every weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    signatures = {"serving_default": super_resolve_images, "faces": super_resolve_faces}
    tf.saved_model.save(module, str(path), signatures)


def run_saved_model(path, lr_faces):
    """Run a SavedModel on faces."""
    loaded = tf.saved_model.load(str(path))
    return loaded.signatures["faces"](**{INPUT: tf.constant(lr_faces)})[OUTPUT].numpy()


def write_tflite(network, path, precision):
    """Write a TFLite file with weights of a precision; it computes in float32."""
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(network, folder)
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


def write_onnx(network, path):
    """Write an ONNX file."""
    import onnx

    from inference.onnx_graph import build_onnx

    onnx.save(build_onnx(network, INPUT, OUTPUT), path)


def run_onnx(path, lr_faces):
    """Run an ONNX file on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run([OUTPUT], {INPUT: lr_faces})[0]


EXPORTERS = (
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


def export(exporter, network, folder, lr_faces, sr_faces):
    """Write one format, load it back, compare it, and keep it if it agrees.

    Args:
        exporter: `Export`.
        network: `keras.Model`.
        folder: `Path` of an existing folder; an earlier export in it is replaced.
        lr_faces: float32 faces to compare on.
        sr_faces: what Keras makes of them.

    Returns:
        Largest absolute difference, on [-1, 1]. The export is kept if it is within `LIMIT`.
    """
    path = folder / exporter.file
    unfinished = folder / f"unfinished_{exporter.file}"
    try:
        exporter.write(network, unfinished)
        difference = float(np.abs(exporter.run(unfinished, lr_faces) - sr_faces).max())
        if difference <= LIMIT[exporter.precision]:  # not so if it is NaN
            _remove(path)
            unfinished.replace(path)
    finally:
        _remove(unfinished)
    return difference


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _megabytes(path):
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1e6


# --- The command -----------------------------------------------------------------------------


def parse(arguments):
    """Return (network path, output folder, exporters); exits with 2 on a mistake."""
    formats = list(dict.fromkeys(exporter.format for exporter in EXPORTERS))
    parser = argparse.ArgumentParser(
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "formats", nargs="*", metavar="FORMAT", help=f"{', '.join(formats)} (default: all)"
    )
    parser.add_argument(
        "-o",
        "--output",
        default=EXPORTS,
        metavar="FOLDER",
        help="folder for the exports; earlier ones in it are replaced (%(default)s)",
    )
    add_model_option(parser)
    options = parser.parse_args(arguments)
    for name in options.formats:
        if name not in formats:
            parser.error(f"there is no format {name!r}: choose from {', '.join(formats)}")
    chosen = []
    for exporter in EXPORTERS:
        if options.formats and exporter.format not in options.formats:
            continue
        missing = [p for p in exporter.packages if importlib.util.find_spec(p) is None]
        if missing:
            wanted = " ".join(missing).replace("_", "-")
            message = f"{exporter.file} needs a package: pip install {wanted}"
            if options.formats:
                parser.error(message)
            print(f"Left out: {message}")
        else:
            chosen.append(exporter)
    try:
        model = Path(options.model) if options.model else newest_network()
    except Mistake as error:
        parser.error(str(error))
    output = Path(options.output)
    if any((output / exporter.file).resolve() == model.resolve() for exporter in chosen):
        parser.error(f"--output would replace --model {model}")
    return model, output, chosen


def _check_writable(folder):
    """Make the folder for exports; raises OSError if nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"cannot write to --output {folder}: {error.strerror}") from error


def main(arguments=None):
    """Do what the command line asks for.

    Args:
        arguments: list of strings; None for those of the process.

    Returns:
        Exit code: 0 if every export agrees with Keras, else 1.

    Raises:
        SystemExit: with 2 if the command cannot work.
    """
    model, folder, exporters = parse(arguments)
    # GPUs may round to 10 bits where CPUs do not: differences would not be the export's.
    tf.config.set_visible_devices([], "GPU")
    use_hardware("float32")
    try:
        network = load_network(model)
        _check_writable(folder)
    except (Mistake, OSError) as error:
        print(f"export.py: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    try:
        lr_faces = comparison_faces(network.input_shape[1])
        print(f"Network  {model}, compared on {len(lr_faces)} faces", flush=True)
        sr_faces = network(lr_faces, training=False).numpy()
        failed = []
        for exporter in exporters:
            limit, path = LIMIT[exporter.precision], folder / exporter.file
            try:
                difference = export(exporter, network, folder, lr_faces, sr_faces)
            except NotImplementedError as error:
                failed.append(f"{path}: {error}")
                continue
            except (OSError, tf.errors.OpError) as error:
                reason = " ".join(str(error).split())[:200]
                failed.append(f"{path}: cannot be written: {reason}")
                continue
            line = f"{path}: largest difference {difference:.1e} on [-1, 1], limit {limit:.0e}"
            if difference <= limit:
                print(f"Exported {line}, {_megabytes(path):.0f} MB", flush=True)
            else:
                failed.append(line)
    except (Mistake, OSError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 1
    for line in failed:
        print(f"export.py: not kept: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
