"""What `evaluate.py` draws: its curves, and the pairs that super-resolution spoils."""

import dataclasses
import itertools

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from evaluation.intervals import is_certain
from evaluation.measuring import recognised
from evaluation.tables import MOST_RANKS, size_and_method
from evaluation.verification import HR_LR, PROTOCOLS
from files import whole
from imaging.sheets import Card, draw_sheet
from metrics import BICUBIC, HR, SR, known_mean

WORST_PAIRS = 8
COLOURS = {BICUBIC: "tab:orange", SR: "tab:blue", HR: "tab:gray"}


def draw_pictures(folder, results, rows, changes):
    """Draw all that there are numbers for; remove other pictures of an earlier evaluation.

    Args:
        folder: `Path` to write to.
        results: `Results`.
        rows: list of `Row`.
        changes: see `tables.differences`.
    """
    # The judge of single pictures is the last unseen recogniser, if there is one.
    outcomes, pairs, judge = results.outcomes, results.pairs, rows[-1].recogniser
    has_ranks = any(outcome.ranks is not None for outcome in outcomes.values())
    drawings = {
        "verification": lambda path: draw_verification(path, rows, changes, results.people),
        "roc": lambda path: draw_roc(path, outcomes, pairs, judge),
        "cmc": lambda path: draw_cmc(path, outcomes, judge),
        "worst": results.draw_worst,
    }
    drawn = {"cmc"} if has_ranks else set()
    if pairs is not None:
        drawn |= {"verification", "roc"} | ({"worst"} if results.draw_worst else set())
    for name, draw in drawings.items():
        path = folder / f"{name}.png"
        draw(path) if name in drawn else path.unlink(missing_ok=True)


# --- Curves ------------------------------------------------------------------------------------


def draw_verification(path, rows, changes, people):
    """Draw accuracy against low resolution, one panel per recogniser and protocol.

    Bands are 95 % intervals. Where that of the difference that SR makes holds 0, its point is
    hollow.
    """
    recognisers = list(dict.fromkeys(row.recogniser for row in rows))
    names = [f"{protocol} accuracy" for protocol in PROTOCOLS]
    names = [name for name in names if any(name in row.numbers for row in rows)]
    shape = len(recognisers), len(names)
    figure = Figure(figsize=(6 * shape[1], 4.2 * shape[0]), layout="constrained")
    panels = figure.subplots(*shape, sharey=True, squeeze=False)
    for (recogniser, name), axis in zip(
        itertools.product(recognisers, names), panels.flat, strict=True
    ):
        own = [row for row in rows if row.recogniser == recogniser and name in row.numbers]
        sizes = list(dict.fromkeys(row.size for row in own if row.method == SR))
        for method in (BICUBIC, SR):
            of_method = [row for row in own if row.method == method]
            values = [row.numbers[name] for row in of_method]
            low, high = zip(*(people.interval(row.drawn[name]) for row in of_method), strict=True)
            axis.fill_between(range(len(sizes)), low, high, color=COLOURS[method], alpha=0.15)
            axis.plot(values, "o-", color=COLOURS[method], label=method)
        for i, size in enumerate(sizes):
            if not is_certain(*changes[recogniser, size, name][1:]):
                axis.plot(i, values[i], "o", mfc="white", color=COLOURS[SR])
        for row in own:
            if row.method not in (BICUBIC, SR):
                colour = COLOURS.get(row.method, "tab:green")
                axis.axhline(row.numbers[name], color=colour, ls="--", label=row.method)
        axis.set_xticks(range(len(sizes)), sizes, rotation=40)
        axis.set(title=f"{recogniser}: {name.split()[0]}", ylabel="verification accuracy (%)")
        _plain(axis)
        axis.legend(loc="lower right", title="hollow: within chance of bicubic", title_fontsize=8)
    _save(path, figure)


def draw_roc(path, outcomes, pairs, recogniser):
    """Draw the ROC curve of every low resolution, bicubic beside SR.

    Args:
        path: file to write.
        outcomes: see `measuring.judge`.
        pairs: `Pairs`.
        recogniser: name of the judge.
    """
    curves = {}
    for key, judgement in _judged_by(recogniser, outcomes).items():
        far, tar, _ = roc_curve(pairs.same, judgement.scores)
        curves[key] = 100 * far, 100 * tar
    titles = f"{HR_LR}, {recogniser}", "false acceptance rate (%)", "true acceptance rate (%)"
    _draw_by_size(path, curves, *titles)


def draw_cmc(path, outcomes, recogniser):
    """Draw how often the right person is among the most similar ones; see `draw_roc`."""
    ranks = {
        key: outcome.ranks
        for (name, key), outcome in outcomes.items()
        if name == recogniser and outcome.ranks is not None
    }
    within = np.arange(1, 1 + min(MOST_RANKS, max(np.nanmax(r, initial=2) for r in ranks.values())))
    curves = {
        key: (within, [known_mean(recognised(own, rank)) for rank in within])
        for key, own in ranks.items()
    }
    _draw_by_size(path, curves, recogniser, "rank", "right person within the rank (%)")


def _draw_by_size(path, curves, title, xlabel, ylabel):
    """Draw {key of a version: (x, y)}, bicubic beside SR, a colour for every low resolution."""
    sizes = list(dict.fromkeys(key[0] for key in curves if key != HR))
    colours = dict(zip(sizes, colormaps["viridis"](np.linspace(0, 0.92, len(sizes))), strict=True))
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, method in zip(axes, (BICUBIC, SR), strict=True):
        for key, curve in curves.items():
            if key == HR or key[1] not in (BICUBIC, SR):
                axis.plot(*curve, "--", color="black", label=size_and_method(key)[1])
            elif key[1] == method:
                axis.plot(*curve, color=colours[key[0]], label=size_and_method(key)[0])
        axis.set(title=f"{method}, {title}", xlabel=xlabel)
        _plain(axis)
    axes[0].set_ylabel(ylabel)
    axes[1].legend(title="low resolution", loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(path, figure)


def _judged_by(recogniser, outcomes):
    """Return {key of the version: its HR-LR `Judgement`} of one recogniser."""
    return {
        key: outcome.judgements[HR_LR]
        for (name, key), outcome in outcomes.items()
        if name == recogniser
    }


def _plain(axis):
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


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
        print(f"No pair that bicubic enlargement has right is wrong with SR: no {path.name}")
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
