import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from project import ROOT

from errors import PATH, PATHS, Mistake, check_constants, integer, optional, shown

LINES = 10_000  # more than any pipe holds


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


def run(script, *, shell="", **options):
    """Run a script that has `tell` and `Mistake`; returns (exit code, output, errors)."""
    code = f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\nfrom errors import Mistake, tell\n"
    command = [sys.executable, "-c", code + script]
    if shell:
        command = ["bash", "-o", "pipefail", "-c", f'"$0" "$@" {shell}', *command]
    result = subprocess.run(command, capture_output=True, text=True, **options)
    return result.returncode, result.stdout, result.stderr


def test_a_command_whose_reader_goes_away_ends_its_work_without_a_word(tmp_path):
    script = f"""
def main():
    for i in range({LINES}):
        print("line", i, flush=True)
        print("bar", i, file=sys.stderr)
    open("done", "w").close()
    return 3
tell(main)"""
    for shell in ("| head -1", "2>&1 | head -1", "2> >(head -1 >&2)", ">&- 2>&-"):
        (tmp_path / "done").unlink(missing_ok=True)
        code, _, err = run(script, shell=shell, cwd=tmp_path)
        assert (code, (tmp_path / "done").exists()) == (3, True), (shell, err[-300:])
        assert "Error" not in err
        assert "Exception" not in err


def test_output_that_cannot_be_written_costs_nothing_but_itself(tmp_path):
    if not os.path.exists("/dev/full"):
        return
    script = "tell(lambda: print('x' * 100_000) or open('done', 'w').close())"
    code, _, err = run(script, shell="> /dev/full", cwd=tmp_path)
    assert (code, err, (tmp_path / "done").exists()) == (0, "", True)
    code, _, err = run("tell(lambda: print('x'))", shell="> /dev/full")  # found out at the end
    assert (code, err) == (0, "")


def test_mistakes_and_interruptions_have_their_exit_codes():
    script = "def main():\n    raise {}\ntell(main, ' (hint)', {})"
    for raised, code, expected in (
        ("Mistake('wrong')", 1, (1, "", "-c: wrong\n")),
        ("Mistake('wrong')", 2, (2, "", "-c: error: wrong\n")),
        ("OSError('full')", 2, (1, "", "-c: full (hint)\n")),
        ("KeyboardInterrupt", 2, (130, "", "")),
        ("SystemExit(2)", 1, (2, "", "")),
    ):
        assert run(script.format(raised, code)) == expected


def test_a_package_that_is_run_is_called_by_its_name():
    script = "import sys\nsys.argv[0] = '/x/evaluation/__main__.py'\ntell(lambda: open('/absent'))"
    assert run(script)[2].startswith("evaluation: ")


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "prepare.py"])
def test_commands_whose_constants_are_edited_refuse_arguments(script, monkeypatch, capsys):
    monkeypatch.setattr("errors.tell", lambda *_, **__: pytest.fail("it was started"))
    for argument in ("--help", "photos/"):
        monkeypatch.setattr(sys, "argv", [str(ROOT / script), argument])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        assert end.value.code == 2
        out, err = capsys.readouterr()
        assert (out, err) == (
            "",
            f"{script}: error: it takes no arguments, and got {argument}: edit the constants at "
            f"the top of {script}, and start it without\n",
        )


def test_names_that_are_no_text_are_printed_escaped():
    script = r"tell(lambda: print('caf\udce9 →'))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert run(script, env=environment) == (0, "caf\\udce9 \\u2192\n", "")
    assert run(script) == (0, "caf\\udce9 →\n", "")
