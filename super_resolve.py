"""Super-resolve pictures of faces with a trained network: `python super_resolve.py face.png`."""

from hardware.precision import use_hardware

import argparse
import csv
import dataclasses
import io
import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps
from sklearn.metrics.pairwise import paired_cosine_distances
from tqdm import tqdm

from errors import Mistake
from facenet import FaceNet
from imaging.cropping import cut_out, put_back
from imaging.detection import FaceDetector
from imaging.lists import EXTENSIONS, find_faces
from imaging.pictures import FORMATS, read_pixels
from imaging.sheets import Card, ComparisonSheets
from inference.super_resolver import SuperResolver, cut_pixels
from trained_networks import add_model_option, load_network, newest_network

RESULTS = "super_resolved"
BATCH_SIZE = {"CPU": 16, "GPU": 64}  # faces at a time; more gained nothing on the CPUs tried
READ_SIZE = 4  # larger pictures are reduced to this many times the network's size on reading
TELLING_SIZE = (11, 8)  # (height, width) in pixels below which a face hardly tells who it is
NO_SIMILARITY = float("nan")
ORIENTATION = ExifTags.Base.Orientation
COLUMNS = ("source", "result", "input_size", "result_size", "identity_similarity", "problem")

DESCRIPTION = f"""\
Super-resolve faces with a network that train.py trained.

Every picture becomes OUTPUT/<name>_sr.png, with 128 pixels on its longer side (the size of the
network). Beside them lie comparison_001.png, ... (input | bicubic enlargement | IPU-Net) and
report.csv. A picture should show one upright face, cropped with some margin, smaller than 128
pixels: larger ones are reduced to 128 first. Pictures that are not square keep their
proportions; of an animation, the first frame is taken. A file may be any image that Pillow reads;
of a folder, those that end in
{", ".join(sorted(EXTENSIONS))} are taken."""

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
        options.model = Path(options.model) if options.model else newest_network()
        options.output = Path(options.output)
        for path in map(Path, options.paths):
            if os.path.isdir(path) and path.resolve() == options.output.resolve():
                parser.error(f"--output must be another folder than the one searched, {path}")
    except Mistake as error:
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

    @property
    def faces(self):
        """`Path` of the folder for the faces of a photograph."""
        return self.result.with_name(self.result.stem.removesuffix("_sr") + "_faces")


def plan(paths, output, overwrite, detect=False):
    """Decide what every picture becomes, so that no result replaces a source or another result.

    Of a folder, pictures lie in `output` as in the folder. Where two would get the same name, the
    later one gets a number.

    Args:
        paths: files and folders as the user named them.
        output: `Path` of the folder for results; pictures inside it are not taken from folders.
        overwrite: whether results of an earlier run may be replaced.
        detect: whether every picture gets a folder for its faces as well.

    Returns:
        (tasks, problems): list of `Task` and of (path, why nothing will be done with it).
    """
    sources, problems = {}, []
    inside = output.resolve()
    for path in map(Path, paths):
        try:
            if path.is_dir():
                found = find_faces(path)
                found = [face for face in found if not face.resolve().is_relative_to(inside)]
                if not found:
                    raise Mistake(f"{path} holds no image but results in {output}")
                sources |= {face: face.relative_to(path).parent for face in found}
            elif path.is_file():
                sources[path] = Path()
            else:
                raise Mistake(f"{path}: there is no such file or folder")
        except OSError as error:
            problems.append((path, f"{path}: {error.strerror}"))
        except Mistake as error:
            problems.append((path, str(error)))
    distinct = {path.resolve(): (path, folder) for path, folder in reversed(sources.items())}
    identities = {_identity(path) for path in distinct}
    # Folders of results are taken as well: faces of a photograph must not lie among them.
    folders = {output / folder for _, folder in distinct.values()}
    taken = {_key(path) for folder in folders for path in (folder, *folder.parents)}
    tasks = []
    for path, folder in reversed(distinct.values()):
        task, number = (
            Task(path, str(folder / path.name), output / folder / f"{path.stem}_sr.png"),
            1,
        )
        while taken & {_key(place) for place in _places(task, detect)}:
            number += 1
            result = task.result.with_name(f"{path.stem}_{number}_sr.png")
            task = dataclasses.replace(task, result=result)
        taken |= {_key(place) for place in _places(task, detect)}
        try:
            existing = [place for place in _places(task, detect) if place.exists()]
            replaced = [place for place in existing if not place.is_dir()]
            replaced += earlier_faces(task.faces) if detect else []
            replaced = [place for place in replaced if _identity(place) in identities]
        except OSError as error:
            problems.append((path, f"{path}: cannot write {task.result}: {error.strerror}"))
            continue
        if replaced:
            problems.append((path, f"{path}: its result would replace the source {replaced[0]}"))
        elif existing and not overwrite:
            problems.append((path, f"{path}: {existing[0]} exists; --overwrite replaces it"))
        else:
            tasks.append(task)
    return tasks, problems


