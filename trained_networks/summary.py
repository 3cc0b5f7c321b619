"""The JSON file beside a packed network: what made it, without paths of the machine."""

import csv
import datetime
import hashlib
import json
from pathlib import Path

from facenet import EMBEDDED_WEIGHTS
from files import whole
from trained_networks.places import ELSEWHERE, FILE_NAME, run_of

PATHS = ("TRAIN_DIR", "VALIDATION_DIR", "START_WEIGHTS", "FACENET_WEIGHTS")
OF_RESULTS = ("bicubic_psnr", "sr_psnr", "bicubic_similarity", "sr_similarity")


def write_summary(packed, network, constants, recipe, data=None, cost=None):
    """Write what made a packed network.

    Args:
        packed: `Path` of the packed file; the summary's differs in its ending.
        network: `Path` of the network it was made of; only of the last step's, `FILE_NAME`, are
            the results known.
        constants: of its training, see `read_config`.
        recipe: what they resolved to.
        data: what it was trained on, in words.
        cost: JSON-serialisable, what packing cost.

    Returns:
        `Path` of the summary.
    """
    # What was measured last is of the last step: the best epoch's network may be of another.
    is_last = network.name == FILE_NAME
    results = _last_validation(run_of(network) / "validation.csv") if is_last else []
    date = datetime.date.fromtimestamp(network.stat().st_mtime)
    summary = {
        "sha256": hashlib.sha256(packed.read_bytes()).hexdigest(),
        "date": date.isoformat(),
        "data": data,
        "steps": results[0]["step"] if results else None,
        "results": results,
        "cost": cost,
        "constants": without_paths(constants),
        "recipe": without_paths(recipe),
    }
    path = packed.with_suffix(".json")
    with whole(path) as unfinished:
        unfinished.write_text(json.dumps(summary, indent=1) + "\n")
    return path


def without_paths(constants):
    """Return constants as others can read them: of a path its last part, OUTPUT_DIR not at all.

    The embedded FaceNet is known by its name, wherever the repository is.
    """
    kept = {name: value for name, value in constants.items() if name != "OUTPUT_DIR"}
    for name in PATHS:
        if kept.get(name) is not None:
            last = Path(kept[name]).name
            kept[name] = last if last == EMBEDDED_WEIGHTS.name else f"{ELSEWHERE}/{last}"
    return kept


def _last_validation(path):
    """Return the rows of the last epoch's validation, the measures that matter; [] without."""
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        return [
            {"step": int(row["step"]), "low_resolution": row["low_resolution"]}
            | {name: round(float(row[name]), 4) for name in OF_RESULTS}
            for row in rows
            if row["step"] == rows[-1]["step"]
        ]
    except (OSError, ValueError, KeyError):
        return []
