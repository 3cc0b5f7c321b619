import ast
import os
import subprocess
import sys

from project import ROOT

LACKS = "libGL.so.1: cannot open shared object file: No such file or directory"


def test_without_opencv_a_command_says_in_one_line_what_to_install(tmp_path):
    (tmp_path / "cv2.py").write_text(f"raise ImportError({LACKS!r})")
    result = subprocess.run(
        [sys.executable, ROOT / "prepare.py"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"prepare.py: OpenCV cannot be imported ({LACKS})")
    assert "apt-get install libgl1" in line
    assert "pip install opencv-python-headless" in line


def test_opencv_is_imported_in_one_place():
    importing = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if "tests" not in path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(name.name == "cv2" for name in node.names)
    ]
    assert importing == ["imaging/opencv.py"]
