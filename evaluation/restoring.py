"""A trained network at work on faces and on pictures of them."""

import tensorflow as tf

from data import degrade, to_faces, to_pixels


class Restorer:
    """Super-resolves faces, and pictures that it degrades first."""

    def __init__(self, network, antialias):
        """Compile a network.

        Args:
            network: `keras.Model` from lr_faces to sr_faces.
            antialias: see `data.degrade`.
        """
        self._antialias = antialias
        self.super_resolve = tf.function(lambda lr_faces: network(lr_faces, training=False))

    def pictures(self, pixels, low_resolution):
        """Return uint8 (B, S, S, 3) enlarged bicubically from a low resolution, and the SR faces.

        Args:
            pixels: uint8 (B, S, S, 3), HR faces.
            low_resolution: (height, width) in pixels.
        """
        lr_faces = degrade(to_faces(pixels), low_resolution, self._antialias)
        return tuple(to_pixels(x).numpy() for x in (lr_faces, self.super_resolve(lr_faces)))
