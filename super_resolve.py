"""Super-resolve pictures of faces with a trained network: `python super_resolve.py face.png`."""

import argparse
import csv
import dataclasses
import io
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image
from sklearn.metrics.pairwise import paired_cosine_distances
from tqdm import tqdm

import hardware
from comparison import Card, ComparisonSheets
from data import DataError, find_faces, read_pixels
from detection import DetectorError, FaceDetector, cut_out, put_back
from facenet import FaceNet
from inference import NetworkError, SuperResolver, cut_pixels, load_network, newest_network

RUNS = "output"  # where networks are looked for: OUTPUT_DIR of train.py
RESULTS = "super_resolved"
BATCH_SIZE = {"CPU": 16, "GPU": 64}  # faces at a time; more gained nothing on the CPUs tried
READ_SIZE = 4  # larger pictures are reduced to this many times the network's size on reading
TELLING_SIZE = (11, 8)  # (height, width) in pixels below which a face hardly tells who it is
NO_SIMILARITY = float("nan")
ORIENTATION = ExifTags.Base.Orientation

DESCRIPTION = """\
Super-resolve faces with a network that train.py trained.

Every picture becomes OUTPUT/<name>_sr.png, with 128 pixels on its longer side (the size of the
network). Beside them lie comparison_001.png, ... (input | bicubic enlargement | IPU-Net) and
report.csv. A picture should show one upright face, cropped with some margin, smaller than 128
pixels: larger ones are reduced to 128 first. Any image that Pillow reads will do; of an
animation, the first frame. Pictures that are not square keep their proportions."""

