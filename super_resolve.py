"""Super-resolve pictures of faces with a trained network: `python super_resolve.py face.png`."""

from hardware.precision import use_hardware

import argparse
import itertools
import os
import sys
import textwrap
import warnings
from pathlib import Path

import tensorflow as tf
from PIL import Image

from console.progress import progress
from errors import Mistake, expanded, shown, tell
from facenet import FaceNet
from imaging.detection import FaceDetector
from imaging.lists import EXTENSIONS
from inference.plan import plan
from inference.report import Report, Sheets, Summary
from inference.resolution import AUTO, OWN, parse_resolution
from inference.restoration import Restoration, failed
from inference.super_resolver import SuperResolver
from trained_networks import add_model_option, newest_network, shown_network

RESULTS = "super_resolved"
BATCH_SIZE = {"CPU": 16, "GPU": 64}  # faces at a time; more gained nothing on the CPUs tried

DESCRIPTION = f"""\
Super-resolve faces with the newest network of train.py, or else that of the repository.

Every picture becomes OUTPUT/<name>_sr.png, with 128 pixels on its longer side (the size of the
network). Beside them lie comparison_001.png, ... (input | bicubic enlargement | IPU-Net) and
report.csv. A picture should show one upright face, cropped with some margin, smaller than 128
pixels: larger ones are reduced to 128 first. Pictures that are not square keep their
proportions; of an animation, the first frame is taken. A file may have any name, if it is in the
format of one of those that are taken of a folder, which end in
{textwrap.fill(", ".join(sorted(EXTENSIONS)), 100)}.

Whatever a result shows beyond its input is a guess of the network, and may be the face of someone
else: do not identify people by it."""

EPILOG = """\
examples:
  python super_resolve.py face.png
  python super_resolve.py crops/ other/face.jpg --output enlarged
  python super_resolve.py party.jpg --detect          (needs: pip install mtcnn)

Sources are never changed, and results of an earlier run only with --overwrite. Exit code: 0
everything is done, 1 something is not (it is named, with the reason), 2 the command cannot work as
it was given."""


def parse(arguments):
    """Return the parsed command line; prints usage and exits with 2 if it makes no sense."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="a picture, or a folder to search at any depth"
    )
    parser.add_argument(
        "-o",
        "--output",
        default=RESULTS,
        metavar="OUTPUT",
        help="folder for the results; below it they lie as in the folder searched (%(default)s)",
    )
    add_model_option(parser)
    parser.add_argument(
        "--detect",
        action="store_true",
        help="the pictures are photographs: find the faces smaller than the network's, "
        "super-resolve each and put it back; each is also saved in <name>_faces",
    )
    parser.add_argument(
        "--resolution",
        default=AUTO,
        metavar="auto|own|HxW",
        help="how many pixels a picture is restored from: those it had before it was enlarged, as "
        "most crops from the web are (auto), all that it has (own), or, of a larger one, as many "
        "rows and columns as the square around it is first reduced to, as in training (HxW) "
        "(%(default)s)",
    )
    parser.add_argument(
        "--facenet",
        action="store_true",
        help="report how alike the embedded FaceNet finds the enlarged input and the result: the "
        "cosine of their embeddings, 1 for the same. It cannot tell whether the result is who "
        "the person really is",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results of an earlier run"
    )
    options = parser.parse_args(arguments)
    try:
        options.model = expanded(Path(options.model)) if options.model else newest_network()
        options.output = expanded(Path(options.output))
        # A picture may have a name that begins with ~.
        options.paths = [p if os.path.lexists(p) else expanded(p) for p in options.paths]
        for path in map(Path, options.paths):
            if os.path.isdir(path) and path.resolve() == options.output.resolve():
                parser.error(f"--output must be another folder than the one searched, {path}")
        options.resolution = parse_resolution(options.resolution)
    except (Mistake, ValueError) as error:
        parser.error(str(error))
    if options.detect and options.resolution not in (AUTO, OWN):
        parser.error("--detect finds faces of many sizes: --resolution is auto or own with it")
    return options


def main(arguments=None):
    """Do what the command line asks for.

    Args:
        arguments: list of strings; None for those of the process.

    Returns:
        Exit code: 0 if everything is done, else 1.

    Raises:
        SystemExit: with 2, after the usage, if the arguments make no sense.
        Mistake: the command cannot work as it was given.
    """
    options = parse(arguments)
    # Pillow refuses pictures that could fill the memory; those half as large only annoy.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    _, device = use_hardware("float32")
    batch_size = BATCH_SIZE["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
    super_resolve = SuperResolver.of(options.model)
    detector = FaceDetector() if options.detect else None
    facenet = tf.function(FaceNet(), reduce_retracing=True) if options.facenet else None
    report = Report(options.output / "report.csv")
    sheets = Sheets(options.output, super_resolve.size)
    summary = Summary(super_resolve.size, options.resolution)
    print(f"Network  {shown_network(options.model)}\nDevice   {device}", flush=True)

    tasks, problems = plan(options.paths, options.output, options.overwrite, options.detect)
    restoration = Restoration(super_resolve, facenet, batch_size, options.resolution)
    results = itertools.chain(
        itertools.starmap(failed, problems),
        restoration.photographs(tasks, detector) if detector else restoration.pictures(tasks),
    )
    try:
        with progress(len(problems) + len(tasks), "picture") as bar:
            for result in results:
                for listener in (report, sheets, summary):
                    listener.add(result)
                bar.update(result.settles)
    except OSError as error:
        reason = shown(f"cannot write to {options.output}: {error}")
        print(f"super_resolve.py: {reason}", file=sys.stderr)
        return 1
    finally:  # after Ctrl-C as well
        sheets.finish()
    summary.tell(sheets, options.output)
    return 1 if summary.problems or sheets.lost else 0


if __name__ == "__main__":
    tell(main, code=2)
