"""Imports go one way: no part of the project knows of those behind it in the pipeline."""

import ast
from pathlib import Path

import pytest

import pasidlab

SOURCES = Path(pasidlab.__file__).parent
ORDER = ["errors", "output", "lang", "machine", "linux", "designs", "check", "zoo live", "report", "commands", "cli"]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names.split()}
BESIDE = {"__init__", "examples"}  # the public names, and models in the language
SHOW = {f"check/findings.py imports pasidlab.report.{how}" for how in ("html", "text")}  # a result shows itself in notebooks and assertions


def imports(tree: ast.Module) -> set[str]:
    """Modules of the project a file imports, also inside functions; not those only types are taken from."""
    hidden = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "pasidlab" else {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("pasidlab.")}


FILES = sorted(SOURCES.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(SOURCES).parts[0].removesuffix(".py")


def test_every_part_has_its_place():
    assert {part(path) for path in FILES} == set(RANK) | BESIDE


@pytest.mark.parametrize("name", sorted(RANK))
def test_imports_go_one_way(name):
    wrong = [
        f"{path.relative_to(SOURCES)} imports {module}"
        for path in FILES
        if part(path) == name
        for module in imports(ast.parse(path.read_text(encoding="utf-8")))
        if (other := module.split(".")[1]) in RANK and other != name and RANK[other] >= RANK[name]
    ]
    assert set(wrong) <= SHOW
