"""What packing a network costs: PSNR and similarity before and after, at every size."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from data import Degradation, to_faces
from errors import expanded
from facenet import FaceNet
from imaging.lists import find_faces, load_faces
from metrics import in_batches, known_mean, measure, similarity
from trained_networks.degrading import options_of
from trained_networks.loading import super_resolution


def cost_table(network, packed, constants, folders, count):
    """Print and return what packing costs on faces.

    Args:
        network: `keras.Model` from lr_faces to sr_faces.
        packed: the same, packed and read again.
        constants: of the training, for its sizes and degradation.
        folders: of faces, or of folders of faces.
        count: faces, as many of each folder.

    Returns:
        List of {"low_resolution": "7x6", "psnr": [before, after], "similarity": [...]}; similarity
        is the cosine of the embedded FaceNet's embeddings of SR and HR.

    Raises:
        Mistake: a folder has no faces.
    """
    sizes = [tuple(size) for size in constants["LOW_RESOLUTIONS"]]
    degradation = Degradation(constants["IMAGE_SIZE"], sizes, **options_of(constants))
    methods = {
        name: super_resolution(unet, degradation.correct)
        for name, unet in (("before", network), ("after", packed))
    }
    hr_faces = _faces(folders, count, constants["IMAGE_SIZE"])
    facenet = tf.function(FaceNet(), reduce_retracing=True)

    def embed(faces, low_resolution=None):
        return in_batches(facenet, faces)

    hr_embeddings = embed(hr_faces)
    rows = {}
    for size, method, faces in measure(hr_faces, sizes, methods, {"": embed}, degradation):
        row = rows.setdefault(size, {"low_resolution": "x".join(map(str, size))})
        alike = similarity(faces.embeddings[""], hr_embeddings).mean()
        for name, value in (("psnr", known_mean(faces.psnr)), ("similarity", float(alike))):
            row[name] = [*row.get(name, []), round(value, 4)]
        if method == "after":
            print(_line(row), flush=True)
    return list(rows.values())


def _faces(folders, count, image_size):
    share = -(-count // len(folders))
    lists = [find_faces(expanded(Path(folder))) for folder in folders]
    return to_faces(np.concatenate([load_faces(f, share, image_size)[0] for f in lists])).numpy()


def _line(row):
    (p, q), (s, t) = row["psnr"], row["similarity"]
    return (
        f"{row['low_resolution']:>7}  PSNR {p:.3f} -> {q:.3f} ({q - p:+.3f}) dB  "
        f"similarity {s:.4f} -> {t:.4f} ({t - s:+.4f})"
    )
