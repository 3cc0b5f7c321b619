"""Draw what the shipped network makes of synthetic faces: `python figures/draw_results.py`.

Writes `figures/results.png`: bicubic beside SR at five low resolutions, then HR.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import hardware  # noqa: E402, F401  # before TensorFlow

import numpy as np  # noqa: E402

from data import Degradation, to_faces, to_pixels  # noqa: E402
from imaging.pictures import crop_and_resize, read_pixels  # noqa: E402
from imaging.sheets import sample_sheet  # noqa: E402
from trained_networks import PRETRAINED, load_network, read_config, super_resolution  # noqa: E402

PATH = ROOT / "figures" / "results.png"
PICTURES = [ROOT / "samples" / f"n0000{i}" / "0001_01.jpg" for i in (41, 43, 45, 48)]
SIZES = ((7, 6), (11, 8), (14, 12), (16, 16), (21, 15))


def main():
    """Write the figure."""
    network = load_network(PRETRAINED)
    constants, _ = read_config(PRETRAINED)
    size = constants["IMAGE_SIZE"]
    pixels = np.stack([crop_and_resize(read_pixels(path), size) for path in PICTURES])
    degradation = Degradation(size, SIZES)
    restore = super_resolution(network, degradation.correct)
    columns = []
    for height, width in SIZES:
        sizes = np.tile(np.int32([(height, width)]), (len(pixels), 1))
        lr_faces = degradation(to_faces(pixels), sizes)
        sr_faces = restore(lr_faces, sizes)
        for name, faces in (("bicubic", lr_faces), ("SR", sr_faces)):
            columns.append((f"{height}x{width}", name, to_pixels(faces).numpy()))
    columns.append((f"{size}x{size}", "HR", pixels))
    sample_sheet(columns, "Held-out synthetic faces, the network of pretrained/").save(PATH)


if __name__ == "__main__":
    main()
