"""From outcomes to rows of numbers, each with its interval, and to the differences SR makes."""

import dataclasses

import numpy as np

from evaluation.intervals import People, drawn_verification, is_certain
from evaluation.measuring import recognised
from evaluation.pairs import Pairs
from evaluation.scores import PAIR, SCORE, VERSION
from metrics import BICUBIC, HR, SR, known_mean

MOST_RANKS = 100  # of the cumulative match characteristic
PERCENTILE = 5


@dataclasses.dataclass(frozen=True)
class Results:
    """All that was found out.

    Attributes:
        conditions: list of lines that say about what and how.
        outcomes: see `measuring.judge`.
        people: `People` that the faces show.
        pairs: `Pairs`, or None.
        pair_weights: see `People.of_pairs`; None without pairs.
        images: (names of the faces that `Pairs.first` points to, those of `Pairs.second`), see
            `faces.names_below`; not used without pairs.
        by_group: see `groups.group_rows`.
        draw_worst: function that draws into a path the pairs that SR spoils, or None.
    """

    conditions: list
    outcomes: dict
    people: People
    pairs: Pairs | None
    pair_weights: np.ndarray | None
    images: tuple = ((), ())
    by_group: list = ()
    draw_worst: callable = None


@dataclasses.dataclass(frozen=True)
class Row:
    """The numbers of one version of all faces under one recogniser.

    Attributes:
        recogniser: its name.
        size: low resolution as text, "" for HR.
        method: BICUBIC, SR, HR or another.
        numbers: {name: float}.
        drawn: {name: float (D,)}, the same numbers when other people are drawn, see `intervals`.
    """

    recogniser: str
    size: str
    method: str
    numbers: dict
    drawn: dict


def table_rows(results):
    """Return a list of `Row` from `Results`."""
    rows, people = [], results.people
    for (recogniser, key), outcome in results.outcomes.items():
        size, method = size_and_method(key)
        numbers, drawn = {}, {}
        for name, values in outcome.of_faces.items():
            numbers[name], drawn[name] = known_mean(values), people.means(values)
            if name == "similarity":
                low = f"{name}_p{PERCENTILE}"
                numbers[low] = np.percentile(values, PERCENTILE)
                drawn[low] = people.percentiles(values, PERCENTILE)
        for protocol, judgement in outcome.judgements.items():
            of_pairs = drawn_verification(judgement, results.pairs, results.pair_weights)
            drawn |= {f"{protocol} {name}": values for name, values in of_pairs.items()}
            stated = dataclasses.asdict(judgement.verification)
            numbers |= {f"{protocol} {name}": value for name, value in stated.items()}
        rows.append(Row(recogniser, size, method, numbers, drawn))
    return rows


def flat_rows(rows, people):
    """Return dicts for a CSV file: of every number its interval, `name_low` and `name_high`."""
    flat = []
    for row in rows:
        own = {"recogniser": row.recogniser, "low_resolution": row.size, "method": row.method}
        for name, value in row.numbers.items():
            own[name] = value
            if name in row.drawn:
                own[f"{name}_low"], own[f"{name}_high"] = people.interval(row.drawn[name])
        flat.append(own)
    return flat


def differences(rows, people):
    """Return what SR changes against bicubic enlargement, with intervals on the same people.

    Args:
        rows: list of `Row`.
        people: `People`.

    Returns:
        {(recogniser, size, name of the number): (difference, low, high)}.
    """
    by_key = {(row.recogniser, row.size, row.method): row for row in rows}
    found = {}
    for (recogniser, size, method), sr in by_key.items():
        bicubic = by_key.get((recogniser, size, BICUBIC))
        if method == SR and bicubic:
            for name, drawn in sr.drawn.items():
                difference = sr.numbers[name] - bicubic.numbers[name]
                interval = people.interval(drawn - bicubic.drawn[name])
                found[recogniser, size, name] = (difference, *interval)
    return found


def difference_rows(found):
    """Return dicts for a CSV file from `differences`."""
    return [
        {
            "recogniser": recogniser,
            "low_resolution": size,
            "number": name,
            "difference": difference,
            "low": low,
            "high": high,
            "beyond_chance": is_certain(low, high),
        }
        for (recogniser, size, name), (difference, low, high) in found.items()
    ]


def rank_rows(outcomes):
    """Return dicts for a CSV file: the part of faces recognised within each rank, in per cent.

    Args:
        outcomes: see `measuring.judge`.
    """
    ranked = {key: outcome.ranks for key, outcome in outcomes.items() if outcome.ranks is not None}
    most = max((np.nanmax(ranks, initial=1) for ranks in ranked.values()), default=0)
    rows = []
    for (recogniser, key), ranks in ranked.items():
        size, method = size_and_method(key)
        row = {"recogniser": recogniser, "low_resolution": size, "method": method}
        within = range(1, int(min(MOST_RANKS, most)) + 1)
        rows.append(row | {f"rank_{k}": known_mean(recognised(ranks, k)) for k in within})
    return rows


def score_columns(results):
    """Return the names of what `score_rows` yields: a score for each protocol that was measured."""
    protocols = dict.fromkeys(name for o in results.outcomes.values() for name in o.judgements)
    return [*VERSION, *PAIR, *(protocol + SCORE for protocol in protocols)]


def score_rows(results):
    """Yield the rows of a CSV file: every pair in every version under every recogniser.

    Pairs of the same images in two evaluations are the same pairs, so that two networks can be
    compared on them. `image_a` is the gallery's picture and `image_b` the probe's, paths below
    their folder; `same` is 1 or 0; a score is the cosine of the two embeddings.
    """
    pairs, (firsts, seconds) = results.pairs, results.images
    for (recogniser, key), outcome in results.outcomes.items():
        version = recogniser, *size_and_method(key)
        scores = [judgement.scores for judgement in outcome.judgements.values()]
        pair = pairs.first, pairs.second, pairs.same, pairs.folds
        for first, second, same, fold, *of_pair in zip(*pair, *scores, strict=True):
            images = firsts[first], seconds[second]
            yield *version, *images, int(same), fold, *(f"{score:.6f}" for score in of_pair)


def size_and_method(key):
    """Return the low resolution as text, "" for HR, and the method of a version's key."""
    size, method = ("", HR) if key == HR else key
    return size if isinstance(size, str) else f"{size[0]}x{size[1]}", method
