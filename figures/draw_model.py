"""Draw the data flow of IPU-Net with the shape at every stage: `python figures/draw_model.py`.

The U-Net is drawn from the layers that `build_unet` makes, so the picture cannot disagree with it.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from model import build_unet  # noqa: E402

DOWN, UP, IMAGE, FROZEN, LOSS = "#3b6fb6", "#2f8f6b", "#6b7280", "#8a5fb0", "#c8553d"
ROW, BOX_WIDTH, BOX_HEIGHT = 1.0, 2.9, 0.66


def box(axis, x, y, text, colour, width=BOX_WIDTH, height=BOX_HEIGHT):
    """Draw a labelled box around (x, y)."""
    axis.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0.02,rounding_size=0.1",
            facecolor=colour,
            edgecolor="none",
        )
    )
    axis.text(x, y, text, color="white", ha="center", va="center", fontsize=10.5, linespacing=1.25)


def arrow(axis, start, end, colour="#444444", style="-", bend=0.0):
    """Draw an arrow between two points."""
    axis.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=13,
            color=colour,
            linestyle=style,
            linewidth=1.4,
            shrinkA=0,
            shrinkB=0,
            connectionstyle=f"arc3,rad={bend}",
        )
    )


def shape_of(unet, name):
    """Return a layer's output shape as text, e.g. "64 x 64 x 64"."""
    return " x ".join(map(str, unet.get_layer(name).output.shape[1:]))


def draw():
    """Draw the figure and write `model.png`."""
    unet = build_unet()
    figure, axis = plt.subplots(figsize=(15, 9.2))
    left, right = 1.7, 6.6
    half = BOX_HEIGHT / 2

    # The U-Net: down on the left, up on the right, skips between.
    top = 7 * ROW
    box(axis, left, top, "LR face, 7x6 to 112x96,\nenlarged: 128 x 128 x 3", IMAGE)
    box(axis, right, top, "U-Net's face (tanh)\n128 x 128 x 3", IMAGE)
    for i in range(1, 8):
        y = top - i * ROW
        box(axis, left, y, f"down {i}\n{shape_of(unet, f'down_{i}_relu')}", DOWN)
        arrow(axis, (left, y + ROW - half), (left, y + half))
    for i in range(1, 7):
        y = (i - 1) * ROW + ROW
        dropout = ", dropout" if f"up_{i}_dropout" in {layer.name for layer in unet.layers} else ""
        box(axis, right, y, f"up {i}{dropout}\n{shape_of(unet, f'up_{i}_relu')}", UP)
        arrow(axis, (left + BOX_WIDTH / 2, y), (right - BOX_WIDTH / 2, y), "#9aa3af", "--")
        arrow(axis, (right, y + half), (right, y + ROW - half))
        joined = unet.get_layer(f"skip_{i}").output.shape[-1]
        axis.text(
            right + 0.12,
            y + ROW / 2,
            f"{joined} channels",
            fontsize=9,
            va="center",
            color="#444444",
        )
    arrow(axis, (left + BOX_WIDTH / 2, 0), (right, ROW - half), bend=0.28)
    axis.text(
        (left + right) / 2, 6.18, "skip: concatenation", ha="center", fontsize=9, color="#6b7280"
    )
    axis.text(
        right - 0.12, top - ROW / 2, "up 7", fontsize=9, va="center", ha="right", color="#444444"
    )
    axis.text(
        (left + right) / 2,
        top + 0.75,
        f"U-Net, {unet.count_params():,} parameters, trained",
        ha="center",
        fontsize=13,
        weight="bold",
    )

    # The identity branch.
    middle, far = 10.6, 14.6
    y_sr, y_hr = top, 3.6
    box(axis, middle, y_hr, "HR face\n128 x 128 x 3", IMAGE)
    box(axis, middle, 5.3, "pixel loss (L1)\nmean |SR - HR|", LOSS)
    for y, name in ((y_sr, "SR"), (y_hr, "HR")):
        box(axis, far, y, f"FaceNet:\n{name} embedding, 128", FROZEN)
    box(axis, middle, y_sr, "SR face, corrected:\nreduced, it is the LR face", IMAGE)
    arrow(axis, (right + BOX_WIDTH / 2, y_sr), (middle - BOX_WIDTH / 2, y_sr))
    arrow(axis, (middle + BOX_WIDTH / 2, y_sr), (far - BOX_WIDTH / 2, y_sr))
    arrow(axis, (middle + BOX_WIDTH / 2, y_hr), (far - BOX_WIDTH / 2, y_hr))
    arrow(axis, (middle, y_sr - half), (middle, 5.3 + half))
    arrow(axis, (middle, y_hr + half), (middle, 5.3 - half))
    box(axis, far, 5.3, "embedding loss (L2)\n(SR - HR)\u00b2, unit length", LOSS)
    arrow(axis, (far, y_sr - half), (far, 5.3 + half))
    arrow(axis, (far, y_hr + half), (far, 5.3 - half))
    center = (middle + far) / 2
    box(axis, center, 1.95, "total = pixel weight x L1 + embedding weight x L2", LOSS, width=5.4)
    arrow(axis, (middle + 1.4, 5.3 - half), (center - 0.25, 1.95 + half))
    arrow(axis, (far - 1.4, 5.3 - half), (center + 0.25, 1.95 + half))
    axis.text(
        (middle + far) / 2,
        top + 0.75,
        "identity-preserving loss",
        ha="center",
        fontsize=13,
        weight="bold",
    )
    legend = (
        (DOWN, "down: 4x4 convolution, stride 2; batch norm (not in down 1); leaky ReLU"),
        (UP, "up: 4x4 transposed convolution, stride 2; batch norm; dropout 0.5 where named; ReLU"),
        (
            FROZEN,
            "FaceNet, frozen: Inception-ResNet-v1, enlarges to 160 x 160 and prewhitens",
        ),
    )
    for i, (colour, text) in enumerate(legend):
        y = 0.75 - 0.42 * i
        axis.add_patch(plt.Rectangle((8.55, y - 0.12), 0.26, 0.26, color=colour))
        axis.text(8.95, y, text, fontsize=9.5, va="center")
    axis.set(xlim=(0, 16.4), ylim=(-0.6, 8.2))
    axis.axis("off")
    figure.savefig(FOLDER / "model.png", dpi=90, bbox_inches="tight", facecolor="white")


if __name__ == "__main__":
    draw()
