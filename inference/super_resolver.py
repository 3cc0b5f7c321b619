"""A trained network and pictures of any size."""

import numpy as np
import tensorflow as tf

from data import to_faces, to_pixels
from trained_networks import compiled


def enlarge(pixels, size=128):
    """Make pictures of any size the input of the network.

    Pictures that are not square are padded to one by repeating their edges, so that faces keep
    their proportions. Smaller ones are enlarged by the bicubic kernel that training enlarges with,
    larger ones reduced by the antialiased one that it reduces with. Works in graphs as well.

    Args:
        pixels: uint8 RGB (B, H, W, 3), of any H and W from 1.
        size: height and width of the network's faces.

    Returns:
        lr_faces, float32 (B, size, size, 3) in [-1, 1].
    """
    height, width = tf.unstack(tf.shape(pixels)[1:3])
    side = tf.maximum(height, width)
    for axis, length in ((1, height), (2, width)):
        positions = tf.range(side) - (side - length) // 2
        pixels = tf.gather(pixels, tf.clip_by_value(positions, 0, length - 1), axis=axis)
    faces = to_faces(pixels)
    faces = tf.cond(
        side > size,
        lambda: tf.image.resize(faces, (size, size), "bicubic", antialias=True),
        lambda: tf.image.resize(faces, (size, size), "bicubic"),
    )
    return tf.clip_by_value(tf.ensure_shape(faces, (None, size, size, 3)), -1.0, 1.0)


def without_padding(faces, height, width):
    """Cut off what `enlarge` added to a picture that was not square.

    Args:
        faces: (S, S, 3) array of one face, enlarged or super-resolved.
        height: height of the picture before, in pixels.
        width: its width.

    Returns:
        View (H, W, 3) of `faces` with the longer side S and the proportions of the picture.
    """
    size, side = faces.shape[0], max(height, width)
    box = []
    for length in (height, width):
        kept = max(1, round(length * size / side))
        start = min(round((side - length) // 2 * size / side), size - kept)
        box.append(slice(start, start + kept))
    return faces[box[0], box[1]]


class SuperResolver:
    """A network that takes and returns pictures.

    Attributes:
        size: height and width of the network's faces in pixels.
    """

    def __init__(self, network, correct=None):
        """Compile a network.

        Args:
            network: `keras.Model`, see `load_network`.
            correct: function from sr_faces, lr_faces and their low resolutions, int32 (N, 2), to
                sr_faces that reduce to what came in; None leaves them as the network gives them.
        """
        self.size = network.input_shape[1]
        self._run = compiled(network)
        self._correct = correct

    def __call__(self, pictures):
        """Super-resolve pictures, each of its own size, all at once.

        Args:
            pictures: list of uint8 RGB arrays (H, W, 3) at their true resolution, see
                `resolution.bring_to`; as many as shall be computed at a time.

        Returns:
            (lr_faces, sr_faces): NumPy arrays, float32 (N, S, S, 3) in [-1, 1], the padding of
            pictures that are not square still with them; see `without_padding`.
        """
        lr_faces = np.concatenate([enlarge(picture[None], self.size) for picture in pictures])
        sr_faces = self._run(lr_faces)
        if self._correct:
            # Pictures that are not square were padded to one, larger ones reduced to the size.
            sides = [min(max(picture.shape[:2]), self.size) for picture in pictures]
            sr_faces = self._correct(sr_faces, lr_faces, np.array([sides, sides], np.int32).T)
        return lr_faces, np.asarray(sr_faces)


def cut_pixels(face, picture):
    """Return one face (S, S, 3) in [-1, 1] as uint8 pixels in the proportions of its picture."""
    return without_padding(to_pixels(face).numpy(), *picture.shape[:2])
