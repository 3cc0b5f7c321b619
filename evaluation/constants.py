"""What each constant of `evaluate.py` may be."""

from pathlib import Path

from errors import PATH, SWITCH, expanded, integer, one_of, optional, sizes
from evaluation.measuring import FROM_EACH, FROM_HR
from evaluation.quality import INSTALL

LEAST_BOX = 0.1  # of height and width: what is smaller is no face, or may have no pixel
BOX = "(left, top, right, bottom) as fractions, a tenth apart or more"


def is_box(value):
    """Whether a value is a box, see `BOX`, in that order and no smaller than `LEAST_BOX`."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(isinstance(side, int | float) for side in value)
        and all(0 <= side <= 1 for side in value)
        and all(value[i + 2] - value[i] > LEAST_BOX - 1e-6 for i in range(2))
    )


def _are_names(value):
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


def _are_recognisers(value):
    return value is None or (
        isinstance(value, list | tuple)
        and all(isinstance(spec, dict) or PATH[0](spec) for spec in value)
    )


def _with_paths_expanded(specs):
    def path_of(value):
        return expanded(value) if isinstance(value, str | Path) else value

    return [
        {name: path_of(v) if name == "path" else v for name, v in spec.items()}
        if isinstance(spec, dict)
        else path_of(spec)
        for spec in specs or ()
    ]


def _are_measures(value):
    return isinstance(value, list | tuple) and set(value) <= INSTALL.keys()


RULES = {
    "RUN_DIR": PATH,
    "FACES_DIR": optional(PATH),
    "IDENTITY_LEVEL": optional(integer(1)),
    "FACES": integer(1),
    "PAIRS": optional(PATH),
    "DRAWN_PAIRS": integer(1),
    "SEED": integer(0),
    "CENTRAL_CROP": optional(integer(1)),
    "SIZES": optional(sizes()),
    "PROBE_DIR": optional(PATH),
    "GALLERY_DIR": optional(PATH),
    "UNSEEN_RECOGNISERS": (
        _are_recognisers,
        'a tuple such as ("dlib", "w600k_r50.onnx"), see docs/evaluation.md',
        _with_paths_expanded,
    ),
    "LANDMARKS": one_of(FROM_HR, FROM_EACH),
    "FACE_BOX": (is_box, BOX),
    "FLIP": SWITCH,
    "QUALITY": (_are_measures, f"a tuple of {', '.join(map(repr, INSTALL))}"),
    "GROUPS": optional(PATH),
    "GROUP_COLUMNS": (_are_names, "a list of names of columns"),
}
