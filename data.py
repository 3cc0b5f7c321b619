"""From folders of photographs to batches of low- and high-resolution faces.

A face is float32 RGB (H, W, 3) in [-1, 1]; pixels are uint8 RGB (H, W, 3) in [0, 255].
Every random choice is a pure function of (seed, epoch, image), so a batch depends on its
position in training alone: a resumed run sees what an uninterrupted one would have seen.
"""

import functools

import numpy as np
import tensorflow as tf

from errors import Mistake
from imaging.pictures import crop_and_resize, read_pixels
from imaging.unreadable import Unreadable

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
        unreadable: `Unreadable`, the files that could not be read so far.
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
            paths: `FaceList`, or another sequence of image files.
            batch_size: faces per batch.
            image_size: height and width of a face in pixels.
            low_resolutions: (height, width) pairs, drawn uniformly, one per face and epoch.
            antialias: see `degrade`.
            smallest_crop: see `crop_and_resize`.
            mirror: see `crop_and_resize`.
            seed: integer at least 0 that fixes every random choice.

        Raises:
            Mistake: fewer faces than one batch needs.
        """
        if len(paths) < batch_size:
            raise Mistake(
                f"{len(paths)} training faces do not fill one batch of {batch_size}: "
                f"set BATCH_SIZE to at most {len(paths)} or add faces to TRAIN_DIR"
            )
        self.paths = paths
        self.batch_size = batch_size
        self.image_size = image_size
        self.low_resolutions = np.array(low_resolutions, np.int32)
        self.antialias = antialias
        self.smallest_crop = smallest_crop
        self.mirror = mirror
        self.seed = seed
        self.steps_per_epoch = len(paths) // batch_size
        self.unreadable = Unreadable()
        self._failure = None
        self._order = functools.lru_cache(maxsize=2)(self._new_order)

    def dataset(self, first_step=0, part=0, parts=1):
        """Return the stream from a step on.

        Args:
            first_step: number of batches to leave out, in no time: their files are not read.
            part: which part of each batch to return, from 0; the others' files are not read.
            parts: number of equal parts; it divides the batch size.

        Returns:
            `tf.data.Dataset` of (lr_faces, hr_faces, low_resolutions): twice float32
            (B, size, size, 3), and int32 (B, 2), the height and width of each face in pixels;
            B is the batch size divided by `parts`.
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

        count = self.batch_size // parts

        def positions(step):
            first = step * self.batch_size + part * count
            return tf.data.Dataset.range(first, first + count)

        return (
            tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
            .flat_map(positions)
            .map(face_pair, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(count, drop_remainder=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    def batches(self, first_step=0, part=0, parts=1):
        """Yield the batches of `dataset`, of the same arguments, without end.

        Raises:
            Mistake: `UNREADABLE_IN_A_ROW` files, or all there are, could not be read.
        """
        try:
            yield from self.dataset(first_step, part, parts)
        except tf.errors.OpError:
            if self._failure is None:
                raise
            raise Mistake(self._failure) from None

    def _new_order(self, epoch):
        return np.random.default_rng((self.seed, epoch)).permutation(len(self.paths))

    def locate(self, position, skip=0):
        """Return (epoch, index of the path) of a position in the stream of faces.

        Args:
            position: number of the face since the start of the training, from 0.
            skip: how many faces further on in the epoch's order to look.
        """
        epoch, slot = divmod(int(position), self.steps_per_epoch * self.batch_size)
        return epoch, int(self._order(epoch)[(slot + skip) % len(self.paths)])

    def _draw(self, position):
        """Return the pixels (size, size, 3) and the low resolution (2,) at a position."""
        for skip in range(min(len(self.paths), self.UNREADABLE_IN_A_ROW)):
            epoch, index = self.locate(position, skip)
            path = self.paths[index]
            if path in self.unreadable:
                continue
            try:
                pixels = read_pixels(path)
            except OSError as error:
                self.unreadable.note(path, error)
                continue
            rng = np.random.default_rng((self.seed, epoch, index))
            low_resolution = self.low_resolutions[rng.integers(len(self.low_resolutions))]
            pixels = crop_and_resize(pixels, self.image_size, rng, self.smallest_crop, self.mirror)
            return pixels, low_resolution
        # TensorFlow would bury this message in its own: `batches` raises it anew.
        last = self.unreadable.reasons[path]
        self._failure = f"{skip + 1} images in a row could not be read, the last one: {last}"
        raise Mistake(self._failure)
