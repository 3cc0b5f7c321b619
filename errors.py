"""Mistakes that a user can mend: constants checked, and every mistake told in one line."""

import sys
from pathlib import Path


class Mistake(Exception):
    """Something that the user can mend: one line that says what is wrong, where, and what to do."""


# --- Constants -------------------------------------------------------------------------------
# A rule is (function from a value to whether it can work, what is wanted instead).


def check_constants(namespace, rules):
    """Return the constants that a table of rules names, after checking each.

    Args:
        namespace: {name: value}, such as `globals()` of a command.
        rules: {name: rule}; it lists all the constants there are.

    Returns:
        {name: value} in the order of the rules.

    Raises:
        Mistake: a value cannot work; the message names the constant.
    """
    for name, (works, wanted) in rules.items():
        require(works(namespace[name]), name, wanted, namespace[name])
    return {name: namespace[name] for name in rules}


def require(holds, name, wanted, value):
    """Raise Mistake, naming the constant, what is wanted and what was found, unless it holds."""
    if not holds:
        raise Mistake(f"{name} must be {wanted}, not {value!r}")


def integer(least, most=float("inf")):
    """Return the rule of a whole number."""
    upper = "" if most == float("inf") else f" to {most}"
    return (lambda v: type(v) is int and least <= v <= most), f"an integer from {least}{upper}"


def number(least, most=float("inf")):
    """Return the rule of a number, whole or not."""
    upper = "" if most == float("inf") else f" to {most:g}"
    return (
        lambda v: isinstance(v, int | float) and type(v) is not bool and least <= v <= most
    ), f"a number from {least:g}{upper}"


def one_of(*choices):
    """Return the rule of a value among some."""
    return (lambda v: v in choices), f"one of {', '.join(map(repr, choices))}"


def sizes(least_count=1):
    """Return the rule of a list of (height, width)."""

    def works(value):
        return (
            isinstance(value, list | tuple)
            and len(value) >= least_count
            and all(
                isinstance(size, list | tuple)
                and len(size) == 2
                and all(type(side) is int and side >= 1 for side in size)
                for size in value
            )
        )

    return works, "a list of (height, width) in pixels"


def optional(rule):
    """Return a rule that takes None as well."""
    works, wanted = rule
    return (lambda v: v is None or works(v)), f"None or {wanted}"


def _is_path(value):
    return isinstance(value, str | Path) and str(value) != ""


SWITCH = (lambda v: isinstance(v, bool)), "True or False"
PATH = _is_path, "a path"


# --- One line --------------------------------------------------------------------------------


def tell(main, hint=""):
    """Run a command and end the process; of a mistake, only its line is shown.

    Args:
        main: function without arguments; what it returns is the exit code, None for 0.
        hint: added to errors of the operating system, such as the path that is written to.
    """
    name = Path(sys.argv[0]).name
    try:
        sys.exit(main())
    except Mistake as mistake:
        sys.exit(f"{name}: {mistake}")
    except OSError as error:
        sys.exit(f"{name}: {error}{hint}")
    except KeyboardInterrupt:
        sys.exit(130)
