"""Makes designs of a bug: the base with the buggy function in it, and with the fixed one."""

from __future__ import annotations

import ast
import copy
from dataclasses import replace

from pasidlab import designs
from pasidlab.designs import Design
from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.ir import Function
from pasidlab.lang.names import Names, nearest
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
    name = f"{bug.name}{' (fixed)' if repaired else ''}"
    if not bug.file:
        return replace(base, name=name)
    make = _from_c(bug, repaired) if bug.file.endswith(".c") else _from_python(bug, repaired)
    return replace(base, name=name, functions=make, files=(str(bug.path),), origin=str(bug.path))


def _from_c(bug: Bug, repaired: bool):  # type: ignore[no-untyped-def]
    from pasidlab.lang.c.link import c_program, link
    from pasidlab.lang.c.tokens import Source

    config = {"CONFIG_FIXED": "y" if repaired else "n"}
    parsed = c_program([Source(source.read_text(bug.path), str(bug.path))], config)
    return lambda names: link(parsed, names)


def _from_python(bug: Bug, repaired: bool):  # type: ignore[no-untyped-def]
    def make(names: Names) -> dict[str, Function]:
        space = names.namespace
        source.collect([bug.path], space)
        for twin in [name for name in space.functions if name.startswith(TWIN)]:
            function = space.functions.pop(twin)
            if repaired:
                name = twin.removeprefix(TWIN)
                node = copy.deepcopy(function.node)
                node.name = name
                node.decorator_list = node.decorator_list or _role(space, name)
                space.functions[name] = source.SourceFunction(name, node, function.file)
        return {}

    return make


def _role(space: source.Namespace, name: str) -> list[ast.expr]:
    known = space.functions.get(name)
    return known.node.decorator_list if known else []
