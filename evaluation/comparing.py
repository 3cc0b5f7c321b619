"""Two networks on the same pairs: how they differ, and whether that may be chance.

From the scores that `evaluate.py` wrote for each, without TensorFlow, so that it starts at once.
"""

import dataclasses

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from errors import Mistake
from evaluation.intervals import People, drawn_verification
from evaluation.markdown import MEANINGS, VERIFICATION, cell, head, legend, number
from evaluation.pairs import Pairs

SR, BICUBIC, HR = "SR", "bicubic", "HR"  # as `metrics` calls them, which waits for TensorFlow
METHODS = SR, BICUBIC
COLUMNS = VERIFICATION[:3]  # accuracy, AUC, TAR at FAR 1 %
ALIKE = 0.01  # most by which the cosine of the same two faces differs from machine to machine


def compare(before, after, method=SR):
    """Return tables, as Markdown, of what two evaluations have in common.

    Args:
        before: `Scores`.
        after: `Scores` of another network.
        method: one of `METHODS`, of both.

    Raises:
        Mistake: they have no pairs, or no version of them, in common, or too few pairs.
    """
    versions = _common_versions(before, after, method)
    both = _with_common_pairs(before, after)
    pairs = _pairs(both[0].pairs)
    people, who = _people([image for pair in both[0].pairs for image in pair[:2]], pairs)
    weights = people.of_pairs(pairs)
    conditions = [
        f"{method}, before: {before.path}",
        f"{method}, after: {after.path}",
        f"{pairs.description}, {people.described(who)}",
        *_left_out(before, after, len(pairs), method),
        *_more_that_differs(*both, method),
        legend("before", "after"),
    ]
    parts = ["\n".join(f"* {line}" for line in conditions)]
    for recogniser in dict.fromkeys(recogniser for recogniser, *_ in versions):
        parts.append(f"## {recogniser}")
        own = [version for version in versions if version[0] == recogniser]
        for protocol in _common_protocols(before, after):
            rows = {
                version[1]: [_measured(s.versions[version][protocol], pairs, weights) for s in both]
                for version in own
            }
            meaning = f"Verification, {protocol}: {MEANINGS[protocol]}"
            parts += [meaning, _table(rows, people)]
    return "\n\n".join(parts)


# --- What both have ----------------------------------------------------------------------------


def _common_versions(before, after, method):
    """Return the keys of `Scores.versions` of a method that both have, in the first's order."""
    for scores in (before, after):
        if not any(key[-1] == method for key in scores.versions):
            raise Mistake(f"{scores.path} has no scores of {method}")
    common = [key for key in before.versions if key[-1] == method and key in after.versions]
    if not common:
        raise Mistake(
            f"{before.path} and {after.path} have no recogniser and low resolution in common: let "
            "evaluate.py measure both networks with the same UNSEEN_RECOGNISERS and SIZES"
        )
    return common


def _common_protocols(before, after):
    return [p for p in MEANINGS if p in before.protocols and p in after.protocols]


def _with_common_pairs(before, after):
    """Return two `Scores` of the pairs that both have, in the same order."""
    place = {pair: i for i, pair in enumerate(after.pairs)}
    common = [(i, place[pair]) for i, pair in enumerate(before.pairs) if pair in place]
    if not common:
        raise Mistake(
            f"{before.path} and {after.path} have no pairs in common: let evaluate.py measure both "
            "networks on the same faces, with the same PAIRS, or FACES, DRAWN_PAIRS and SEED"
        )
    of_before, of_after = np.array(common).T
    return before.at(of_before), after.at(of_after)


def _pairs(listed):
    """Return `Pairs` of tuples, see `scores.PAIR`; each has two faces of its own among 2 P."""
    first, second = np.arange(2 * len(listed)).reshape(-1, 2).T
    same = np.array([pair[2] == "1" for pair in listed])
    folds = np.array([int(pair[3]) for pair in listed])
    try:
        return Pairs(first, second, same, folds)
    except Mistake:
        raise Mistake(
            f"the {len(listed)} pairs in common are too few: thresholds are chosen on pairs of the "
            "same person and of different people outside each fold"
        ) from None


def _people(images, pairs):
    """Return the `People` that faces show, by the folders of their images, and what to call them.

    Folders that a genuine pair joins are one person's. In a single folder people are not known:
    each image counts as one, as in `evaluate.py`.

    Args:
        images: list of the paths of 2 P faces.
        pairs: `Pairs` among them.
    """
    folders, places = np.unique([image.rpartition("/")[0] for image in images], return_inverse=True)
    if len(folders) == 1:
        return People(images), "faces, as people are not known"
    ends = places[pairs.first[pairs.same]], places[pairs.second[pairs.same]]
    joined = coo_array((np.ones(len(ends[0])), ends), shape=(len(folders),) * 2)
    return People(connected_components(joined, directed=False)[1][places]), "people"


# --- What they do not have in common -----------------------------------------------------------


def _left_out(before, after, count, method):
    """Return a line about what only one evaluation has, if there is any, beside common pairs."""
    parts = []
    for name, scores, other in (("before", before, after), ("after", after, before)):
        lacking = [f"{len(scores.pairs) - count} pairs"] if len(scores.pairs) > count else []
        recognisers = {key[0] for key in other.versions}
        for key in scores.versions:
            if key[-1] == method and key not in other.versions:
                lacking.append(key[1] if key[0] in recognisers else key[0])
        lacking += [p for p in scores.protocols if p not in other.protocols]
        if lacking:
            parts.append(f"{', '.join(dict.fromkeys(lacking))}, which {name} alone has")
    return [f"left out: {'; '.join(parts)}"] if parts else []


def _more_that_differs(before, after, method):
    """Return a line about faces that no network made and that are scored differently, if any."""
    found = {}
    for key in before.versions.keys() & after.versions.keys():
        recogniser, _, made_by = key
        if made_by in {HR, BICUBIC} - {method}:
            for protocol in _common_protocols(before, after):
                pair = (scores.versions[key][protocol] for scores in (before, after))
                if np.abs(np.subtract(*pair)).max() > ALIKE:
                    found[f"{made_by} under {recogniser}"] = None
    if not found:
        return []
    return [f"more than the network differs: so do the scores of {', '.join(sorted(found))}"]


# --- Tables ------------------------------------------------------------------------------------


def _measured(scores, pairs, weights):
    """Return the numbers of `COLUMNS`, {name: float}, and those of every draw, {name: (D,)}."""
    judgement = pairs.judge(scores)
    return dataclasses.asdict(judgement.verification), drawn_verification(judgement, pairs, weights)


def _mean(measured):
    """Return the mean of several `_measured`: of every draw, so of the same people in all."""
    return tuple(
        {name: np.mean([one[name] for one in of_all], axis=0) for _, name, _ in COLUMNS}
        for of_all in zip(*measured, strict=True)
    )


def _table(rows, people):
    """Return a table of {low resolution: (`_measured` before, after)}."""
    if len(rows) > 1:
        rows = rows | {"mean": [_mean(side) for side in zip(*rows.values(), strict=True)]}
    lines = head("low resolution", COLUMNS)
    for size, ((before, drawn_before), (after, drawn_after)) in rows.items():
        cells = [
            cell(
                number(before, name, digits),
                number(after, name, digits),
                *people.interval(drawn_after[name] - drawn_before[name]),
                digits,
            )
            for _, name, digits in COLUMNS
        ]
        lines.append(f"| {size} | {' | '.join(cells)} |")
    return "\n".join(lines)
