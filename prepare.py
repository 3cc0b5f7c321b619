"""Cut the faces out of a folder of photographs: edit the constants, then run `python prepare.py`.

OUTPUT_DIR becomes a copy of the folder tree of SOURCE_DIR that holds square RGB crops, with
`manifest.csv`, which says of every picture where its face was or why it was left out, and
`summary.txt`. Nothing is written into SOURCE_DIR. A run that was interrupted goes on where it
stopped when it is started again, and leaves what an uninterrupted one leaves.
"""

import collections
import concurrent.futures
import csv
import dataclasses
import functools
import io
import itertools
import json
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from errors import Mistake
from imaging.cropping import CropError, crop, main_face
from imaging.detection import FaceDetector
from imaging.lists import find_faces
from imaging.pictures import crop_and_resize, read_pixels
from preparation import vggface2

# --- Paths ---
SOURCE_DIR = "VGGFace2"  # one folder per identity, at any depth; it is only read
OUTPUT_DIR = "VGGFace2_crops"  # the same tree of crops

# --- Faces ---
FACES = "vggface2"  # boxes of its tables; "detect": found by MTCNN; "cropped": only resized
MARGIN = 0.3  # the square is longer than the longer side of the box by this fraction of it
ALIGN = False  # turn and move each face so that eyes, nose and mouth come to lie at one place
SMALLEST_FACE = 20  # pixels, longer side of the box; smaller faces are left out
EXCLUDE = ()  # text files of identities to leave out, one a line, such as ("lfw_people.txt",)

# --- Output ---
SIZE = 160  # pixels, height and width of a crop
JPEG_QUALITY = 95  # 1 to 100
PROCESSES = os.cpu_count()

