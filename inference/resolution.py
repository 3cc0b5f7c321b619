"""How many pixels a picture really has: one that was enlarged before it came has fewer.

Enlarging is linear, so what was enlarged from n pixels lies in a space of n dimensions, and nearly
nothing of it outside: rounding, and what JPEG adds. Of a picture that was not enlarged, or from
another number of pixels, much lies outside. So every n is tried, with every usual kernel.
"""

import functools
import math
import re

import numpy as np
from PIL import Image
from threadpoolctl import ThreadpoolController

from imaging.opencv import cv2

AUTO, OWN = "auto", "own"
KERNELS = {
    **{kernel.name: kernel for kernel in (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR)},
    **{kernel.name: kernel for kernel in (Image.Resampling.NEAREST, Image.Resampling.LANCZOS)},
    "OpenCV's bicubic": None,
}
LEAST, MOST = 4, 127  # pixels of the longer side that are looked for; larger faces are reduced
LEAST_FACTOR = 1.3  # of an enlargement that is looked for
DEPTH = 0.6  # times what lies outside for one pixel more or less, an enlargement leaves at most
JPEG = 2.5, 0.15  # levels of 255, and times the same, that JPEG of quality 75 leaves at most
LEAST_EVIDENCE = 0.75  # levels that must lie outside then; of a flat picture, nothing ever does
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def effective_size(pixels):
    """Return the size that a picture had before it was enlarged, or its own.

    Found are enlargements of whole pictures by 1.3 times and more, by the bicubic kernels of
    Pillow, TensorFlow and OpenCV, by the bilinear one, Lanczos' and that of nearest neighbours;
    also if they were saved as JPEG afterwards, reliably from quality 95 on, in most cases from 75
    on, least by twice the size. Not found are those that were cropped, sharpened or resized again
    afterwards, and pictures without detail. What is found by chance costs little to undo, as it
    explains the picture nearly as well.

    Args:
        pixels: uint8 RGB (H, W, 3).

    Returns:
        (height, width) in pixels, at most those of the picture.
    """
    found = _find_enlargement(pixels)
    return found[0] if found else pixels.shape[:2]


def undo_enlargement(pixels):
    """Return a picture as it was before it was enlarged, see `effective_size`.

    Args:
        pixels: uint8 RGB (H, W, 3).

    Returns:
        uint8 RGB (h, w, 3), the pixels whose enlargement is closest to the picture; `pixels`
        itself if no enlargement is found.
    """
    found = _find_enlargement(pixels)
    if not found:
        return pixels
    size, kernel = found
    small = pixels.astype(np.float32)
    for axis in (0, 1):
        inverse = np.linalg.pinv(_enlarging(pixels.shape[axis], size[axis], kernel))
        small = np.moveaxis(np.tensordot(inverse, small, (1, axis)), 0, axis)
    return np.uint8(small.round().clip(0, 255))


def parse_resolution(text):
    """Return "auto", "own" or the (height, width) that stands as HxW in a text.

    Raises:
        ValueError: it is none of them.
    """
    if text in (AUTO, OWN):
        return text
    match = re.fullmatch(r"(\d{1,4})[xX](\d{1,4})", text)
    if not match or 0 in (size := (int(match[1]), int(match[2]))):
        raise ValueError(
            f"--resolution {text!r} is none of {AUTO}, {OWN} and HEIGHTxWIDTH in pixels"
        )
    return size


# --- Trying --------------------------------------------------------------------------------------


def _find_enlargement(pixels):
    """Return ((height, width), kernel) of the smallest picture that explains a picture, or None."""
    luma = pixels.astype(np.float32) @ LUMA - 128.0
    longer = int(np.argmax(luma.shape))
    side, other = luma.shape[longer], luma.shape[1 - longer]
    most = min(MOST, math.floor(side / LEAST_FACTOR))
    rows, columns = (luma, luma.T) if longer == 0 else (luma.T, luma)
    found = []
    for kernel in KERNELS:
        with _threadpools().limit(limits=1, user_api="blas"):
            along = _residues(rows, min(most + 1, side - 1), kernel)
            across = _residues(columns, min(most + 1, other - 1), kernel)
        both = {}
        for n in range(LEAST - 1, min(most + 1, side - 1) + 1):
            for m in {math.floor(n * other / side), math.ceil(n * other / side)}:
                if m in across and max(along[n], across[m]) < both.get(n, (np.inf,))[0]:
                    both[n] = max(along[n], across[m]), m
        for n in range(LEAST, most + 1):
            if {n - 1, n, n + 1} <= both.keys():
                around = min(both[n - 1][0], both[n + 1][0])
                residue, m = both[n]
                most_residue = min(DEPTH * around, JPEG[0] + JPEG[1] * around)
                if residue <= most_residue and around >= LEAST_EVIDENCE:
                    found.append((residue / around, n, m, kernel))
    if not found:
        return None
    # Twice as many pixels explain what was enlarged by nearest neighbours as well.
    deep = 1.2 * min(found)[0] + 0.02
    _, n, m, kernel = min((f for f in found if f[0] <= deep), key=lambda f: (f[1], f[0]))
    return ((n, m) if longer == 0 else (m, n)), kernel


def _residues(luma, most, kernel):
    """Return {n: levels per dimension that lie outside of what n rows could be enlarged to}.

    Of all columns, the one that stands at 95 in 100 counts: of a face, eyes and mouth take few.
    """
    total = np.square(luma).sum(axis=0)
    residues = {}
    for n in range(1, most + 1):
        inside = np.square(_space(len(luma), n, kernel).T @ luma).sum(axis=0)
        outside = np.percentile(np.maximum(total - inside, 0.0), 95) / (len(luma) - n)
        residues[n] = math.sqrt(outside)
    return residues


@functools.cache
def _threadpools():
    """Return what limits the threads of NumPy: on small matrices they wait for each other."""
    return ThreadpoolController()


@functools.lru_cache(maxsize=1300)  # some 40 MB for pictures of 128 pixels, 170 for 512
def _space(side, n, kernel):
    """Return an orthonormal basis (side, n) of all that n pixels can be enlarged to."""
    return np.linalg.qr(_enlarging(side, n, kernel))[0]


def _enlarging(side, n, kernel):
    """Return the float32 matrix (side, n) that enlarges one axis."""
    identity = np.eye(n, dtype=np.float32)
    if KERNELS[kernel] is None:
        return cv2.resize(identity, (n, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(Image.fromarray(identity).resize((n, side), KERNELS[kernel]))
