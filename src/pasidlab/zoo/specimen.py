"""Makes designs of a bug: the base with the buggy function in it, and with the fixed one."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

from pasidlab import designs
from pasidlab.designs import Design
from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.ir import Function
from pasidlab.lang.names import Names, nearest
from pasidlab.lang.source import Text
from pasidlab.zoo.catalogue import CATALOGUE, Bug

TWIN = "fixed_"
FIXED_EAGER = "task-work"  # what replaced the idea of the eager IPI in the debate


def find_bug(name: str) -> Bug:
    """A bug by name."""
    for bug in CATALOGUE:
        if bug.name == name:
            return bug
    raise PasidlabError(f"unknown bug '{name}'", hint=nearest(name, [bug.name for bug in CATALOGUE]))


def buggy(bug: Bug) -> Design:
    """The kernel with the bug."""
    return _design(bug, False)


def fixed(bug: Bug) -> Design:
    """The kernel with the fix."""
    return _design(bug, True)


def _design(bug: Bug, repaired: bool) -> Design:
    base = designs.BUILT_IN[FIXED_EAGER if repaired and not bug.file else bug.base]
    named = replace(base, name=f"{bug.name}{' (fixed)' if repaired else ''}")
    if not bug.file:
        return named
    found = replace(named, files=(str(bug.path),), origin=str(bug.path))
    if bug.file.endswith(".c"):
        return replace(found, functions=_from_c(bug, repaired))
    return replace(found, beside=(Text(str(bug.path), _one_of_twins(source.read_text(bug.path), repaired)),))


def _from_c(bug: Bug, repaired: bool) -> Callable[[Names], dict[str, Function]]:
    from pasidlab.lang.c.link import c_program, link
    from pasidlab.lang.c.tokens import Source

    config = {"CONFIG_FIXED": "y" if repaired else "n"}
    parsed = c_program([Source(source.read_text(bug.path), str(bug.path))], config)
    return lambda names: link(parsed, names)


def _one_of_twins(text: str, repaired: bool) -> str:
    """The text with one function of each pair: the buggy one, or the fixed one under its name. What stays keeps its lines."""
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    lines = text.split("\n")
    for name, node in functions.items():
        if not name.startswith(TWIN):
            continue
        gone = functions.get(name.removeprefix(TWIN)) if repaired else node
        if gone is not None:
            first = min([gone.lineno, *(decorator.lineno for decorator in gone.decorator_list)])
            lines[first - 1 : gone.end_lineno] = [""] * ((gone.end_lineno or first) - first + 1)
        lines[node.lineno - 1] = lines[node.lineno - 1].replace(f"def {TWIN}", "def ", 1)
    return "\n".join(lines)
