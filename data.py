"""From folders of photographs to batches of low- and high-resolution faces.

A face is float32 RGB (H, W, 3) in [-1, 1]; pixels are uint8 RGB (H, W, 3) in [0, 255].
Every random choice is a pure function of (seed, epoch, image), so a batch depends on its
position in training alone: a resumed run sees what an uninterrupted one would have seen.
"""

import collections
import functools
import hashlib
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})

FACES_PER_ROUND = 2  # of an identity, when faces are spread over identities

# (height, width) in pixels of the low-resolution faces, each as likely as the others (original).
LOW_RESOLUTIONS = (
    (7, 6),
    (11, 8),
    (14, 12),
    (16, 12),
    (16, 14),
    (16, 16),
    (18, 16),
    (21, 15),
    (32, 32),
    (112, 96),
)


class DataError(ValueError):
    """Training data that is missing or unusable."""


# --- Finding and reading faces ---------------------------------------------------------------


def find_faces(folder):
    """List the images below a folder, sorted, so that the order is the same on every machine.

    Args:
        folder: root of one folder per identity, at any depth.

    Returns:
        List of `Path`. The identity of a face is its parent folder.

    Raises:
        DataError: the folder does not exist or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    paths = [p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file()]
    paths.sort(key=lambda path: path.as_posix())  # paths themselves ignore case on some systems
    if not paths:
        raise DataError(f"{folder} holds no image ({', '.join(sorted(EXTENSIONS))})")
    return paths


def hold_out_identities(paths, count):
    """Split faces into two lists that share no identity.

    Args:
        paths: list of `Path`, one identity per parent folder.
        count: number of identities to hold out: the last ones by name.

    Returns:
        (training paths, held-out paths).

    Raises:
        DataError: fewer than `count` + 1 identities, so that nothing would remain.
    """
    identities = sorted({path.parent for path in paths})
    if not 0 < count < len(identities):
        raise DataError(
            f"cannot hold out {count} of {len(identities)} identities: TRAIN_DIR needs one folder "
            "per person; lower HELD_OUT_IDENTITIES or set VALIDATION_DIR"
        )
    held_out = set(identities[-count:])
    return (
        [path for path in paths if path.parent not in held_out],
        [path for path in paths if path.parent in held_out],
    )


def fingerprint(paths, folder):
    """Return a line that changes when a list of faces does, but not when its folder moves."""
    names = "\n".join(path.relative_to(folder).as_posix() for path in paths)
    digest = hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()
    return f"{len(paths)} files, {digest[:16]}"


def read_pixels(path):
    """Read an image file of any common format as upright 8-bit RGB.

    EXIF rotation is applied, 16 bits become 8, greyscale and CMYK become RGB, transparency is
    laid over white, of an animation the first frame is taken.

    Args:
        path: image file.

    Returns:
        uint8 (H, W, 3).

    Raises:
        OSError: the file cannot be read as an image; the message says why.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16-bit greyscale; Pillow would clip it to 255
                image = Image.fromarray(np.uint8(np.asarray(image).clip(0, 65535) // 257))
            elif image.mode == "F":
                raise OSError("pixels are floating-point numbers of unknown range")
            if image.has_transparency_data:
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image)
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files
        raise OSError(f"{path}: {error}") from error


def crop_and_resize(pixels, size, rng=None, smallest_crop=1.0, mirror=False):
    """Cut a square out of an image and resize it to the network's size.

    Args:
        pixels: uint8 (H, W, 3).
        size: height and width of the result in pixels.
        rng: `np.random.Generator` that draws the square and the mirroring; None takes the
            largest central square, unmirrored.
        smallest_crop: side of the smallest square that may be drawn, as a fraction in (0, 1] of
            the largest; 1 leaves only the position of the largest square to chance.
        mirror: whether half of the faces are mirrored left to right.

    Returns:
        uint8 (size, size, 3).
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    if rng is None:
        top, left = (height - side) // 2, (width - side) // 2
    else:
        side = max(1, round(side * rng.uniform(smallest_crop, 1.0)))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = pixels[top : top + side, left : left + side]
    if mirror and rng is not None and rng.random() < 0.5:
        square = square[:, ::-1]
    # INTER_AREA averages, so shrinking does not alias; for enlarging, OpenCV advises INTER_CUBIC.
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=interpolation)


# --- Degradation -----------------------------------------------------------------------------


def to_faces(pixels):
    """Scale uint8 pixels in [0, 255] to float32 faces in [-1, 1]."""
    return tf.cast(pixels, tf.float32) / 127.5 - 1.0


def to_pixels(faces):
    """Round float32 faces in [-1, 1] to uint8 pixels in [0, 255]: the inverse of `to_faces`."""
    return tf.cast(tf.round((tf.clip_by_value(faces, -1.0, 1.0) + 1.0) * 127.5), tf.uint8)


def degrade(hr_faces, low_resolution, antialias=True):
    """Reduce faces bicubically to a low resolution and enlarge them again.

    The one degradation of this repository: training, evaluation and inference all call it.
    Bicubic kernels overshoot at edges, so both results are clipped to the range of a picture.

    Args:
        hr_faces: float32 (H, W, 3) or (B, H, W, 3) in [-1, 1].
        low_resolution: (height, width) in pixels, integers or an int32 tensor of shape (2,).
        antialias: whether the reduction averages over the pixels it drops, as a camera does.
            False restores the original code.

    Returns:
        lr_faces, float32 in [-1, 1], of the shape of `hr_faces`.
    """
    size = tf.shape(hr_faces)[-3:-1]
    small = tf.image.resize(hr_faces, low_resolution, "bicubic", antialias=antialias)
    small = tf.clip_by_value(small, -1.0, 1.0)
    lr_faces = tf.clip_by_value(tf.image.resize(small, size, "bicubic"), -1.0, 1.0)
    return tf.ensure_shape(lr_faces, hr_faces.shape)


# --- Batches ---------------------------------------------------------------------------------


class TrainingFaces:
    """An endless, seeded stream of training batches that can start at any step.

    Every epoch visits the faces once in a new order, leaving out the last incomplete batch. An
    unreadable file is noted and replaced by the next readable one of the epoch's order, so that
    batches stay full and their positions do not move.

    Attributes:
        steps_per_epoch: full batches per epoch.
        unreadable: {path: reason} of the files that could not be read so far.
    """

    # This many unreadable files in a row mean that something else is wrong: a disk that went
    # away, a folder of other files.
    UNREADABLE_IN_A_ROW = 100

    def __init__(
        self,
        paths,
        batch_size,
        image_size=128,
        low_resolutions=LOW_RESOLUTIONS,
        antialias=True,
        smallest_crop=1.0,
        mirror=False,
        seed=0,
    ):
        """Keep what defines the stream; nothing is read yet.

        Args:
            paths: list of image files.
            batch_size: faces per batch.
            image_size: height and width of a face in pixels.
            low_resolutions: (height, width) pairs, drawn uniformly, one per face and epoch.
            antialias: see `degrade`.
            smallest_crop: see `crop_and_resize`.
            mirror: see `crop_and_resize`.
            seed: integer at least 0 that fixes every random choice.

        Raises:
            DataError: fewer faces than one batch needs.
        """
        if len(paths) < batch_size:
            raise DataError(
                f"{len(paths)} training faces do not fill one batch of {batch_size}: "
                f"set BATCH_SIZE to at most {len(paths)} or add faces to TRAIN_DIR"
            )
        self.paths = list(paths)
        self.batch_size = batch_size
        self.image_size = image_size
        self.low_resolutions = np.array(low_resolutions, np.int32)
        self.antialias = antialias
        self.smallest_crop = smallest_crop
        self.mirror = mirror
        self.seed = seed
        self.steps_per_epoch = len(paths) // batch_size
        self.unreadable = {}
        self._failure = None
        self._order = functools.lru_cache(maxsize=2)(self._new_order)

    def dataset(self, first_step=0):
        """Return the stream from a step on.

        Args:
            first_step: number of batches to leave out, in no time: their files are not read.

        Returns:
            `tf.data.Dataset` of (lr_faces, hr_faces, low_resolutions): twice float32
            (B, size, size, 3), and int32 (B, 2), the height and width of each face in pixels.
        """
        size = self.image_size

        def face_pair(position):
            # stateful=False: the same position always gives the same face.
            pixels, low_resolution = tf.numpy_function(
                self._draw, [position], (tf.uint8, tf.int32), stateful=False
            )
            hr_face = to_faces(tf.ensure_shape(pixels, (size, size, 3)))
            low_resolution = tf.ensure_shape(low_resolution, (2,))
            return degrade(hr_face, low_resolution, self.antialias), hr_face, low_resolution

        first = first_step * self.batch_size
        return (
            tf.data.Dataset.range(first, np.iinfo(np.int64).max)
            .map(face_pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(self.batch_size, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    def batches(self, first_step=0):
        """Yield the batches of `dataset` from a step on, without end.

        Raises:
            DataError: `UNREADABLE_IN_A_ROW` files, or all there are, could not be read.
        """
        try:
            yield from self.dataset(first_step)
        except tf.errors.OpError:
            if self._failure is None:
                raise
            raise DataError(self._failure) from None

    def _new_order(self, epoch):
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.paths))

    def _locate(self, position, skip=0):
        """Return (epoch, index of the path) of a position in the stream of faces."""
        epoch, slot = divmod(int(position), self.steps_per_epoch * self.batch_size)
        return epoch, int(self._order(epoch)[(slot + skip) % len(self.paths)])

    def _draw(self, position):
        """Return the pixels (size, size, 3) and the low resolution (2,) at a position."""
        for skip in range(min(len(self.paths), self.UNREADABLE_IN_A_ROW)):
            epoch, index = self._locate(position, skip)
            path = self.paths[index]
            if path in self.unreadable:
                continue
            try:
                pixels = read_pixels(path)
            except OSError as error:
                self.unreadable[path] = str(error)
                continue
            rng = np.random.default_rng((self.seed, epoch, index))
            low_resolution = self.low_resolutions[rng.integers(len(self.low_resolutions))]
            pixels = crop_and_resize(pixels, self.image_size, rng, self.smallest_crop, self.mirror)
            return pixels, low_resolution
        # TensorFlow would bury this message in its own: `batches` raises it anew.
        self._failure = (
            f"{skip + 1} images in a row could not be read, the last one: {self.unreadable[path]}"
        )
        raise DataError(self._failure)


def load_faces(paths, count, image_size=128):
    """Read a fixed choice of faces, spread evenly over the identities.

    Two of each identity are taken, then two more, and so on: only with a second face of the same
    person can be told whether the person is recognised.

    Args:
        paths: list of `Path`, one identity per parent folder.
        count: number of faces wanted.
        image_size: height and width of a face in pixels.

    Returns:
        (pixels, identities, unreadable): uint8 (N, size, size, 3) with N at most `count`, an
        array of N folder names, and {path: reason} of the files passed over.

    Raises:
        DataError: not one of the files could be read.
    """
    by_identity = collections.defaultdict(list)
    for path in paths:
        by_identity[path.parent].append(path)
    rounds = range(0, max(map(len, by_identity.values())), FACES_PER_ROUND)
    in_turn = (
        path
        for start in rounds
        for members in by_identity.values()
        for path in members[start : start + FACES_PER_ROUND]
    )
    pixels, chosen, unreadable = [], [], {}
    while len(pixels) < count and (path := next(in_turn, None)) is not None:
        try:
            pixels.append(crop_and_resize(read_pixels(path), image_size))
            chosen.append(path)
        except OSError as error:
            unreadable[path] = str(error)
    if not pixels:
        reason = next(iter(unreadable.values()), "there are none")
        raise DataError(f"no readable image among {len(paths)} files: {reason}")
    order = np.argsort([str(path) for path in chosen], kind="stable")
    identities = np.array([str(path.parent) for path in chosen])
    return np.stack(pixels)[order], identities[order], unreadable