def _places(task, detect):
    return (task.result, task.faces) if detect else (task.result,)


def earlier_faces(folder):
    """Return the paths of the faces that an earlier run left in the folder of a photograph."""
    return [path for path in folder.glob("*.png") if re.fullmatch(r"\d+_sr\.png", path.name)]


def _key(path):
    return str(path).casefold()  # some systems ignore case


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
        (pixels, size): uint8 RGB (H, W, 3), and the (height, width) that the file has, upright.

    Raises:
        OSError: the file cannot be read as an image; the message says why.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if max(image.size) > longest and image.mode != "F":  # which read_pixels refuses
                width, height = image.size
                if image.mode.startswith("I;"):  # 16 bits, which Pillow cannot reduce
                    image = image.convert("I")
                elif image.mode in ("1", "P") or "transparency" in image.info:
                    image = image.convert("RGBA")
                # Of a JPEG, this decodes a smaller scale alone.
                image.thumbnail((longest, longest), Image.Resampling.BICUBIC)
                # Asked for only now: loading a TIFF already turned it upright.
                if image.getexif().get(ORIENTATION, 1) > 4:
                    width, height = height, width
                reduced = io.BytesIO()
                ImageOps.exif_transpose(image).save(reduced, "TIFF", exif=Image.Exif())
                return read_pixels(reduced), (height, width)
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise OSError(f"{path}: {error}") from error
    pixels = read_pixels(path)
    return pixels, pixels.shape[:2]


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


