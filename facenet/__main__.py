"""Say what a FaceNet weight file is and try it on faces: `python -m facenet PATH [INPUT]`.

Without PATH, the embedded network is tried. INPUT is what `FACENET_INPUT` of `train.py` is.
"""

import hardware  # noqa: F401  # before TensorFlow

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

import losses
from data import degrade
from facenet.embedder import FaceNet
from facenet.errors import WeightsError
from facenet.inputs import INPUTS

SAMPLES = Path(__file__).parent.parent / "samples"
IDENTITIES = 8
FACES_PER_IDENTITY = 4
LOW_RESOLUTION = (16, 16)  # of the faces that the two losses are compared on
LEAST_RANK1 = 0.75  # random weights find the right person for up to 0.63 of these faces


def main(arguments):
    """Print what a file is and how it does in each check.

    Args:
        arguments: list of at most a path and the name of an input.

    Returns:
        Exit code: 0 if every check is passed, 1 if one fails or the file is refused.
    """
    wants_help = any(argument in ("-h", "--help") for argument in arguments)
    if len(arguments) > 2 or wants_help:
        print(f"usage: python -m facenet [PATH of a FaceNet weight file [{'|'.join(INPUTS)}]]")
        return 0 if wants_help else 2
    try:
        facenet = FaceNet(*arguments)
        faces, identities = read_samples()
    except (WeightsError, OSError) as error:
        print(f"facenet: {error}", file=sys.stderr)
        return 1
    print(f"{facenet.description}\nSHA-256 starts with {facenet.fingerprint}")
    batches = np.split(faces, IDENTITIES)
    embeddings = np.concatenate([facenet(batch) for batch in batches])
    again = np.asarray(facenet(batches[0]))
    checks = check(embeddings, again, identities)
    pull = steepness(facenet, faces[::FACES_PER_IDENTITY])
    for passed, line in checks:
        print(f"{'ok    ' if passed else 'FAILED'} {line}")
    height, width = LOW_RESOLUTION
    print(
        f"on bicubic faces of {height}x{width} the embedding loss has {pull:.0f} times the gradient"
        f" of the pixel loss: beside PIXEL_WEIGHT = 5, EMBEDDING_WEIGHT = {5 / pull:.2g} makes them"
        " alike"
    )
    return 0 if all(passed for passed, _ in checks) else 1


def read_samples():
    """Return synthetic faces, float32 (N, H, W, 3) in [-1, 1], and their identities, (N,)."""
    paths = [
        path
        for folder in sorted(p for p in SAMPLES.iterdir() if p.is_dir())[-IDENTITIES:]
        for path in sorted(folder.glob("[!.]*.jpg"))[:FACES_PER_IDENTITY]
    ]
    pictures = [Image.open(path, formats=["JPEG"]).convert("RGB") for path in paths]
    faces = np.stack([np.asarray(picture, np.float32) for picture in pictures])
    return faces / 127.5 - 1.0, np.array([path.parent.name for path in paths])


def steepness(facenet, hr_faces):
    """Return the gradient of the embedding loss on lr_faces, as a multiple of the pixel loss's.

    Args:
        facenet: `FaceNet`.
        hr_faces: float32 (N, H, W, 3) in [-1, 1].
    """
    lr_faces = degrade(hr_faces, LOW_RESOLUTION)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(lr_faces)
        pixel = losses.pixel_loss(lr_faces, hr_faces)
        embedding = losses.embedding_loss(facenet(lr_faces), facenet(hr_faces))
    norms = [float(tf.norm(tape.gradient(loss, lr_faces))) for loss in (embedding, pixel)]
    return norms[0] / norms[1]


def check(embeddings, again, identities):
    """Check the embeddings of faces.

    Args:
        embeddings: float32 (N, E), raw.
        again: the first of them, computed a second time.
        identities: (N,), whose faces they are.

    Returns:
        List of (passed, line for the user).
    """
    spread = f"values from {embeddings.min():.2f} to {embeddings.max():.2f}"
    if not np.isfinite(embeddings).all():
        return [(False, f"embeddings are finite: {spread}")]
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    repeated = float(np.square(embeddings[: len(again)] - again).sum(axis=1).max())
    distances = np.square(unit[:, None] - unit[None]).sum(axis=-1)
    same = identities[:, None] == identities[None]
    others = ~np.eye(len(identities), dtype=bool)
    genuine, impostor = distances[same & others].mean(), distances[~same].mean()
    nearest = np.where(others, distances, np.inf).argmin(axis=1)
    rank1 = (identities[nearest] == identities).mean()
    return [
        (True, f"embeddings are finite: {spread}, deviation {embeddings.std():.2f}"),
        (repeated == 0.0, f"identical faces have the same embedding: distance {repeated:g}"),
        (
            bool(genuine < impostor),
            "faces of one person are nearer than those of two: mean squared distance of unit "
            f"embeddings {genuine:.3g} against {impostor:.3g}",
        ),
        (
            bool(rank1 >= LEAST_RANK1),
            f"the nearest other face is of the same person: {rank1:.1%} of {len(identities)} faces "
            f"of {len(set(identities))} people, at least {LEAST_RANK1:.0%} wanted",
        ),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
