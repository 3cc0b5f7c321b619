"""What `evaluate.py` writes: tables, curves, and the pairs that super-resolution spoils."""

import csv
import dataclasses

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from evaluation.measuring import GROUP_HEIGHT
from evaluation.verification import judge_by_folds

WORST_PAIRS = 8
COLOURS = {"bicubic": "tab:orange", "SR": "tab:blue", "HR": "tab:gray"}

# heading, key in a row, digits after the point
PICTURE = (
    ("PSNR (dB)", "psnr", 2),
    ("SSIM", "ssim", 3),
    ("shift red", "shift_red", 1),
    ("green", "shift_green", 1),
    ("blue", "shift_blue", 1),
)
IDENTITY = (
    ("similarity", "similarity", 3),
    ("5th percentile", "similarity_p5", 3),
    ("rank-1 (%)", "rank1", 1),
)
VERIFICATION = (
    ("accuracy (%)", "accuracy", 1),
    ("AUC (%)", "auc", 1),
    ("TAR at FAR 1 % (%)", "tar", 1),
    ("EER (%)", "eer", 1),
)


# --- Tables ------------------------------------------------------------------------------------


def write_csv(path, rows):
    """Write dicts as one CSV file; a column that a dict lacks stays empty."""
    columns = dict.fromkeys(name for row in rows for name in row)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_tables(path, rows, by_group, conditions, problems):
    """Write the results as Markdown.

    Args:
        path: file to write.
        rows: see `evaluation.table_rows`.
        by_group: see `evaluation.group_rows`; may be empty.
        conditions: a line above the tables.
        problems: lines below them.

    Returns:
        The text.
    """
    recognisers = list(dict.fromkeys(row["recogniser"] for row in rows))
    of_first = [row for row in rows if row["recogniser"] == recognisers[0]]
    parts = [conditions, "## Pictures, against HR", _table(of_first, PICTURE, with_hr=False)]
    for name in recognisers:
        own = [row for row in rows if row["recogniser"] == name]
        parts += [f"## {name}", "Identification, and similarity to the HR face", "Verification"]
        parts.insert(-1, _table(own, IDENTITY))
        for protocol, meaning in (
            ("HR-LR", "an HR face against a low-resolution one"),
            ("LR-LR", "two faces of the same low resolution"),
        ):
            columns = [(heading, f"{protocol} {key}", n) for heading, key, n in VERIFICATION]
            parts += [f"{protocol}: {meaning}", _table(own, columns, f"{protocol} accuracy_std")]
    if by_group:
        parts += [
            "## Groups of people",
            f"{recognisers[-1]}; means over faces and the low resolutions of at most "
            f"{GROUP_HEIGHT} rows",
            _group_table(by_group),
        ]
    if problems:
        parts += ["## Problems", "\n".join(f"* {problem}" for problem in problems)]
    text = "\n\n".join(parts) + "\n"
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return text