MODES = {"vggface2": "VGGFace2", "detect": "mtcnn", "cropped": ""}  # what the manifest calls them
PART = 16  # pictures; the unit of work, of detection and of going on
BATCH_PIXELS = 8_000_000  # searched for faces at once, so that memory stays small
COLUMNS = (
    *("source", "crop", "left", "top", "width", "height"),
    *(f"landmark{i}_{axis}" for i in range(1, 6) for axis in "xy"),
    *("detector", "margin", "reason"),
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What makes a crop out of a picture; the constants of these names say more.

    Attributes:
        faces: key of `MODES`.
        margin: fraction of the longer side of the box.
        align: whether faces are aligned by their landmarks.
        smallest_face: pixels.
        size: pixels.
        jpeg_quality: 1 to 100.
    """

    faces: str
    margin: float
    align: bool
    smallest_face: int
    size: int
    jpeg_quality: int


@dataclasses.dataclass
class Picture:
    """A picture of the source and what becomes of it.

    Attributes:
        name: path relative to the source, "/" between its parts.
        box: [left, top, width, height] in pixels, or None.
        landmarks: five [x, y] in pixels, or None.
        reason: why there is no crop, or "".
    """

    name: str
    box: list | None = None
    landmarks: list | None = None
    reason: str = ""


def check_constants():
    """Raise Mistake, naming the constant, where a value cannot work."""
    constants = globals()

    def is_integer(name, least, most=float("inf")):
        return type(constants[name]) is int and least <= constants[name] <= most

    is_margin = isinstance(MARGIN, int | float) and 0 <= MARGIN <= 10
    is_files = isinstance(EXCLUDE, list | tuple) and all(isinstance(p, str | Path) for p in EXCLUDE)
    rules = [
        *(
            (n, isinstance(constants[n], str | Path), "a path")
            for n in ("SOURCE_DIR", "OUTPUT_DIR")
        ),
        ("FACES", FACES in MODES, f"one of {', '.join(MODES)}"),
        ("MARGIN", is_margin, "a number from 0 to 10"),
        ("ALIGN", isinstance(ALIGN, bool), "True or False"),
        ("ALIGN", not ALIGN or FACES != "cropped", 'False if FACES is "cropped"'),
        ("SMALLEST_FACE", is_integer("SMALLEST_FACE", 12), "an integer from 12"),
        ("EXCLUDE", is_files, "a tuple of text files"),
        ("SIZE", is_integer("SIZE", 1, 4096), "an integer from 1 to 4096"),
        ("JPEG_QUALITY", is_integer("JPEG_QUALITY", 1, 100), "an integer from 1 to 100"),
        ("PROCESSES", is_integer("PROCESSES", 1), "an integer from 1"),
    ]
    for name, holds, wanted in rules:
        if not holds:
            raise Mistake(f"{name} must be {wanted}, not {constants[name]!r}")


# --- Which pictures --------------------------------------------------------------------------


def check_apart(source, output):
    """Raise Mistake if one of two folders lies in the other: sources are never written to."""
    inner, outer = sorted((source.resolve(), output.resolve()), key=lambda p: -len(p.parts))
    if inner.is_relative_to(outer):  # also where they are one
        raise Mistake(f"OUTPUT_DIR {output} and SOURCE_DIR {source} must not lie in each other")


def read_excluded(paths, source):
    """Read which identities to leave out.

    Args:
        paths: text files with one identity a line: the name of its folder, or of the person as in
            VGGFace2's `identity_meta.csv`, if that lies in `source` or its folder `meta`. Case,
            and spaces for underscores, make no difference to the latter.
        source: `Path` of the folder of photographs.

    Returns:
        Set of folder names.

    Raises:
        Mistake: a file cannot be read.
    """
    tables = [p for p in (source / "meta", source) if (p / "identity_meta.csv").is_file()]
    names = vggface2.read_names(tables[0] / "identity_meta.csv") if tables else {}
    excluded = set()
    for path in paths:
        lines = vggface2.read_exclusions(path)
        known = [names[key] for key in map(vggface2.comparable, lines) if key in names]
        if names:
            print(f"{path}: {len(known)} of {len(lines)} lines are names in {tables[0]}")
        excluded |= {*lines, *known}
    return excluded


class Tables:
    """Boxes and landmarks of VGGFace2's `train` and `test`, from its folder `bb_landmark`."""

    def __init__(self, source):
        """Read the tables of the folders that exist.

        Raises:
            Mistake: there is no table of boxes.
            Mistake: a table is damaged.
        """
        self._boxes, self._landmarks = {}, {}
        for part in ("train", "test"):
            boxes = source / "bb_landmark" / f"loose_bb_{part}.csv"
            landmarks = source / "bb_landmark" / f"loose_landmark_{part}.csv"
            if (source / part).is_dir() and boxes.is_file():
                self._boxes[part] = vggface2.Table(boxes, vggface2.BOX_COLUMNS)
                if landmarks.is_file():
                    self._landmarks[part] = vggface2.Table(landmarks, vggface2.LANDMARK_COLUMNS)
        if not self._boxes:
            raise Mistake(
                f"{source} holds no train or test with bb_landmark/loose_bb_train.csv or "
                'loose_bb_test.csv: set SOURCE_DIR to the folder they lie in, or FACES = "detect"'
            )

    def look_up(self, name):
        """Return the `Picture` of a name such as `train/n000002/0001_01.jpg`."""
        part, _, rest = name.partition("/")
        key = os.fsencode(os.path.splitext(rest)[0])
        box = self._boxes[part].find(key) if part in self._boxes else None
        points = self._landmarks[part].find(key) if part in self._landmarks else None
        landmarks = [points[i : i + 2] for i in range(0, 10, 2)] if points else None
        return Picture(name, box, landmarks, "" if box else "no box in the tables")


def check_people_apart(names):
    """Raise Mistake if a person of VGGFace2 is in `train` and in `test`."""
    people = {"train": set(), "test": set()}
    for name in names:
        part, _, rest = name.partition("/")
        if part in people and "/" in rest:
            people[part].add(rest.partition("/")[0])
    if shared := sorted(people["train"] & people["test"]):
        raise Mistake(
            f"{len(shared)} identities are in train and in test, the first is {shared[0]}: who is "
            "trained on cannot validate; list them in a file of EXCLUDE"
        )


# --- From pictures to crops, in processes of their own ---------------------------------------


def start_worker():
    """Prepare a process: Ctrl-C is the business of the first one, and none outlives it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    first = multiprocessing.parent_process()
    threading.Thread(target=lambda: (first.join(), os._exit(1)), daemon=True).start()


def do_part(pictures, source, output, settings):
    """Make the crops of some pictures.

    Args:
        pictures: list of `Picture`.
        source: `Path` of the folder that their names are relative to.
        output: `Path` of the folder of crops.
        settings: `Settings`.

    Returns:
        List of their rows for the manifest.

    Raises:
        OSError: a crop cannot be written; none is left half-written.
        Mistake: MTCNN cannot be used.
    """
    all_pixels = [_read(picture, source) for picture in pictures]
    if settings.faces == "detect":
        _detect(pictures, all_pixels, settings.smallest_face)
    rows = []
    for picture, pixels in zip(pictures, all_pixels, strict=True):
        face = None
        if not picture.reason:
            try:
                face = _crop(picture, pixels, settings)
            except CropError as error:
                picture.reason = str(error)
        name = crop_name(picture.name, source) if face is not None else ""
        if name:
            write_jpeg(output / name, face, settings.jpeg_quality)
        rows.append(_row(picture, name, settings))
    return rows


def _read(picture, source):
    """Return the pixels of a picture, or None and the reason in the picture."""
    if not picture.reason:
        try:
            return read_pixels(source / picture.name)
        except OSError as error:
            reason = str(error).removeprefix(f"{source / picture.name}: ")
            picture.reason = " ".join(f"unreadable: {reason}".split())
    return None


@functools.cache
def _detector():
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # each process would claim all of its memory
    tf.config.threading.set_intra_op_parallelism_threads(1)  # processes share the work already
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return FaceDetector()


def _detect(pictures, all_pixels, smallest):
    """Note box and landmarks of the main face in each picture that could be read."""
    readable = [i for i, pixels in enumerate(all_pixels) if pixels is not None]
    while readable:
        batch, height, width = [], 0, 0
        for i in readable:
            height, width = np.maximum((height, width), all_pixels[i].shape[:2]).tolist()
            if batch and (len(batch) + 1) * height * width > BATCH_PIXELS:
                break
            batch.append(i)
        readable = readable[len(batch) :]
        found = _detector().find([all_pixels[i] for i in batch], smallest)
        for i, faces in zip(batch, found, strict=True):
            if faces:
                main = main_face([face.box for face in faces], *all_pixels[i].shape[:2])
                pictures[i].box, pictures[i].landmarks = faces[main].box, faces[main].landmarks
            else:
                pictures[i].reason = "no face found"


def _crop(picture, pixels, settings):
    """Return the crop, uint8 (size, size, 3); raise CropError if there is no sound one."""
    if settings.faces == "cropped":
        return crop_and_resize(pixels, settings.size)
    if 0 < max(picture.box[2:]) < settings.smallest_face:
        raise CropError(f"face smaller than {settings.smallest_face} pixels")
    if settings.align and picture.landmarks is None:
        raise CropError("no landmarks in the tables")
    landmarks = picture.landmarks if settings.align else None
    return crop(pixels, picture.box, settings.margin, settings.size, landmarks)


def crop_name(name, source):
    """Return what the crop of a picture is called: the same if that ends in .jpg, else with it."""
    if name.endswith(".jpg"):
        return name
    name += ".jpg"
    while (source / name).exists():  # a.png beside another picture a.png.jpg
        name += ".jpg"
    return name


def write_jpeg(path, pixels, quality):
    """Write pixels as JPEG, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encoded.getvalue())


