"""Which functions of the kernel model are a single statement, or a single instruction of the machine: a call of one says it all."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path


def is_leaf(file: str, function: str) -> bool:
    """Whether a function of a Python file is one statement, or one ``@instruction``."""
    return function in _leaves(file)


@cache
def _leaves(file: str) -> frozenset[str]:
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and _is_one(node))


def _is_one(function: ast.FunctionDef) -> bool:
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    simple = all(isinstance(s, ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return) for s in body)
    return any(ast.unparse(d) == "instruction" for d in function.decorator_list) or (len(body) == 1 and simple)
