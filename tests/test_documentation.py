"""What the pages say there is, there is: files, headings, commands, imports, constants."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from facenet.known_files import SOURCES

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FURTHER = [
    *sorted(ROOT.glob("docs/*.md")),
    ROOT / "MODEL_CARD.md",
    *(ROOT / folder / "README.md" for folder in ("facenet", "samples", "pretrained")),
]
PAGES = [README, *FURTHER]

# What commands write and users bring is named in the pages and is not part of the repository.
OUTSIDE_FOLDERS = ("output/", "checkpoints/", "logs/", "super_resolved/", "exported/", "VGGFace2")
OUTSIDE_FOLDERS += ("meta/", "ipu_net_savedmodel/")
OUTSIDE_FILES = {
    *("curves.png", "history.csv", "validation.csv", "report.md", "config.json"),
    *("unreadable.txt", "results.md", "results.csv", "verification.png", "roc.png", "worst.png"),
    *("report.csv", "manifest.csv", "prepare.json", "summary.txt", "benchmark.json"),
    *("pairs.txt", "lfw_people.txt", "identities.csv", "xqlfw_pairs.txt", "x.png.jpg"),
    *("differences.csv", "cmc.csv", "cmc.png", "scores.csv", "people.json"),
}
ENVIRONMENT = {
    "KERAS_BACKEND",
    "TF_CONFIG",
    "TF_ENABLE_ONEDNN_OPTS",
    "CUDA_VISIBLE_DEVICES",
    "XDG_CACHE_HOME",
    "ONEDNN_MAX_CPU_ISA",
    "XLA_FLAGS",
}
SUFFIXES = {".py", ".md", ".txt", ".csv", ".json", ".png", ".jpg", ".npz", ".toml"}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def fenced(page):
    """Return [(language, text)] of the fenced blocks of a page."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page):
    """Return the text of a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def code_spans(page):
    return re.findall(r"`([^`]+)`", prose(page))


def links(page):
    """Return [(path, anchor)] of the links of a page that stay in the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target.partition("#")[::2] for target in targets if "://" not in target]


def anchors(page):
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def module_file(name):
    """Return the file of a module of the repository by its dotted name, or None."""
    path = ROOT.joinpath(*name.split("."))
    return next((f for f in (path.with_suffix(".py"), path / "__init__.py") if f.is_file()), None)


def defined_names(file):
    """Return the names that the top level of a module defines or imports."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
    return names


@every_page
def test_a_link_leads_to_a_file_and_a_heading(page):
    for path, anchor in links(page):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


@every_page
def test_a_path_in_backticks_exists(page):
    for span in code_spans(page):
        is_path = span.endswith("/") or Path(span).suffix in SUFFIXES
        if not is_path or not re.fullmatch(r"[\w./-]+", span):
            continue
        if span.startswith(OUTSIDE_FOLDERS) or span in OUTSIDE_FILES:
            continue
        assert any((folder / span).exists() for folder in (ROOT, page.parent)), span


@every_page
def test_a_command_names_a_module_that_exists(page):
    commands = [text for language, text in fenced(page) if language == "bash"] + code_spans(page)
    for command in commands:
        for dash_m, name in re.findall(r"\bpython3? (-m )?([\w.]+\w)", command):
            if not dash_m:
                assert (ROOT / name).is_file(), command
            elif file := module_file(name):
                # A package runs by its `__main__.py`.
                assert file.stem != "__init__" or (file.parent / "__main__.py").is_file(), command
            else:
                assert name == "venv", command
        for name in re.findall(r"-r (\S+)", command):
            assert (ROOT / name).is_file(), command


@every_page
def test_an_example_compiles_and_its_imports_resolve(page):
    for language, text in fenced(page):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (file := module_file(node.module)):
                for alias in node.names:
                    assert alias.name in defined_names(file), ast.unparse(node)
            elif isinstance(node, ast.ImportFrom):
                assert importlib.util.find_spec(node.module.split(".")[0]), ast.unparse(node)


@every_page
def test_a_constant_that_is_named_exists(page):
    files = (path for path in ROOT.glob("*/*.py") if path.parent.name != "tests")
    known = set().union(*map(defined_names, (*ROOT.glob("*.py"), *files))) | ENVIRONMENT
    named = {
        m[0] for span in code_spans(page) if (m := re.match(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", span))
    }
    for language, text in fenced(page):
        if language == "python":
            names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
            named |= {name for name in names if name.isupper()}
    assert named <= known, named - known


def test_the_readme_can_be_read_in_one_sitting():
    lines = README.read_text().splitlines()
    assert len(lines) <= 250
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []


def test_the_readme_links_each_page_once():
    linked = [(ROOT / path).resolve() for path, _ in links(README)]
    assert {str(page.relative_to(ROOT)): linked.count(page) for page in FURTHER} == {
        str(page.relative_to(ROOT)): 1 for page in FURTHER
    }


def test_the_tree_in_the_readme_is_that_of_the_repository():
    section = README.read_text().split("## How it works\n")[1].split("\n## ")[0]
    tree = re.search(r"^```text\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[1]
    named, folder = set(), None
    for line in tree.splitlines():
        start = re.match(r"(?:[\w.]+(?:/|\.py) +)*", line)[0]
        if start:
            named.update(start.split())
            folder = ROOT / start.split()[0]
        for name in re.findall(r"\w+\.py", line[len(start) :]):
            assert (folder / name).is_file(), f"{folder.name}/{name}"
    there = {path.name for path in ROOT.glob("*.py")}
    there |= {f"{path.parent.name}/" for path in ROOT.glob("*/__init__.py")}
    assert named == there | {"docs/", "figures/", "samples/", "tests/"}


def test_the_table_of_weight_files_gives_the_hashes_that_are_recognised():
    rows = re.findall(
        r"^\| (.*?) *\| `(.*?)` .*?`([0-9a-f]{64})`",
        (ROOT / "facenet/README.md").read_text(),
        re.MULTILINE,
    )
    assert {digest for _, _, digest in rows} == {d for d, s in SOURCES.items() if "/" in s}
    for _, file, digest in rows:
        assert f", {file}" in SOURCES[digest]
