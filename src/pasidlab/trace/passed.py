"""Lines that must have been executed where another line was: calls that led there, tests around it, statements before it.

A trace names lines that touch state. A test of a local variable touches none, nor does a call. But a statement of a block is reached only
by way of those before it. A block is reached only by way of the test at its head. Python's syntax says which lines these are. Of C files
only the calls are known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pasidlab.trace.steps import Step

FileLine = tuple[str, int]  # file, line


class Passed:
    """Finds the lines a step passed; reads each file once."""

    def __init__(self) -> None:
        self._ways: dict[str, dict[int, tuple[int, ...]]] = {}

    def of(self, step: Step) -> list[FileLine]:
        """The lines the step executed, in order, each once."""
        found: dict[FileLine, None] = {}
        for line in step.lines:
            for frame in line.frames:
                found |= dict.fromkeys((frame.file, before) for before in self._way(frame.file).get(frame.line, ()))
                found[(frame.file, frame.line)] = None
        return list(found)

    def _way(self, file: str) -> dict[int, tuple[int, ...]]:
        if file not in self._ways:
            self._ways[file] = _ways(file) if file.endswith(".py") else {}
        return self._ways[file]


def _ways(file: str) -> dict[int, tuple[int, ...]]:
    """For each line of the functions of a file: the lines on the way to it. Empty for a file that cannot be read any more."""
    try:
        with open(file, encoding="utf-8") as opened:
            tree = ast.parse(opened.read())
    except (OSError, ValueError, SyntaxError):
        return {}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {line: way for function in functions for line, way in _in_block(function.body, ())}


def _in_block(block: list[ast.stmt], way: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The lines of a block, each with those on the way to it; ``way`` leads to the block."""
    for statement in block:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        inner = [part for part in (getattr(statement, name, []) for name in ("body", "orelse")) if part]
        last = inner[0][0].lineno - 1 if inner else statement.end_lineno or statement.lineno
        yield from ((line, way) for line in range(statement.lineno, max(last, statement.lineno) + 1))
        for part in inner:
            yield from _in_block(part, (*way, statement.lineno))
        way = (*way, statement.lineno)
