"""A trained network at work on faces and on pictures of them."""

from data import Degradation, to_faces, to_pixels
from metrics import at_size
from trained_networks import options_of, super_resolution


class Restorer:
    """Super-resolves faces, and pictures that it degrades first.

    Attributes:
        degradation: `Degradation` of the training, at the sizes that are measured.
        super_resolve: see `trained_networks.super_resolution`.
    """

    def __init__(self, network, low_resolutions, training):
        """Compile a network.

        Args:
            network: `keras.Model` from lr_faces to sr_faces.
            low_resolutions: (height, width) pairs in pixels that are measured.
            training: constants of the network's training.
        """
        self.degradation = Degradation(
            training["IMAGE_SIZE"], low_resolutions, **options_of(training)
        )
        self.super_resolve = super_resolution(network, self.degradation.correct)

    def pictures(self, pixels, low_resolution):
        """Return uint8 (B, S, S, 3) enlarged bicubically from a low resolution, and the SR faces.

        Args:
            pixels: uint8 (B, S, S, 3), HR faces.
            low_resolution: (height, width) in pixels.
        """
        lr_faces = at_size(self.degradation, low_resolution)(to_faces(pixels))
        sr_faces = at_size(self.super_resolve, low_resolution)(lr_faces)
        return tuple(to_pixels(faces).numpy() for faces in (lr_faces, sr_faces))
