"""Image files that could not be read: each named once, with the reason."""


class Unreadable:
    """The files that a training passed over so far.

    Attributes:
        reasons: {path: reason, with the path}.
    """

    def __init__(self):
        """Start with none."""
        self.reasons = {}

    def __contains__(self, path):
        return path in self.reasons

    def note(self, path, error):
        """Keep a file that could not be read, and the error that says why."""
        self.reasons[path] = " ".join(str(error).split())

    def write(self, path):
        """Add the files to those that a text file names already; return how many it names.

        Args:
            path: `Path` of the text file; it is not made if there is nothing to name.
        """
        style = {"encoding": "utf-8", "errors": "backslashreplace"}
        known = path.read_text(**style).splitlines() if path.exists() else []
        lines = list(dict.fromkeys([*known, *list(self.reasons.values())]))
        if lines:
            path.write_text("\n".join(lines) + "\n", **style)
        return len(lines)
