"""A trained network and pictures of any size."""

import numpy as np

from data import Degradation, enlarge, to_faces, to_pixels
from imaging.cropping import squared
from imaging.pictures import crop_and_resize
from trained_networks import degradation_options, load_network, super_resolution


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
        size: height and width S of the network's faces in pixels.
    """

    def __init__(self, network, **options):
        """Compile a network.

        Args:
            network: `keras.Model`, see `load_network`.
            **options: of `data.Degradation`, as its training had them.
        """
        self.size = network.input_shape[1]
        self._options = options
        self._network = super_resolution(network, lambda sr_faces, *_: sr_faces)

    @classmethod
    def of(cls, path):
        """Load a network, see `load_network`, to be used as it was trained."""
        return cls(load_network(path), **degradation_options(path))

    def __call__(self, pictures, low_resolution=None):
        """Super-resolve pictures, each of its own size, all at once.

        Args:
            pictures: list of uint8 RGB arrays (H, W, 3) at their true resolution, see
                `resolution.undo_enlargement`; as many as shall be computed at a time.
            low_resolution: (height, width) in pixels that squares around larger pictures are
                reduced to first, see `taken_for`; or None.

        Returns:
            (lr_faces, sr_faces): NumPy arrays, float32 (N, S, S, 3) in [-1, 1], the padding of
            pictures that are not square still with them; see `without_padding`.
        """
        given = [self._given(picture, low_resolution) for picture in pictures]
        lr_faces, sizes = (np.concatenate(parts) for parts in zip(*given, strict=True))
        sr_faces = self._network(lr_faces, sizes)
        sr_faces = self.degradation(sizes.tolist()).correct(sr_faces, lr_faces, sizes)
        return lr_faces, np.asarray(sr_faces)

    def degradation(self, low_resolutions):
        """Return the `data.Degradation` of the training at some low resolutions."""
        # The matrices of all sizes take 1.6 GB for faces of 512 pixels. The full size is always
        # among them: padded alike, they give the same to the last bit whatever comes beside.
        return Degradation(self.size, [*low_resolutions, (self.size,) * 2], **self._options)

    def _given(self, picture, low_resolution):
        """Return what the network is given of a picture, and its low resolution, both of B = 1."""
        # Pictures that are not square are padded to one, larger ones reduced to the size.
        size = self.taken_for(picture, low_resolution)
        if size == picture.shape[:2]:
            side = min(max(size), self.size)
            return enlarge(picture[None], self.size), np.int32([(side, side)])
        hr_face = crop_and_resize(squared(picture), self.size)
        degrade = self.degradation([size])
        return degrade(to_faces(hr_face[None]), np.int32([size])), np.int32([size])

    def taken_for(self, picture, low_resolution):
        """Return the (height, width) that the square around a picture is reduced to, or its own.

        Args:
            picture: uint8 RGB (H, W, 3).
            low_resolution: (height, width) in pixels; pictures with more of neither keep their
                own, and with None all do.
        """
        own = picture.shape[:2]
        if low_resolution is None or all(a <= b for a, b in zip(own, low_resolution, strict=True)):
            return own
        return tuple(min(side, max(own), self.size) for side in low_resolution)


def cut_pixels(face, picture):
    """Return one face (S, S, 3) in [-1, 1] as uint8 pixels in the proportions of its picture."""
    return without_padding(to_pixels(face).numpy(), *picture.shape[:2])
