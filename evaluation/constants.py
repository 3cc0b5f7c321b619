"""What each constant of `evaluate.py` may be."""

from errors import PATH, integer, optional, sizes


def _is_box(value):
    return (
        isinstance(value, list | tuple)
        and len(value) == 4
        and all(isinstance(side, int | float) for side in value)
        and 0 <= value[0] < value[2] <= 1
        and 0 <= value[1] < value[3] <= 1
    )


def _are_names(value):
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


RULES = {
    "RUN_DIR": PATH,
    "FACES_DIR": optional(PATH),
    "FACES": integer(1),
    "PAIRS": optional(PATH),
    "DRAWN_PAIRS": integer(1),
    "SEED": integer(0),
    "CENTRAL_CROP": optional(integer(1)),
    "SIZES": optional(sizes()),
    "UNSEEN_RECOGNISER": optional(PATH),
    "FACE_BOX": (_is_box, "(left, top, right, bottom) as fractions"),
    "GROUPS": optional(PATH),
    "GROUP_COLUMNS": (_are_names, "a list of names of columns"),
}