EPILOG = """\
examples:
  python super_resolve.py face.png
  python super_resolve.py crops/ other/face.jpg --output enlarged
  python super_resolve.py party.jpg --detect          (needs: pip install mtcnn)

Sources are never changed, and results of an earlier run only with --overwrite. Exit code: 0 all
pictures are done, 1 some or all are not (each is named, with the reason), 2 the command cannot
work as it was given."""


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
    parser.add_argument(
        "-m",
        "--model",
        help=f"a .keras file (default: {RUNS}/model.keras, or the newest model.keras in "
        f"subfolders of {RUNS})",
    )
    parser.add_argument(
        "--detect",
        action="store_true",
        help="the pictures are photographs: find the faces smaller than the network's, "
        "super-resolve each and put it back; each is also saved in <name>_faces",
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
        options.model = Path(options.model) if options.model else newest_network(RUNS)
        options.output = Path(options.output)
        for path in map(Path, options.paths):
            if path.is_dir() and path.resolve() == options.output.resolve():
                parser.error(f"--output must be another folder than the one searched, {path}")
    except NetworkError as error:
        parser.error(str(error))
    return options


# --- Which picture goes where ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Task:
    """A picture to do.

    Attributes:
        source: `Path` of the picture.
        name: what to call it on a sheet.
        result: `Path` of what it becomes.
    """

    source: Path
    name: str
    result: Path


def plan(paths, output, overwrite):
    """Decide what every picture becomes, so that no result replaces a source or another result.

    Of a folder, pictures lie in `output` as in the folder. Where two would get the same name, the
    later one gets a number.

    Args:
        paths: files and folders as the user named them.
        output: `Path` of the folder for results; pictures inside it are not taken from folders.
        overwrite: whether results of an earlier run may be replaced.

    Returns:
        (tasks, problems): list of `Task` and of (path, why nothing will be done with it).
    """
    sources, problems = {}, []
    inside = output.resolve()
    for path in map(Path, paths):
        if path.is_dir():
            try:
                found = find_faces(path)
            except DataError as error:
                problems.append((path, str(error)))
                continue
            found = [face for face in found if not face.resolve().is_relative_to(inside)]
            sources |= {face: face.relative_to(path).parent for face in found}
        elif path.is_file():
            sources[path] = Path()
        else:
            problems.append((path, f"{path}: there is no such file or folder"))
    distinct = {path.resolve(): (path, folder) for path, folder in reversed(sources.items())}
    identities = {_identity(path) for path in distinct}
    tasks, taken = [], set()
    for path, folder in reversed(distinct.values()):
        result, number = output / folder / f"{path.stem}_sr.png", 1
        while str(result).casefold() in taken:
            number += 1
            result = result.with_name(f"{path.stem}_{number}_sr.png")
        taken.add(str(result).casefold())
        if result.exists() and _identity(result) in identities:
            problems.append((path, f"{path}: its result would replace the source {result}"))
        elif result.exists() and not overwrite:
            problems.append((path, f"{path}: {result} exists; --overwrite replaces it"))
        else:
            tasks.append(Task(path, str(folder / path.name), result))
    return tasks, problems


def _identity(path):
    status = path.stat()
    return status.st_dev, status.st_ino


# --- Reading and writing ---------------------------------------------------------------------


def read_picture(path, longest):
    """Read a picture as `data.read_pixels` does; a large one is reduced while it is read.

    Args:
        path: image file.
        longest: most pixels of the longer side.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        OSError: the file cannot be read as an image; the message says why.
    """
    try:
        with Image.open(path) as image:
            if max(image.size) > longest and image.mode != "F":  # which read_pixels refuses
                exif = Image.Exif()  # a TIFF's own holds its size as well
                exif[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
                if image.mode in ("1", "P") or "transparency" in image.info:
                    image = image.convert("RGBA")
                elif image.mode.startswith("I;"):  # 16 bits, which Pillow cannot reduce
                    image = image.convert("I")
                # Of a JPEG, this decodes a smaller scale alone.
                image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
                reduced = io.BytesIO()
                image.save(reduced, "TIFF", exif=exif)
                return read_pixels(reduced)
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise OSError(f"{path}: {error}") from error
    return read_pixels(path)


def write_picture(path, pixels):
    """Write pixels as a lossless PNG, whole or not at all.

    Raises:
        OSError: the file cannot be written; the message names it.
    """
    unfinished = path.with_name(f"unfinished_{os.getpid()}.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            Image.fromarray(np.ascontiguousarray(pixels)).save(unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


# --- The work --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Face:
    """A face before and after.

    Attributes:
        picture: uint8 RGB (H, W, 3) as it came.
        bicubic: uint8 RGB of the network's size, enlarged.
        sr: uint8 RGB of the same shape, super-resolved.
        similarity: identity similarity of the two in [-1, 1], NaN if not measured.
    """

    picture: np.ndarray
    bicubic: np.ndarray
    sr: np.ndarray
    similarity: float

    @property
    def is_telling(self):
        """Whether the picture has enough pixels to tell who it shows."""
        return all(a >= b for a, b in zip(self.picture.shape, TELLING_SIZE, strict=False))


class Work:
    """Faces on their way from sources to results, sheets and report.

    Attributes:
        done: number of pictures done.
        problems: lines that say what was not done, and why.
        too_small: number of faces measured that are too small to tell who they show.
        reduced: number of pictures larger than the network's faces.
        left: number of faces in photographs that are as large already, and left as they are.
        sheets: `ComparisonSheets`.
    """

    def __init__(self, output, super_resolve, facenet=None):
        """Begin a run.

        Args:
            output: `Path` of the existing folder for sheets and report.
            super_resolve: `SuperResolver`.
            facenet: function from faces to embeddings, or None not to measure.
        """
        self.done = self.too_small = self.reduced = self.left = 0
        self.problems = []
        self.sheets = ComparisonSheets(output, super_resolve.size)
        self._report = output / "report.csv"
        self._super_resolve = super_resolve
        self._facenet = facenet

    def faces(self, pictures):
        """Return a list of `Face` of a list of uint8 RGB (H, W, 3)."""
        lr_faces, sr_faces = self._super_resolve(pictures)
        similarities = [NO_SIMILARITY] * len(pictures)
        if self._facenet:
            embeddings = [self._facenet(tf.constant(faces)) for faces in (lr_faces, sr_faces)]
            similarities = 1.0 - paired_cosine_distances(*embeddings)
        return [
            Face(picture, cut_pixels(lr_face, picture), cut_pixels(sr_face, picture), float(value))
            for picture, lr_face, sr_face, value in zip(
                pictures, lr_faces, sr_faces, similarities, strict=True
            )
        ]

    def do_pictures(self, tasks, batch_size):
        """Super-resolve pictures that show one face each, a batch at a time.

        Args:
            tasks: list of `Task`.
            batch_size: pictures held in memory at a time.

        Yields:
            Number of tasks that have been settled since the last time.
        """
        for start in range(0, len(tasks), batch_size):
            batch = tasks[start : start + batch_size]
            pictures = [self._read(task, READ_SIZE * self._super_resolve.size) for task in batch]
            readable = [pair for pair in zip(batch, pictures, strict=True) if pair[1] is not None]
            if readable:
                self._finish(readable)
            yield len(batch)

    def do_photographs(self, tasks, detector, batch_size):
        """Super-resolve the small faces of photographs and put them back.

        Args:
            tasks: list of `Task`.
            detector: `FaceDetector`.
            batch_size: faces held in memory at a time.

        Yields:
            1 for every task that has been settled.
        """
        sources = {_identity(task.source) for task in tasks}
        for task in tasks:
            photograph = self._read(task, float("inf"))
            if photograph is not None:
                try:
                    self._do_photograph(task, photograph, detector, batch_size, sources)
                except OSError as error:
                    self._fail(task, str(error))
            yield 1

    def _do_photograph(self, task, photograph, detector, batch_size, sources):
        found, size = detector(photograph), self._super_resolve.size
        squares = [square for square in found if square[-1] < size]
        if not squares:
            larger = f"; the {len(found)} found have {size} or more pixels already"
            raise OSError(f"{task.source}: no small face{larger if found else ' was found'}")
        self.left += len(found) - len(squares)
        folder = task.result.with_name(task.result.stem.removesuffix("_sr") + "_faces")
        pictures = [cut_out(photograph, square) for square in squares]
        photograph = photograph.copy()
        for start in range(0, len(pictures), batch_size):
            faces = self.faces(pictures[start : start + batch_size])
            for number, face in enumerate(faces, start=start + 1):
                put_back(photograph, squares[number - 1], face.sr)
                path = folder / f"{number}_sr.png"
                if path.exists() and _identity(path) in sources:
                    raise OSError(f"{task.source}: a face of it would replace the source {path}")
                write_picture(path, face.sr)
                self._show(task, face, path, f"{task.name}, face {number}")
        write_picture(task.result, photograph)
        self.done += 1

    def fail(self, path, reason):
        """Name a picture that is not done."""
        reason = " ".join(reason.split())
        self.problems.append(reason)
        self._write_row(path, problem=reason)

    def _fail(self, task, reason):
        self.fail(task.source, reason)

    def _read(self, task, longest):
        try:
            return read_picture(task.source, longest)
        except OSError as error:
            self._fail(task, str(error))
            return None

    def _finish(self, batch):
        for (task, picture), face in zip(batch, self.faces([p for _, p in batch]), strict=True):
            try:
                write_picture(task.result, face.sr)
                self._show(task, face, task.result, task.name)
                self.done += 1
            except OSError as error:
                self._fail(task, str(error))
            self.reduced += max(picture.shape[:2]) > self._super_resolve.size

    def _show(self, task, face, path, name):
        """Put a finished face on a sheet and in the report."""
        size, result_size = (f"{a.shape[0]}x{a.shape[1]}" for a in (face.picture, face.sr))
        remark, similarity = f"{size} → {result_size}", ""
        if not np.isnan(face.similarity):
            similarity = f"{face.similarity:.3f}"
            remark += f", similarity {similarity}" + ("" if face.is_telling else " (too small)")
            self.too_small += not face.is_telling
        self.sheets.add(Card(name, remark, (face.picture, face.bicubic, face.sr)))
        self._write_row(task.source, path, size, result_size, similarity)

    def _write_row(
        self, source, result="", input_size="", result_size="", similarity="", problem=""
    ):
        row = {
            "source": source,
            "result": result,
            "input_size": input_size,
            "result_size": result_size,
            "identity_similarity": similarity,
            "problem": problem,
        }
        new = not self._report.exists()
        with open(
            self._report, "a", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


def main(arguments=None):
    """Do what the command line asks for.

    Args:
        arguments: list of strings; None for those of the process.

    Returns:
        Exit code: 0 if every picture is done, else 1.

    Raises:
        SystemExit: with 2 if the command cannot work.
    """
    options = parse(arguments)
    # Pillow refuses pictures that could fill the memory; those half as large only annoy.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        tasks, problems = plan(options.paths, options.output, options.overwrite)
        _, device = hardware.use_hardware("float32")
        batch_size = BATCH_SIZE["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
        network = load_network(options.model)
        detector = FaceDetector() if options.detect else None
    except (NetworkError, DetectorError) as error:
        print(f"super_resolve.py: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except OSError as error:
        print(f"super_resolve.py: cannot write to --output: {error}", file=sys.stderr)
        return 1
    print(f"Network  {options.model}\nDevice   {device}", flush=True)
    facenet = tf.function(FaceNet(), reduce_retracing=True) if options.facenet else None
    work = Work(options.output, SuperResolver(network, batch_size), facenet)
    try:
        for path, reason in problems:
            work.fail(path, reason)
        if options.detect:
            settled = work.do_photographs(tasks, detector, batch_size)
        else:
            settled = work.do_pictures(tasks, batch_size)
        with tqdm(total=len(tasks), unit="picture", disable=not tasks) as progress:
            for count in settled:
                progress.update(count)
        work.sheets.flush()
    except OSError as error:
        print(f"super_resolve.py: cannot write to {options.output}: {error}", file=sys.stderr)
        return 1
    _summarise(work, options.output)
    return 1 if work.problems else 0


def _summarise(work, output):
    for problem in work.problems:
        print(f"Not done: {problem}", file=sys.stderr)
    size = work.sheets.size
    if work.reduced:
        print(
            f"Note     {work.reduced} of the pictures have more than {size} pixels on a side: they "
            "were reduced first, so their results have fewer pixels than they"
        )
    if work.left:
        print(f"Note     {work.left} faces of {size} or more pixels were left as they are")
    if work.too_small:
        print(
            f"Warning  {work.too_small} of the faces are smaller than about {TELLING_SIZE[0]}x"
            f"{TELLING_SIZE[1]}: so few pixels hardly tell who a person is, and their identity "
            "similarity says nothing"
        )
    if work.sheets.paths:
        print(f"Compare  {', '.join(map(str, work.sheets.paths[:3]))}", end="")
        print(" ..." if len(work.sheets.paths) > 3 else "")
    print(f"Done     {work.done} of {work.done + len(work.problems)} pictures, see {output}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
