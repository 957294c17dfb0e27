"""What the fix of a bug changes, as a unified diff of the functions in the bug's file."""

from __future__ import annotations

import ast
import difflib
import re

from pasidlab.lang import source
from pasidlab.zoo.catalogue import Bug
from pasidlab.zoo.specimen import TWIN


def difference(bug: Bug) -> list[str]:
    """The lines of the diff from the bug to its fix, without file names; empty for a bug that is a whole design."""
    if not bug.file:
        return []
    text = source.read_text(bug.path)
    before, after = (_c(text, False), _c(text, True)) if bug.file.endswith(".c") else _python(text)
    return [line.rstrip("\n") for line in difflib.unified_diff(before, after, n=3, lineterm="")][2:]


def _c(text: str, fixed: bool) -> list[str]:
    """The lines that CONFIG_FIXED leaves."""
    kept, taken = [], [True]
    for line in text.split("\n"):
        match = re.match(r"#(ifdef|ifndef) CONFIG_FIXED", line)
        if match:
            taken.append((match.group(1) == "ifdef") == fixed)
        elif line.startswith("#else"):
            taken[-1] = not taken[-1]
        elif line.startswith("#endif"):
            taken.pop()
        elif all(taken):
            kept.append(line)
    return kept


def _python(text: str) -> tuple[list[str], list[str]]:
    """Each function that has a fixed twin, and the twin under its name."""
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    lines = text.split("\n")
    before: list[str] = []
    after: list[str] = []
    for name, node in functions.items():
        if name.startswith(TWIN):
            original = functions.get(name.removeprefix(TWIN))
            before += _lines(original, lines) if original else []
            after += [line.replace(name, name.removeprefix(TWIN)) for line in _lines(node, lines)]
    return before, after


def _lines(node: ast.FunctionDef, lines: list[str]) -> list[str]:
    return [*lines[node.lineno - 1 : node.end_lineno], ""]
