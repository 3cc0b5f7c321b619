import os
import subprocess
import sys

from project import ROOT

LINES = 10_000  # more than any pipe holds


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


def test_names_that_are_no_text_are_printed_escaped():
    script = r"tell(lambda: print('caf\udce9 →'))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    assert run(script, env=environment) == (0, "caf\\udce9 \\u2192\n", "")
    assert run(script) == (0, "caf\\udce9 →\n", "")
