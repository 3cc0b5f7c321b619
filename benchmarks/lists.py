"""Measure lists and batches at the size of VGGFace2: `python -m benchmarks.lists` (Linux).

Makes a folder of FILES hard links to some small pictures, then, each in a process of its own:
the first listing, a later start up to its first batch and the rate of the input pipeline, and for
comparison the ways that suggest themselves: listing at every start, and shuffling decoded faces in
a buffer. Prints one table and removes the folder.
"""

import hardware  # noqa: F401  it sets what TensorFlow reads at its import

import os
import tempfile
import time
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from benchmarks.processes import alone
from errors import Mistake, tell

TEMPORARY_DIR = tempfile.gettempdir()  # on a local disk; needs 0.5 GB and 10,000 inodes
FACES_DIR = Path(__file__).parents[1] / "samples"  # pictures to link to
FILES = 3_311_286  # as many as VGGFace2 has
IDENTITIES = 9_131
PICTURE_SIZE = 144  # pixels, height and width of the crops that are read
BATCH_SIZE = 64
SHUFFLE_BUFFER = 1_000  # decoded faces, of the pipeline compared with
SECONDS = 20  # how long a rate is measured


def make_tree(folder):
    """Fill a folder with FILES hard links in IDENTITIES folders; return the seconds it took."""
    started = time.perf_counter()
    pictures = []
    for i, path in enumerate(sorted(Path(FACES_DIR).rglob("*.jpg"))):
        pictures.append(str(folder / f"{i}.jpg"))
        with Image.open(path, formats=["JPEG"]) as image:
            image.resize((PICTURE_SIZE, PICTURE_SIZE)).save(pictures[-1], quality=95)
    tree = folder / "tree"
    for identity in tqdm(range(IDENTITIES), unit="identity"):
        identity_folder = f"{tree}/n{identity:06d}"
        os.makedirs(identity_folder)
        for i in range(identity, FILES, IDENTITIES):
            number = i // IDENTITIES
            os.link(pictures[i % len(pictures)], f"{identity_folder}/{number:04d}_01.jpg")
    return time.perf_counter() - started


def memory():
    """Return the most memory that this process held so far, in GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e6


def with_tensorflow(way, tree):
    """Run a measurement; its memory counts from what TensorFlow and one small batch take."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from imaging.lists import find_faces
    from training.faces import TrainingFaces

    next(TrainingFaces(find_faces(FACES_DIR), BATCH_SIZE).batches())
    before = memory()
    figures = way(tree)
    return {**figures, "memory": memory() - before}


def ours(tree):
    """List, fingerprint and start as train.py does; then measure the rate."""
    from imaging.lists import find_faces, fingerprint
    from training.faces import TrainingFaces

    started = time.perf_counter()
    paths = find_faces(tree)
    listed = time.perf_counter()
    fingerprint(paths)
    stream = TrainingFaces(paths, BATCH_SIZE, smallest_crop=0.92, mirror=True)
    batches = stream.batches()
    next(batches)
    figures = {"list": listed - started, "first batch": time.perf_counter() - started}
    people = {paths[stream.locate(i)[1]].parent for i in range(BATCH_SIZE)}
    return {**figures, "people": len(people), **rate(batches)}


def naive(tree):
    """List with pathlib, then decode and shuffle what is decoded."""
    import tensorflow as tf

    from data import LOW_RESOLUTIONS

    def face(path):
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        resized = tf.image.resize(pixels, (128, 128))
        size = tf.random.uniform((), 0, len(LOW_RESOLUTIONS), tf.int32)
        return tf.cast(resized, tf.uint8), tf.gather(LOW_RESOLUTIONS, size), path

    started = time.perf_counter()
    paths = sorted(path for path in tree.rglob("*") if path.suffix == ".jpg" and path.is_file())
    listed = time.perf_counter()
    faces = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    faces = faces.map(face, num_parallel_calls=tf.data.AUTOTUNE).shuffle(SHUFFLE_BUFFER)
    batches = iter(faces.repeat().batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE))
    people = {Path(path.decode()).parent for path in next(batches)[2].numpy()}
    figures = {"list": listed - started, "first batch": time.perf_counter() - started}
    return {**figures, "people": len(people), **rate(batches)}


def rate(batches):
    """Return images per second and seconds of processor per 1,000 images of some batches."""
    for _ in range(8):  # so that what was made ahead is used up
        next(batches)
    count, started, computed = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < started + SECONDS:
        count += len(next(batches)[0])
    seconds = time.perf_counter() - started
    return {
        "images/s": count / seconds,
        "CPU s per 1,000": 1000 * (time.process_time() - computed) / count,
    }


def main():
    """Measure and print."""
    if not any(Path(FACES_DIR).rglob("*.jpg")):
        raise Mistake(f"FACES_DIR {FACES_DIR} holds no .jpg picture")
    if not os.access(TEMPORARY_DIR, os.W_OK):
        raise Mistake(f"TEMPORARY_DIR {TEMPORARY_DIR} is no writable folder")
    with tempfile.TemporaryDirectory(prefix="ipu_net_", dir=TEMPORARY_DIR) as folder:
        folder = Path(folder)
        print(f"{FILES:,} links in {folder}: {make_tree(folder):.0f} s")
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        ways = {"first start": ours, "later start": ours, "pathlib, shuffle buffer": naive}
        table = {}
        for name, way in ways.items():
            table[name] = alone(with_tensorflow, way, folder / "tree")
            print(f"{name}: {table[name]}", flush=True)
        print(f"\n| | {' | '.join(table)} |\n|---{'|---' * len(table)}|")
        for title, key, form in (
            ("list of files (s)", "list", "{:.1f}"),
            ("first batch (s)", "first batch", "{:.1f}"),
            ("memory above TensorFlow's (GB)", "memory", "{:.2f}"),
            (f"people in the first {BATCH_SIZE} faces", "people", "{}"),
            ("images/s", "images/s", "{:.0f}"),
            ("processor per 1,000 images (s)", "CPU s per 1,000", "{:.2f}"),
        ):
            cells = (form.format(figures[key]) for figures in table.values())
            print(f"| {title} | {' | '.join(cells)} |")
        print(f"Removing {folder}", flush=True)


if __name__ == "__main__":
    tell(main)