def _table(rows, columns, std=None, with_hr=True):
    """Return a table with bicubic -> SR in each cell; `std` belongs to the first column."""
    lines = ["| low resolution | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    by_method = {(row["low_resolution"], row["method"]): row for row in rows}

    def cell(row, key, digits):
        text = f"{row[key]:.{digits}f}"
        return f"{text} ± {row[std]:.1f}" if std and key == columns[0][1] else text

    for size in dict.fromkeys(row["low_resolution"] for row in rows if row["method"] != "HR"):
        bicubic, sr = by_method[size, "bicubic"], by_method[size, "SR"]
        cells = (f"{cell(bicubic, key, n)} -> {cell(sr, key, n)}" for _, key, n in columns)
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    if with_hr:
        cells = (cell(by_method["", "HR"], key, n) for _, key, n in columns)
        lines.append("| HR | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _group_table(rows):
    columns = (PICTURE[0], IDENTITY[0], IDENTITY[2])
    lines = ["| group | people | " + " | ".join(heading for heading, _, _ in columns) + " |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for row in rows:
        cells = (
            f"{row[f'bicubic {key}']:.{n}f} -> {row[f'SR {key}']:.{n}f}" for _, key, n in columns
        )
        lines.append(f"| {row['group']} | {row['people']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# --- Curves ------------------------------------------------------------------------------------


def draw_verification(path, rows):
    """Draw accuracy against low resolution, one panel per recogniser and protocol."""
    recognisers = list(dict.fromkeys(row["recogniser"] for row in rows))
    figure = Figure(figsize=(12, 4.2 * len(recognisers)), layout="constrained")
    axes = figure.subplots(len(recognisers), 2, sharey=True, squeeze=False)
    for i, name in enumerate(recognisers):
        for axis, protocol in zip(axes[i], ("HR-LR", "LR-LR"), strict=True):
            for method in ("bicubic", "SR"):
                own = [r for r in rows if r["recogniser"] == name and r["method"] == method]
                values = [row[f"{protocol} accuracy"] for row in own]
                axis.plot(values, "o-", color=COLOURS[method], label=method)
            (hr,) = (r for r in rows if r["recogniser"] == name and r["method"] == "HR")
            axis.axhline(hr[f"{protocol} accuracy"], color=COLOURS["HR"], ls="--", label="HR")
            axis.set_xticks(range(len(own)), [row["low_resolution"] for row in own], rotation=40)
            axis.set(title=f"{name}: {protocol}", ylabel="verification accuracy (%)")
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(loc="lower right")
    figure.savefig(path, dpi=90)


def draw_roc(path, scores, same, recogniser):
    """Draw the ROC curve of every low resolution, bicubic beside SR.

    Args:
        path: file to write.
        scores: {"HR" or (size, method): float (P,)}.
        same: bool (P,).
        recogniser: name of the judge.
    """
    sizes = list(dict.fromkeys(key[0] for key in scores if key != "HR"))
    colours = colormaps["viridis"](np.linspace(0, 0.92, len(sizes)))
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, method in zip(axes, ("bicubic", "SR"), strict=True):
        curves = [
            (f"{size[0]}x{size[1]}", scores[size, method], colour)
            for size, colour in zip(sizes, colours, strict=True)
        ]
        for label, values, colour in [*curves, ("HR", scores["HR"], "black")]:
            far, tar, _ = roc_curve(same, values)
            style = "--" if label == "HR" else "-"
            axis.plot(100 * far, 100 * tar, style, color=colour, label=label)
        axis.plot([0, 100], [0, 100], ":", color="gray", linewidth=1)
        axis.set(title=f"{method}, HR-LR, {recogniser}", xlabel="false acceptance rate (%)")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("true acceptance rate (%)")
    axes[1].legend(title="low resolution", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=90)


# --- Pairs that went wrong ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair that is judged right with bicubic enlargement and wrong with SR.

    Attributes:
        pair: its place among the pairs.
        size: low resolution of the probe, (height, width) in pixels.
        same: whether it is genuine.
        bicubic, sr: (score, threshold) of either.
    """

    pair: int
    size: tuple
    same: bool
    bicubic: tuple
    sr: tuple


def find_worst(scores, same, folds, sizes):
    """Return the `WORST_PAIRS` cases whose SR score is furthest on the wrong side, worst first.

    Args:
        scores: {(size, method): float (P,)}.
        same: bool (P,).
        folds: int (P,).
        sizes: low resolutions.
    """
    cases = []
    for size in sizes:
        bicubic, sr = scores[size, "bicubic"], scores[size, "SR"]
        bicubic_right, bicubic_thresholds = judge_by_folds(bicubic, same, folds)
        sr_right, sr_thresholds = judge_by_folds(sr, same, folds)
        # An infinite threshold takes no pair for genuine: it says nothing about one of them.
        for i in np.flatnonzero(bicubic_right & ~sr_right & np.isfinite(sr_thresholds)):
            cases.append(
                Case(
                    int(i),
                    size,
                    bool(same[i]),
                    (bicubic[i], bicubic_thresholds[i]),
                    (sr[i], sr_thresholds[i]),
                )
            )
    return sorted(cases, key=lambda case: -abs(case.sr[0] - case.sr[1]))[:WORST_PAIRS]


def draw_worst(path, cards, recogniser):
    """Draw cases as rows of the first face, the probe as bicubic and as SR, and its HR face.

    Args:
        path: file to write.
        cards: non-empty list of (`Case`, four uint8 RGB pictures).
        recogniser: name of the judge.
    """
    figure = Figure(figsize=(8.4, 2.35 * len(cards)), layout="constrained")
    axes = figure.subplots(len(cards), 4, squeeze=False)
    figure.suptitle(f"Right with bicubic, wrong with SR ({recogniser}; score, threshold)")
    for row, (case, pictures) in zip(axes, cards, strict=True):
        kind = "same person" if case.same else "different people"
        titles = (
            f"HR, {kind}",
            f"bicubic {case.size[0]}x{case.size[1]}: {case.bicubic[0]:.2f}, {case.bicubic[1]:.2f}",
            f"SR: {case.sr[0]:.2f}, {case.sr[1]:.2f}",
            "the probe's HR",
        )
        for axis, picture, title in zip(row, pictures, titles, strict=True):
            axis.imshow(picture)
            axis.set_title(title, fontsize=8)
            axis.axis("off")
    figure.savefig(path, dpi=90)
