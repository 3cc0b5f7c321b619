"""The curves of a training: its losses and its validation over the steps."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from training.history import read_rows


def save_curves(folder):
    """Draw the losses and the validation of a run over its steps, into `curves.png`.

    Args:
        folder: `Path` of the output folder, with `history.csv` and maybe `validation.csv`.
    """
    history = read_rows(folder / "history.csv")
    validation = read_rows(folder / "validation.csv")
    figure = Figure(figsize=(15, 8), layout="constrained")
    axes = figure.subplots(2, 3)
    for axis, (name, label) in zip(
        axes[0],
        (
            ("pixel", "pixel loss (L1)"),
            ("embedding", "embedding loss (L2)"),
            ("learning_rate", "learning rate"),
        ),
        strict=True,
    ):
        steps, values = _column(history, "step"), _column(history, name)
        axis.plot(steps, values, color="tab:blue", alpha=0.25, linewidth=0.8)
        axis.plot(steps, _smooth(values), color="tab:blue")
        axis.set(title=label, xlabel="step")
    axes[0, 0].set_yscale("log")
    sizes = list(dict.fromkeys(row["low_resolution"] for row in validation))
    colours = colormaps["viridis"](np.linspace(0, 0.92, len(sizes)))
    for axis, (name, label) in zip(
        axes[1],
        (
            ("psnr", "PSNR (dB)"),
            ("similarity", "identity similarity"),
            ("rank1", "rank-1 identification (%)"),
        ),
        strict=True,
    ):
        for size, colour in zip(sizes, colours, strict=True):
            rows = [row for row in validation if row["low_resolution"] == size]
            steps = _column(rows, "step")
            axis.plot(steps, _column(rows, f"sr_{name}"), ".-", color=colour, label=size)
            axis.plot(steps, _column(rows, f"bicubic_{name}"), "--", color=colour, linewidth=1)
        axis.set(title=f"held-out {label}", xlabel="step")
    if sizes:
        title = "low resolution\n(SR solid,\nbicubic dashed)"
        axes[1, -1].legend(title=title, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    figure.savefig(folder / "curves.png", dpi=80)


def _column(rows, name):
    return np.array([float(row[name]) for row in rows])


def _smooth(values, window=25):
    """Return the running mean over the last `window` values."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)
