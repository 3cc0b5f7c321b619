import os
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

from errors import PATH, PATHS, Mistake, check_constants, integer, optional, shown


def test_a_tilde_is_the_home_folder_in_every_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    rules = dict(zip("ABCD", (PATH, PATH, optional(PATH), optional(PATH)), strict=True))
    rules |= {"E": PATHS, "N": integer(1)}
    values = {"A": "~/faces", "B": Path("~/x"), "C": None, "D": "a/~b", "E": ("~", "c"), "N": 3}
    assert check_constants(values, rules) == {
        "A": "/home/ann/faces",
        "B": Path("/home/ann/x"),
        "C": None,
        "D": "a/~b",
        "E": ["/home/ann", "c"],
        "N": 3,
    }
    with pytest.raises(Mistake, match="A: there is no home folder ~nobody-here/x"):
        check_constants({"A": "~nobody-here/x"}, {"A": PATH})


def test_names_that_are_no_text_are_shown_in_one_line():
    name = os.fsdecode(b"caf\xe9 \xff") + "\n\u00fc\u65e5\x1b[0m.jpg"
    assert shown(name) == "caf\\xe9 \\xff\\n\u00fc\u65e5\\x1b[0m.jpg"
    shown(name).encode()  # which the name itself cannot


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_print_ends_a_command(encoding):
    name = "caf\udce9\u65e5"
    code = f"from errors import Mistake, tell\ndef main():\n    print({name!r})\n"
    code += f"    raise Mistake('no ' + {name!r} + '\\nhere')\ntell(main)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert result.returncode == 1
    assert b"caf\\udce9" in result.stdout
    assert result.stderr.startswith(b"-c: no caf\\xe9")
    assert result.stderr.strip().endswith(b"\\nhere")
