"""From pictures to crops, in processes of their own."""

import collections
import concurrent.futures
import dataclasses
import functools
import io
import itertools
import multiprocessing
import os
import signal
import threading

import numpy as np
from PIL import Image

from errors import Mistake
from files import whole
from imaging.cropping import CropError, crop, main_face
from imaging.detection import FaceDetector
from imaging.pictures import crop_and_resize, read_or_note
from preparation.manifest import row_of

BATCH_PIXELS = 8_000_000  # searched for faces at once, so that memory stays small


@dataclasses.dataclass(frozen=True)
class Settings:
    """What makes a crop out of a picture; the constants of these names say more.

    Attributes:
        faces: key of `manifest.DETECTORS`.
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
        rows.append(row_of(picture, name, settings))
    return rows


def _read(picture, source):
    """Return the pixels of a picture, or None and the reason in the picture."""

    def note(path, error):
        reason = str(error).removeprefix(f"{path}: ")
        picture.reason = " ".join(f"unreadable: {reason}".split())

    return None if picture.reason else read_or_note(source / picture.name, note)


@functools.cache
def _detector():
    import hardware  # noqa: F401  # before TensorFlow

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
    encoded = io.BytesIO()  # Pillow would not say why a file cannot be written
    Image.fromarray(pixels).save(encoded, "JPEG", quality=quality)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path, alone=True) as unfinished:
        unfinished.write_bytes(encoded.getvalue())


def do_all(parts, processes, manifest, work):
    """Do parts in several processes and note each in the manifest, in order.

    Args:
        parts: iterator of lists of `Picture`.
        processes: number of processes.
        manifest: `Manifest`.
        work: function from a part to rows, which can be sent to processes.

    Yields:
        The number of pictures of each part that is done.

    Raises:
        Mistake: a process died.
        Exception: what `work` raises.
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
    except concurrent.futures.BrokenExecutor as error:
        message = "a process died, perhaps of too little memory: lower PROCESSES"
        raise Mistake(message) from error
    finally:
        pool.shutdown(cancel_futures=True)