def write_whole(path, content):
    """Write bytes as a file that is never seen unfinished; raise OSError if that fails."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _row(picture, name, settings):
    """Return the row of a picture in the manifest, as strings."""
    numbers = [*(picture.box or [""] * 4), *itertools.chain(*(picture.landmarks or [[""] * 2] * 5))]
    margin = "" if settings.faces == "cropped" else f"{settings.margin:g}"
    return [
        *(picture.name, name),
        *(number if number == "" else f"{number:g}" for number in numbers),
        *(MODES[settings.faces], margin, picture.reason),
    ]


# --- The manifest, and going on --------------------------------------------------------------


class Manifest:
    """The list of what was done, whole parts only, in the order of the pictures.

    Attributes:
        done: number of pictures in it.
        counts: {reason: number of pictures}, "" for crops.
    """

    STYLE = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}

    def __init__(self, output, names, settings):
        """Begin a list, or continue the one that is in a folder.

        Args:
            output: `Path` of the folder of crops.
            names: list of the pictures' names.
            settings: `Settings`.

        Raises:
            Mistake: the folder holds something else, or crops of other settings or pictures.
        """
        self._finished = output / "manifest.csv"
        self._path = output / "manifest_unfinished.csv"
        self.counts = collections.Counter()
        self.done = 0
        self._check_settings(output, settings)
        if self._finished.exists():
            self._count(self._finished, names)
            if self.done != len(names):
                raise self._changed(names[self.done])
        else:
            if self._path.exists():
                self._repair(names)
            else:
                write_whole(self._path, (",".join(COLUMNS) + "\n").encode())
            self._file = open(self._path, "a", **self.STYLE)  # noqa: SIM115

    def _check_settings(self, output, settings):
        path, ours = output / "prepare.json", dataclasses.asdict(settings)
        if not path.exists():
            left = {p.name for p in output.iterdir()} if output.is_dir() else set()
            if left - {f"{path.name}.unfinished"}:  # that alone is a start that was killed
                raise Mistake(f"OUTPUT_DIR {output} holds something else: name a new folder")
            output.mkdir(parents=True, exist_ok=True)
            write_whole(path, (json.dumps(ours, indent=2) + "\n").encode())
        try:
            before = json.loads(path.read_text())
            changes = [n.upper() for n in ours if before.get(n) != ours[n]]
        except (ValueError, AttributeError) as error:
            raise Mistake(f"{path} is damaged: delete OUTPUT_DIR to begin anew") from error
        if changes:
            was = ", ".join(f"{name} = {before.get(name.lower())!r}" for name in changes)
            raise Mistake(f"{output} holds crops made with {was}: name another OUTPUT_DIR")

    def _changed(self, name):
        return Mistake(
            f"the pictures of SOURCE_DIR or EXCLUDE changed since {self._finished.parent} was "
            f"begun, first at {name}: name another OUTPUT_DIR"
        )

    def _rows(self, path):
        """Yield the rows that are whole; the last one is not if it was being written."""
        with open(path, **self.STYLE) as file:
            lines = iter(file.readline, "")
            whole = (line for line in lines if line.endswith(("\n", "\r")))
            rows = csv.reader(whole)
            next(rows, None)
            try:
                yield from (row for row in rows if len(row) == len(COLUMNS))
            except csv.Error:
                return

    def _count(self, path, names):
        for row, name in itertools.zip_longest(self._rows(path), names):
            if row is None:
                return
            if row[0] != name:
                raise self._changed(row[0])
            self.counts[row[-1]] += 1
            self.done += 1

    def _repair(self, names):
        """Keep the whole parts of a list that was interrupted."""
        total = sum(1 for _ in self._rows(self._path))
        kept = total if total == len(names) else total - total % PART
        shortened = self._path.with_name("manifest_repaired.csv")
        with open(shortened, "w", **self.STYLE) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(itertools.islice(self._rows(self._path), kept))
        shortened.replace(self._path)
        self._count(self._path, names)

    def add(self, rows):
        """Write the rows of a part whose crops are all written."""
        csv.writer(self._file, lineterminator="\n").writerows(rows)
        self._file.flush()
        self.counts.update(row[-1] for row in rows)
        self.done += len(rows)

    def finish(self):
        """Give the list its final name and write the summary; return the latter."""
        if not self._finished.exists():
            self._file.close()
            self._path.replace(self._finished)
        reasons = collections.Counter()
        for reason, count in self.counts.items():
            reasons[reason.partition(":")[0]] += count
        lines = [f"{reasons.pop('', 0)} of {self.done} pictures became crops"]
        lines += [f"{count} left out: {reason}" for reason, count in sorted(reasons.items())]
        summary = "\n".join(lines) + "\n"
        write_whole(self._finished.with_name("summary.txt"), summary.encode())
        return summary


def do_all(parts, processes, manifest, work):
    """Do parts in several processes and note each in the manifest, in order.

    Args:
        parts: iterator of lists of `Picture`.
        processes: number of processes.
        manifest: `Manifest`.
        work: function from a part to rows, which can be sent to processes.

    Yields:
        The number of pictures of each part that is done.
    """
    spawn = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(processes, spawn, start_worker)
    try:
        waiting = collections.deque()
        while True:
            for part in itertools.islice(parts, 4 * processes - len(waiting)):
                waiting.append(pool.submit(work, part))
            if not waiting:
                return
            rows = waiting.popleft().result()
            manifest.add(rows)
            yield len(rows)
    finally:
        pool.shutdown(cancel_futures=True)


def main():
    """Make the crops that the constants ask for, or those that are still missing.

    Raises:
        Mistake, Mistake, Mistake, Mistake, OSError: one line that names the
            constant or path to change; what is done stays done.
    """
    check_constants()
    settings = Settings(FACES, MARGIN, ALIGN, SMALLEST_FACE, SIZE, JPEG_QUALITY)
    source, output = Path(SOURCE_DIR), Path(OUTPUT_DIR)
    check_apart(source, output)
    listed = [os.fsdecode(name) for name in find_faces(source).names()]
    excluded = read_excluded(EXCLUDE, source)
    names = [name for name in listed if Path(name).parent.name not in excluded]
    if not names:
        raise Mistake(f"EXCLUDE leaves none of the {len(listed)} pictures")
    if EXCLUDE and len(names) == len(listed):
        raise Mistake(
            f"the files of EXCLUDE name none of the identities in {source}: they list folders, or "
            "people of VGGFace2's meta/identity_meta.csv, which must lie there"
        )
    if len(names) < len(listed):
        print(f"{len(listed) - len(names)} pictures of excluded identities are left out")
    picture_of = Picture
    if FACES == "vggface2":
        check_people_apart(names)
        picture_of = Tables(source).look_up
    elif FACES == "detect":
        FaceDetector()  # fails here rather than in every process
    manifest = Manifest(output, names, settings)
    parts = (
        [picture_of(name) for name in names[start : start + PART]]
        for start in range(manifest.done, len(names), PART)
    )
    work = functools.partial(do_part, source=source, output=output, settings=settings)
    with tqdm(total=len(names), initial=manifest.done, unit="picture") as progress:
        for count in do_all(parts, PROCESSES, manifest, work):
            progress.update(count)
    print(manifest.finish(), end="")


if __name__ == "__main__":
    try:
        main()
    except (Mistake, vggface2.Mistake) as error:
        sys.exit(f"prepare.py: {error}")
    except OSError as error:
        sys.exit(f"prepare.py: {error}; once that is mended, the same command goes on")
    except concurrent.futures.BrokenExecutor:
        sys.exit("prepare.py: a process died, perhaps of too little memory: lower PROCESSES")
    except KeyboardInterrupt:
        print("prepare.py: stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
