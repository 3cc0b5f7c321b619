"""What `evaluate.py` draws: its curves, and the pairs that super-resolution spoils."""

import dataclasses

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from evaluation.measuring import HR_LR, PROTOCOLS
from files import whole
from imaging.sheets import Card, draw_sheet
from metrics import BICUBIC, HR, SR

WORST_PAIRS = 8
COLOURS = {BICUBIC: "tab:orange", SR: "tab:blue", HR: "tab:gray"}


def draw_pictures(folder, rows, outcomes, pairs, faces, restore):
    """Draw all that pairs have to show; without pairs, remove what an earlier evaluation drew.

    Args:
        folder: `Path` to write to.
        rows: see `measuring.table_rows`.
        outcomes: see `measuring.judge`.
        pairs: `Pairs`, or None.
        faces: `Faces`.
        restore: see `draw_worst`.
    """
    paths = [folder / f"{name}.png" for name in ("verification", "roc", "worst")]
    if pairs is None:
        for path in paths:
            path.unlink(missing_ok=True)
        return
    verification, roc, worst = paths
    draw_verification(verification, rows)
    # The judge of the last pictures is the unseen recogniser, if there is one.
    judge = rows[-1]["recogniser"]
    draw_roc(roc, outcomes, pairs, judge)
    cases = find_worst(outcomes, pairs, judge)
    draw_worst(worst, cases, pairs, faces.pixels, restore)
    if not cases:
        print(f"No pair that bicubic enlargement has right is wrong with SR: no {worst.name}")


# --- Curves ------------------------------------------------------------------------------------


def draw_verification(path, rows):
    """Draw accuracy against low resolution, one panel per recogniser and protocol."""
    recognisers = list(dict.fromkeys(row["recogniser"] for row in rows))
    figure = Figure(figsize=(12, 4.2 * len(recognisers)), layout="constrained")
    axes = figure.subplots(len(recognisers), 2, sharey=True, squeeze=False)
    for i, name in enumerate(recognisers):
        for axis, protocol in zip(axes[i], PROTOCOLS, strict=True):
            for method in (BICUBIC, SR):
                own = [r for r in rows if r["recogniser"] == name and r["method"] == method]
                values = [row[f"{protocol} accuracy"] for row in own]
                axis.plot(values, "o-", color=COLOURS[method], label=method)
            (hr,) = (r for r in rows if r["recogniser"] == name and r["method"] == HR)
            axis.axhline(hr[f"{protocol} accuracy"], color=COLOURS[HR], ls="--", label=HR)
            axis.set_xticks(range(len(own)), [row["low_resolution"] for row in own], rotation=40)
            axis.set(title=f"{name}: {protocol}", ylabel="verification accuracy (%)")
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(loc="lower right")
    _save(path, figure)


def draw_roc(path, outcomes, pairs, recogniser):
    """Draw the ROC curve of every low resolution, bicubic beside SR.

    Args:
        path: file to write.
        outcomes: see `measuring.judge`.
        pairs: `Pairs`.
        recogniser: name of the judge.
    """
    scores = _judged_by(recogniser, outcomes)
    sizes = list(dict.fromkeys(key[0] for key in scores if key != HR))
    colours = colormaps["viridis"](np.linspace(0, 0.92, len(sizes)))
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, method in zip(axes, (BICUBIC, SR), strict=True):
        curves = [
            (f"{size[0]}x{size[1]}", scores[size, method].scores, colour)
            for size, colour in zip(sizes, colours, strict=True)
        ]
        for label, values, colour in [*curves, (HR, scores[HR].scores, "black")]:
            far, tar, _ = roc_curve(pairs.same, values)
            style = "--" if label == HR else "-"
            axis.plot(100 * far, 100 * tar, style, color=colour, label=label)
        axis.plot([0, 100], [0, 100], ":", color="gray", linewidth=1)
        axis.set(title=f"{method}, {HR_LR}, {recogniser}", xlabel="false acceptance rate (%)")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("true acceptance rate (%)")
    axes[1].legend(title="low resolution", loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(path, figure)


def _judged_by(recogniser, outcomes):
    """Return {key of the version: its HR-LR `Judgement`} of one recogniser."""
    return {
        key: outcome.judgements[HR_LR]
        for (name, key), outcome in outcomes.items()
        if name == recogniser
    }


def _save(path, figure):
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=90)


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


def find_worst(outcomes, pairs, recogniser):
    """Return the `WORST_PAIRS` cases whose SR score is furthest on the wrong side, worst first.

    Args:
        outcomes: see `measuring.judge`.
        pairs: `Pairs`.
        recogniser: name of the judge.
    """
    judged, cases = _judged_by(recogniser, outcomes), []
    for size in dict.fromkeys(key[0] for key in judged if key != HR):
        bicubic, sr = judged[size, BICUBIC], judged[size, SR]
        # An infinite threshold takes no pair for genuine: it says nothing about one of them.
        for i in np.flatnonzero(bicubic.right & ~sr.right & np.isfinite(sr.thresholds)):
            of_both = ((j.scores[i], j.thresholds[i]) for j in (bicubic, sr))
            cases.append(Case(int(i), size, bool(pairs.same[i]), *of_both))
    return sorted(cases, key=lambda case: -abs(case.sr[0] - case.sr[1]))[:WORST_PAIRS]


def draw_worst(path, cases, pairs, pixels, restore):
    """Draw cases as rows of the first face, the probe as bicubic and as SR, and its HR face.

    The pictures are made again: to keep those of all pairs takes 1 GB per 1,000 faces.

    Args:
        path: file to write; removed if there are no cases.
        cases: list of `Case`.
        pairs: `Pairs`.
        pixels: uint8 (N, S, S, 3), the HR faces.
        restore: function from pixels (B, S, S, 3) and a low resolution to two such arrays,
            enlarged bicubically and super-resolved.
    """
    if not cases:
        path.unlink(missing_ok=True)
        return
    cards = []
    for case in cases:
        a, b = pixels[pairs.first[case.pair]], pixels[pairs.second[case.pair]]
        kind = "same person" if case.same else "different people"
        bicubic, sr = (
            f"{score:.2f} (threshold {threshold:.2f})"
            for score, threshold in (case.bicubic, case.sr)
        )
        made = (of_probe[0] for of_probe in restore(b[None], case.size))
        remark = f"bicubic {bicubic}, SR {sr}"
        cards.append(Card(f"{kind}, {case.size[0]}x{case.size[1]}", remark, (a, *made, b)))
    with whole(path) as unfinished:
        draw_sheet(cards, pixels.shape[1], (HR, BICUBIC, SR, "the probe's HR")).save(unfinished)
