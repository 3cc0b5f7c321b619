"""The rule of the house: every import points down, and what is read from top to bottom is short."""

import ast
import graphlib
import os
import re
import subprocess
import sys
import tomllib

import pytest
from project import ROOT

COMMANDS = ("train", "prepare", "evaluate", "super_resolve", "export", "demo")
WINGS = ("preparation", "training", "evaluation", "inference", "benchmarks", "figures")
SHARED = (
    *("model", "losses", "data", "metrics", "trained_networks"),
    *("facenet", "imaging", "hardware", "console"),
)
GROUND = ("errors", "files")
FLOORS = (COMMANDS, WINGS, SHARED, GROUND)
# Rooms that look into others of their floor or above.
EXCUSED = {
    "benchmarks": "they time what commands and wings do",
    "figures": "they draw what the commands train",
}
WITHOUT_TENSORFLOW = ("imaging", "preparation", "console", "errors", "files")
SLOW = {"tensorflow", "keras", "hardware"}  # to import

FOLDERS = [path.parent for path in ROOT.glob("*/__init__.py")] + [ROOT / "figures", ROOT / "tests"]
FILES = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in folder.rglob("*.py"))]
MODULES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p
    for p in FILES
    if p.relative_to(ROOT).parts[0] != "tests"
}


def room(module):
    return module.partition(".")[0]


ROOMS = set(map(room, MODULES))


def statements(tree, everywhere=True):
    """The import statements of a file, or only those that run when it is imported."""
    inside = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    waiting = [tree]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif everywhere or not isinstance(node, inside):
            waiting = [*ast.iter_child_nodes(node), *waiting]


def imported(path, everywhere=True):
    """Names of modules that a file imports, in order; of `from a import b`, also `a.b`."""
    return names_in(ast.parse(path.read_text()), everywhere)


def names_in(tree, everywhere=True):
    """As `imported`, of a parsed file or a function."""
    names = []
    for node in statements(tree, everywhere):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            assert node.level == 0, f"imports are absolute, not {ast.unparse(node)}"
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def floor(name):
    (number,) = (i for i, names in enumerate(FLOORS) if name in names)
    return number


def test_every_room_stands_on_one_floor():
    assert set(sum(FLOORS, ())) >= ROOMS
    for name in ROOMS:
        floor(name)
    for folder in {p.parent for p in MODULES.values()} - {ROOT}:
        assert (folder / "__init__.py").is_file() or folder.name == "figures"


def test_every_import_points_down():
    for module, path in MODULES.items():
        if room(module) in EXCUSED:
            continue
        for name in {room(name) for name in imported(path)} & ROOMS - {room(module)}:
            below = floor(room(module)) < floor(name)
            beside = floor(room(module)) == floor(name) and name in SHARED + GROUND
            assert below or beside, f"{module} imports {name}"


def test_no_two_rooms_import_each_other():
    graph = {}
    for module, path in MODULES.items():
        others = {room(name) for name in imported(path)} & ROOMS - {room(module)}
        graph.setdefault(room(module), set()).update(others)
    assert list(graphlib.TopologicalSorter(graph).static_order())  # raises where there is a cycle


def imported_with(module, seen):
    """Everything that is imported with a module, before any function runs."""
    if module in seen or module not in MODULES:
        return
    seen.add(module)
    for name in imported(MODULES[module], everywhere=False):
        seen.add(room(name)) if room(name) not in ROOMS else imported_with(room(name), seen)
        imported_with(name, seen)


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_what_needs_no_tensorflow_does_not_wait_for_it(name):
    for module in (module for module in MODULES if room(module) == name):
        seen = set()
        imported_with(module, seen)
        assert not {room(other) for other in seen} & SLOW, module


def test_comparing_two_evaluations_does_not_wait_for_tensorflow():
    seen = set()
    imported_with("evaluation.__main__", seen)
    assert "evaluation.comparing" in seen
    assert not {room(other) for other in seen} & SLOW


def test_commands_import_hardware_before_all_that_imports_tensorflow():
    for module in (*COMMANDS, "facenet.__main__", "trained_networks.__main__"):
        names = imported(MODULES[module], everywhere=False)
        seen = set()
        imported_with(module, seen)
        assert room(names[0]) == "hardware" or not seen & SLOW, module


@pytest.mark.parametrize("name", ["imaging", "preparation"])
def test_what_imports_tensorflow_late_imports_hardware_first(name):
    # Else TensorFlow says about itself what looks like errors.
    for module in (module for module in MODULES if room(module) == name):
        for function in ast.walk(ast.parse(MODULES[module].read_text())):
            if isinstance(function, ast.FunctionDef):
                names = [room(name) for name in names_in(function)]
                has_late = {"tensorflow", "keras", "mtcnn"} & set(names)
                assert not has_late or names[0] == "hardware", f"{module}: {function.name}"


def test_importing_any_module_starts_nothing(tmp_path):
    modules = sorted(module for module in MODULES if room(module) != "figures")
    code = f"import {', '.join(modules)}, tensorflow as tf; print(tf.config.get_visible_devices())"
    process = subprocess.run(
        [sys.executable, "-c", f"import hardware\n{code}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("[PhysicalDevice")
    assert process.stderr == ""
    assert list(tmp_path.iterdir()) == []


# --- Tests ---


def test_tests_import_no_other_test():
    for path in (ROOT / "tests").rglob("*.py"):
        for name in imported(path):
            assert not name.startswith(("tests", "test_", "conftest")), path


def test_a_warning_of_any_module_or_test_is_an_error():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    (pattern,) = (
        filter.removeprefix("error:::")
        for filter in settings["ini_options"]["filterwarnings"]
        if filter.startswith("error:::")
    )
    for module in {room(m) for m in MODULES} - {"figures"} | {"test_x", "tests.a.test_x"}:
        assert re.match(pattern, module), module
    assert not re.match(pattern, "keras.src.models")


# --- Lengths ---


def test_the_hall_is_small():
    assert len(list(ROOT.glob("*.py"))) <= 12


def test_a_file_can_be_read_in_one_sitting():
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert lengths[ROOT / "train.py"] <= 260
    benchmarks = ROOT / "benchmarks"
    long = {str(p): n for p, n in lengths.items() if n > 400 and p.parent != benchmarks}
    assert long == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_main_fits_one_screen(command):
    tree = ast.parse(MODULES[command].read_text())
    (main,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main")
    assert main.end_lineno - main.lineno + 1 <= 60
