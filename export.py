"""Take a trained network elsewhere: Keras, SavedModel, TFLite and ONNX, each one checked.

`python export.py` writes all formats whose packages are installed.
"""

from hardware.precision import use_cpu_alone, use_hardware

import argparse
import sys
from pathlib import Path

import tensorflow as tf

from errors import Mistake, expanded, shown, tell
from files import make_writable
from inference.formats import EXPORTS, Differs, comparison_faces, write_compared
from trained_networks import (
    add_model_option,
    degradation_options,
    load_network,
    newest_network,
    shown_network,
)

FOLDER = "exported"

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


def parse(arguments):
    """Return (network path, output folder, list of `Export`); exits with 2 on a mistake."""
    formats = list(dict.fromkeys(export.format for export in EXPORTS))
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
        default=FOLDER,
        metavar="FOLDER",
        help="folder for the exports; earlier ones in it are replaced (%(default)s)",
    )
    add_model_option(parser)
    options = parser.parse_args(arguments)
    for name in options.formats:
        if name not in formats:
            parser.error(f"there is no format {name!r}: choose from {', '.join(formats)}")
    chosen = []
    for export in EXPORTS:
        if options.formats and export.format not in options.formats:
            continue
        if export.missing:
            wanted = " ".join(export.missing).replace("_", "-")
            message = f"{export.file} needs a package: pip install {wanted}"
            if options.formats:
                parser.error(message)
            print(f"Left out: {message}")
        else:
            chosen.append(export)
    try:
        model = expanded(Path(options.model)) if options.model else newest_network()
        output = expanded(Path(options.output))
    except Mistake as error:
        parser.error(str(error))
    if any((output / export.file).resolve() == model.resolve() for export in chosen):
        parser.error(f"--output would replace --model {model}")
    return model, output, chosen


def main(arguments=None):
    """Do what the command line asks for.

    Args:
        arguments: list of strings; None for those of the process.

    Returns:
        Exit code: 0 if every export agrees with Keras, else 1.

    Raises:
        SystemExit: with 2, after the usage, if the arguments make no sense.
        Mistake: the command cannot work as it was given.
    """
    model, folder, exports = parse(arguments)
    use_cpu_alone()  # so that differences are the export's
    use_hardware("float32")
    network, options = load_network(model), degradation_options(model)
    make_writable(folder, f"--output {folder}")
    lr_faces = comparison_faces(network.input_shape[1])
    print(f"Network  {shown_network(model)}, compared on {len(lr_faces)} faces", flush=True)

    sr_faces = network(lr_faces, training=False).numpy()
    failed = []
    for export in exports:
        path = folder / export.file
        try:
            difference = write_compared(export, network, options, folder, lr_faces, sr_faces)
        except Differs as error:
            failed.append(f"{path}: {_difference(error.difference, export)}")
        except NotImplementedError as error:
            failed.append(f"{path}: {error}")
        except (OSError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:200]
            failed.append(f"{path}: cannot be written: {reason}")
        else:
            size = f"{_megabytes(path):.0f} MB"
            print(f"Exported {shown(path)}: {_difference(difference, export)}, {size}", flush=True)
    for line in failed:
        print(f"export.py: not kept: {shown(line)}", file=sys.stderr)
    return 1 if failed else 0


def _difference(difference, export):
    return f"largest difference {difference:.1e} on [-1, 1], limit {export.limit:.0e}"


def _megabytes(path):
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 1e6


if __name__ == "__main__":
    tell(main, code=2)