def start_report(path):
    """Begin a report, or check that an existing one can be continued.

    Raises:
        OSError: the report cannot be written.
        ValueError: the file is none of ours.
    """
    with open(path, "a+", newline="", encoding="utf-8", errors="backslashreplace") as file:
        file.seek(0)
        first = file.readline()
        if not first:
            csv.writer(file).writerow(COLUMNS)
        elif first.strip() != ",".join(COLUMNS):
            raise ValueError(f"{path} is not a report of this script: move it, or name another -o")


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
        lost_sheets: lines that say which sheets could not be written, and why.
    """

    def __init__(self, output, super_resolve, facenet=None):
        """Begin a run.

        Args:
            output: `Path` of the existing folder for sheets and report.csv, see `start_report`.
            super_resolve: `SuperResolver`.
            facenet: function from faces to embeddings, or None not to measure.
        """
        self.done = self.too_small = self.reduced = self.left = 0
        self.problems, self.lost_sheets = [], []
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
        for task in tasks:
            read = self._read(task, float("inf"))
            if read is not None:
                try:
                    self._do_photograph(task, read[0], detector, batch_size)
                except OSError as error:
                    self._fail(task, str(error))
            yield 1

    def _do_photograph(self, task, photograph, detector, batch_size):
        found, size = detector(photograph), self._super_resolve.size
        squares = [square for square in found if square[-1] < size]
        if not squares:
            larger = f"; the {len(found)} found have {size} or more pixels already"
            raise OSError(f"{task.source}: no small face{larger if found else ' was found'}")
        self.left += len(found) - len(squares)
        for path in earlier_faces(task.faces):
            path.unlink()
        pictures = [cut_out(photograph, square) for square in squares]
        photograph = photograph.copy()
        for start in range(0, len(pictures), batch_size):
            faces = self.faces(pictures[start : start + batch_size])
            for number, face in enumerate(faces, start=start + 1):
                put_back(photograph, squares[number - 1], face.sr)
                path = task.faces / f"{number}_sr.png"
                write_picture(path, face.sr)
                name = f"{task.name}, face {number}"
                self._show(task, face, path, name, face.picture.shape)
        write_picture(task.result, photograph)
        self.done += 1
        size = _size_text(photograph.shape)
        self._write_row(source=task.source, result=task.result, input_size=size, result_size=size)

    def fail(self, path, reason):
        """Name a picture that is not done."""
        reason = " ".join(reason.split())
        self.problems.append(reason)
        self._write_row(source=path, problem=reason)

    def _fail(self, task, reason):
        self.fail(task.source, reason)

    def _read(self, task, longest):
        try:
            return read_picture(task.source, longest)
        except OSError as error:
            self._fail(task, str(error))
            return None

    def _finish(self, batch):
        faces = self.faces([pixels for _, (pixels, _) in batch])
        for (task, (_, size)), face in zip(batch, faces, strict=True):
            try:
                write_picture(task.result, face.sr)
            except OSError as error:
                self._fail(task, str(error))
                continue
            self.done += 1
            self.reduced += max(size) > self._super_resolve.size
            self._show(task, face, task.result, task.name, size)

    def _show(self, task, face, path, name, size):
        """Put a finished face on a sheet and in the report, with the size of its source."""
        size, result_size = _size_text(size), _size_text(face.sr.shape)
        remark, similarity = f"{size} → {result_size}", ""
        if not np.isnan(face.similarity):
            similarity = f"{face.similarity:.3f}"
            remark += f", similarity {similarity}" + ("" if face.is_telling else " (too small)")
            self.too_small += not face.is_telling
        self._write_row(
            source=task.source,
            result=path,
            input_size=size,
            result_size=result_size,
            identity_similarity=similarity,
        )
        card = Card(name, remark, (face.picture, face.bicubic, face.sr))
        self._write_sheet(lambda: self.sheets.add(card))

    def finish(self):
        """Write the sheet that waits."""
        self._write_sheet(self.sheets.flush)

    def _write_sheet(self, write):
        try:
            write()
        except OSError as error:  # the pictures on it are done nevertheless
            self.lost_sheets.append(f"cannot write a comparison sheet: {error}")

    def _write_row(self, **row):
        with open(
            self._report, "a", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file:
            csv.DictWriter(file, COLUMNS).writerow(row)


def _size_text(shape):
    return f"{shape[0]}x{shape[1]}"


def main(arguments=None):
    """Do what the command line asks for.

    Args:
        arguments: list of strings; None for those of the process.

    Returns:
        Exit code: 0 if everything is done, else 1.

    Raises:
        SystemExit: with 2 if the command cannot work.
    """
    options = parse(arguments)
    # Pillow refuses pictures that could fill the memory; those half as large only annoy.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    try:
        _, device = use_hardware("float32")
        batch_size = BATCH_SIZE["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
        network = load_network(options.model)
        detector = FaceDetector() if options.detect else None
    except Mistake as error:
        print(f"super_resolve.py: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    facenet = tf.function(FaceNet(), reduce_retracing=True) if options.facenet else None
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        start_report(options.output / "report.csv")
        work = Work(options.output, SuperResolver(network, batch_size), facenet)
    except (OSError, ValueError) as error:
        print(f"super_resolve.py: error: cannot write to --output: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    print(f"Network  {options.model}\nDevice   {device}", flush=True)
    tasks, problems = plan(options.paths, options.output, options.overwrite, options.detect)
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
    except OSError as error:
        print(f"super_resolve.py: cannot write to {options.output}: {error}", file=sys.stderr)
        return 1
    finally:  # after Ctrl-C as well
        work.finish()
    _summarise(work, options.output)
    return 1 if work.problems or work.lost_sheets else 0


def _summarise(work, output):
    for problem in work.problems:
        print(f"Not done: {problem}", file=sys.stderr)
    for problem in work.lost_sheets:
        print(f"Warning  {problem}", file=sys.stderr)
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
