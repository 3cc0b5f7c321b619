"""Mistakes that a user can mend: constants checked, and every mistake told in one line."""

import contextlib
import os
import sys
from pathlib import Path


class Mistake(Exception):
    """Something that the user can mend: one line that says what is wrong, where, and what to do."""


# --- Constants -------------------------------------------------------------------------------
# A rule is (function from a value to whether it can work, what is wanted instead), and for paths
# a third: the function from the value to what is meant by it.


def check_constants(namespace, rules):
    """Check the constants that a table of rules names; a `~` in a path becomes the user's home.

    Args:
        namespace: {name: value}, such as `globals()` of a command.
        rules: {name: rule}; it lists all the constants there are.

    Returns:
        {name: value} in the order of the rules; paths as `expanded` returns them, so commands
        take them from here.

    Raises:
        Mistake: a value cannot work; the message names the constant.
    """
    constants = {}
    for name, (works, wanted, *meaning) in rules.items():
        value = namespace[name]
        require(works(value), name, wanted, value)
        try:
            constants[name] = meaning[0](value) if meaning and value is not None else value
        except Mistake as mistake:
            raise Mistake(f"{name}: {mistake}") from mistake
    return constants


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
    # Types as well: 1 equals True, but is no switch.
    return (
        lambda v: any(type(v) is type(choice) and v == choice for choice in choices)
    ), f"one of {', '.join(map(repr, choices))}"


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


def parts_of_sizes():
    """Return the rule of a list of ((height, width), part), parts from 0 to 1, a size once."""
    is_size, is_part = sizes()[0], number(0, 1)[0]

    def works(value):
        are_pairs = isinstance(value, list | tuple) and all(
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and is_size([pair[0]])
            and is_part(pair[1])
            for pair in value
        )
        return are_pairs and len({tuple(size) for size, _ in value}) == len(value)

    return works, "a list of ((height, width) in pixels, number from 0 to 1), each size once"


def optional(rule):
    """Return a rule that takes None as well."""
    works, wanted, *meaning = rule
    return (lambda v: v is None or works(v)), f"None or {wanted}", *meaning


def expanded(path):
    """Return a path, str or `Path`, of the same type; a `~` at its start becomes the home folder.

    Raises:
        Mistake: there is no such home folder.
    """
    found = os.path.expanduser(path)
    if os.fspath(path).startswith("~") and found == os.fspath(path):
        raise Mistake(f"there is no home folder {path}")
    return type(path)(found)


def _is_path(value):
    return isinstance(value, str | Path) and str(value) != ""


SWITCH = (lambda v: isinstance(v, bool)), "True or False"
PATH = _is_path, "a path", expanded
PATHS = (
    lambda v: isinstance(v, list | tuple) and all(map(_is_path, v)),
    "a tuple of paths",
    lambda v: [expanded(path) for path in v],
)


# --- One line --------------------------------------------------------------------------------


def shown(text):
    r"""Return a path or a message in one line that every terminal and text file takes.

    Line breaks and other characters that cannot be printed become escapes, and so do the bytes
    of a file name that are no text: `caf\xe9.jpg`.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in str(text))


def _escape(character):
    if "\udc80" <= character <= "\udcff":  # how Python stands for such a byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def tell(main, hint="", code=1):
    """Run a command and end the process; of a mistake, only its line is shown.

    Output that nobody reads any more costs nothing but itself, see `LastingOutput`.

    Args:
        main: function without arguments; what it returns is the exit code, None for 0.
        hint: added to errors of the operating system, such as the path that is written to.
        code: exit code of a `Mistake`; 2 is said as `argparse` says it.
    """
    script = Path(sys.argv[0])
    name = script.parent.name if script.name == "__main__.py" else script.name  # of `python -m`
    with lasting_output():
        try:
            sys.exit(main())
        except Mistake as mistake:
            print(f"{name}: {'error: ' if code == 2 else ''}{shown(mistake)}", file=sys.stderr)
            sys.exit(code)
        except OSError as error:
            print(f"{name}: {shown(error)}{hint}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)


def refuse_arguments():
    """End the process, with exit code 2, if a script whose constants are edited has arguments.

    To be called where it is run as a script: elsewhere `sys.argv` is another's.
    """
    script, *arguments = sys.argv
    if arguments:
        name = Path(script).name
        print(
            f"{name}: error: it takes no arguments, and got {shown(' '.join(arguments))}: edit the "
            f"constants at the top of {name}, and start it without",
            file=sys.stderr,
        )
        sys.exit(2)


class LastingOutput:
    """A text stream that falls silent when it cannot be written to, so that the work goes on.

    Behind `| head` or `| tee` the reader may end first, a terminal may be closed, the disk of a
    log may be full.
    """

    def __init__(self, stream):
        """Wrap a stream such as `sys.stdout`."""
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Write text, or nothing; returns its length."""
        try:
            self._stream.write(text)
        except OSError:
            self._fall_silent()
        return len(text)

    def flush(self):
        """Write what is buffered, or nothing."""
        try:
            self._stream.flush()
        except OSError:
            self._fall_silent()

    def _fall_silent(self):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())  # what is buffered goes there, too
        os.close(nowhere)


@contextlib.contextmanager
def lasting_output():
    """Let both standard streams outlast their readers; names that are no text are escaped."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # A stream that was closed from the start is None.
    sys.stdout, sys.stderr = (stream and LastingOutput(stream) for stream in before)
    try:
        yield
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        sys.stdout, sys.stderr = before
