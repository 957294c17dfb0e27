"""Mutants of the kernel and hardware model, made from its source: every statement dropped, every condition negated, one at a time.

What only watches is left alone: ``check``, ``reached``, the kernel's assertions and tracepoints. Dropping one of those changes no run
of the kernel; ``mutants.py`` shows for each that it fires. A choice is not negated: both ways are tried either way.
"""

from __future__ import annotations

import ast
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pasidlab.lang.functions import ARRIVALS
from pasidlab.model.sources import MODEL_FILES

LEFT_ALONE = {"properties.py", "contents.py"}  # what is asked, and what is forgotten: no part of the kernel
WATCHING = {
    "check", "reached", "repeated", "warn_on_once", "might_sleep", "rcu_sleep_check", "lockdep_assert_irqs_disabled",
    "lockdep_assert_irqs_enabled", "fpregs_assert_state_consistent",
}  # fmt: skip
GUARDS = {"require", "wait_until"}
CHOICE = "maybe()"


@dataclass(frozen=True)
class Mutation:
    """One change: ``name`` says where and what, and stays the same while that line does."""

    name: str
    path: Path
    function: str
    number: int  # of its place in the function

    def __str__(self) -> str:
        return self.name

    def text(self) -> str:
        """The whole file with the change made. Every line keeps its number."""
        text = self.path.read_text(encoding="utf-8")
        kind, node = self._place(text)
        found = ast.get_source_segment(text, node)
        assert found is not None
        if kind == "negate":
            return _put(text, node, f"(not ({found}))")
        return _put(text, node, ("else: pass" if found.startswith("elif") else "pass") + "\n" * found.count("\n"))

    def lines(self) -> range:
        """The lines that the change is about."""
        node = self._place(self.path.read_text(encoding="utf-8"))[1]
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)

    def _place(self, text: str) -> tuple[str, ast.stmt | ast.expr]:
        function = next(n for n in _functions(ast.parse(text)) if n.name == self.function)
        return list(_places(function))[self.number]


def _put(text: str, node: ast.stmt | ast.expr, new: str) -> str:
    """The text with another one in the place of a node, whose columns count bytes."""
    assert node.end_lineno is not None and node.end_col_offset is not None
    lines = text.encode().splitlines(keepends=True)
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return (before + new.encode() + after).decode()


def mutations() -> list[Mutation]:
    """All of them, in the order of the sources."""
    files = [path for path in (ARRIVALS, *MODEL_FILES) if path.name not in LEFT_ALONE]
    return [mutation for path in files for mutation in _of_file(path)]


def _of_file(path: Path) -> Iterator[Mutation]:
    seen = Counter[str]()
    for function in _functions(ast.parse(path.read_text(encoding="utf-8"))):
        for number, (kind, node) in enumerate(_places(function)):
            what = f"{path.name}: {function.name}(): {kind} `{_shown(node)}`"
            seen[what] += 1
            yield Mutation(what if seen[what] == 1 else f"{what} #{seen[what]}", path, function.name, number)


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def _shown(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:90]


def _places(function: ast.FunctionDef) -> Iterator[tuple[str, ast.stmt | ast.expr]]:
    """Statements to drop and conditions to negate, in the order of the source."""
    yes_or_no = function.returns is not None and ast.unparse(function.returns) == "bool"
    for node in _acting(function):
        if isinstance(node, ast.stmt) and node is not function and not isinstance(node, ast.Pass):
            yield "drop", node
        if isinstance(node, ast.If | ast.While | ast.IfExp) and _is_decided(node.test):
            yield "negate", node.test
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in GUARDS and not isinstance(node.args[0], ast.Constant):
            yield "negate", node.args[0]
        if isinstance(node, ast.BoolOp):
            for value in filter(_is_decided, node.values):
                yield "negate", value
        if isinstance(node, ast.Return) and node.value is not None and yes_or_no:
            yield "negate", node.value


def _is_decided(test: ast.expr) -> bool:
    return not isinstance(test, ast.Constant) and ast.unparse(test) != CHOICE


def _acting(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What is in a function, breadth first as ``ast.walk`` has it, without the statements that only watch and what is in them."""
    todo: deque[ast.AST] = deque([function])
    while todo:
        yield (node := todo.popleft())
        todo.extend(child for child in ast.iter_child_nodes(node) if not (isinstance(child, ast.stmt) and _only_watches(child)))


def _only_watches(node: ast.stmt) -> bool:
    if isinstance(node, ast.If | ast.While):
        return all(map(_only_watches, [*node.body, *node.orelse]))
    if not isinstance(node, ast.Expr):
        return False
    called = getattr(node.value.func, "id", "") if isinstance(node.value, ast.Call) else ""
    return not isinstance(node.value, ast.Call) or called in WATCHING or called.startswith("trace_")
