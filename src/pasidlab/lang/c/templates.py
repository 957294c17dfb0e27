"""Compiles the right-hand sides of the vocabulary: model-language text with C values in the place of its free names."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.emit import Builder
from pasidlab.lang.names import Names
from pasidlab.lang.python.expressions import Results, TypedOperand
from pasidlab.lang.python.statements import Statements
from pasidlab.lang.types import BOOL, joined_domain

NOTHING: TypedOperand = (0, BOOL)


class CResults(Results, Protocol):
    """What functions of the model and of C return."""

    def compiled_for(self, name: str, arguments: Sequence[TypedOperand]) -> str:
        """The name in the IR of a C function compiled for arguments of this kind."""

    def most_passed(self, name: str) -> list[int]:
        """The greatest number that each parameter of a C function can hold."""


@cache
def parsed(text: str) -> tuple[ast.stmt, ...]:
    """The statements of a template; ``;`` and line ends divide them."""
    try:
        return tuple(ast.parse(text).body)
    except SyntaxError as error:
        raise PasidlabError(f"the vocabulary's '{text}' is not valid: {error.msg}") from None


@cache
def free_names(text: str) -> frozenset[str]:
    """Names a template mentions."""
    return frozenset(n.id for statement in parsed(text) for n in ast.walk(statement) if isinstance(n, ast.Name))


class _Rename(ast.NodeTransformer):
    """Replaces names: arguments by what they are bound to, the template's own locals by fresh ones."""

    def __init__(self, replacements: Mapping[str, ast.expr], fresh: Callable[[str], str]) -> None:
        self.replacements, self.fresh = replacements, fresh
        self.own: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.replacements:
            return self.replacements[node.id]
        if isinstance(node.ctx, ast.Store) and node.id not in self.own:
            self.own[node.id] = self.fresh(node.id)
        return ast.copy_location(ast.Name(self.own.get(node.id, node.id), node.ctx), node)


class Template(Statements):
    """Compiles model-language text into a C function's builder, at C positions."""

    strict = False

    def __init__(self, builder: Builder, names: Names, results: CResults, c_functions: Mapping[str, str]) -> None:
        super().__init__(builder, names, "", results)
        self.c_results = results
        self.c_functions = c_functions  # name in a template -> name in C
        self.bindings: dict[str, TypedOperand] = {}
        self.position = Position("", 0)
        self._count = 0

    def at(self, node: ast.AST) -> Position:
        """Everything a template does happens at the C place that used it."""
        return self.position

    def bind(self, value: TypedOperand) -> ast.expr:
        """A name for a C value inside a template."""
        self._count += 1
        name = f"%c{self._count}"
        self.bindings[name] = value
        return ast.Name(name)

    def fresh(self, hint: str) -> str:
        """A local no other text can name."""
        self._count += 1
        return f"{hint}%{self._count}"

    def expand(self, text: str, replacements: Mapping[str, ast.expr]) -> list[ast.stmt]:
        """A template's statements with its arguments in place."""
        rename = _Rename(replacements, self.fresh)
        return [rename.visit(_copied(statement)) for statement in parsed(text)]

    def run(self, text: str, replacements: Mapping[str, ast.expr], at: Position, atomic: bool = False) -> TypedOperand:
        """Compile a template; its value is that of its last expression."""
        before, self.position = self.position, at
        if atomic:
            self.builder.emit("atomic", "begin", at=at)
        statements = self.expand(text, replacements)
        result = NOTHING
        for n, statement in enumerate(statements):
            last = n == len(statements) - 1
            if last and isinstance(statement, ast.Expr):
                result = self._last(statement.value)
            else:
                self.statements([statement])
        if atomic:
            self.builder.emit("atomic", "end", at=at)
        self.position = before
        return result

    def do_Return(self, node: ast.Return) -> None:
        """A body may return; an entry of the vocabulary never does."""
        operand, domain = self.expression(node.value) if node.value is not None else NOTHING
        self.result = joined_domain(self.result, domain) if node.value is not None else self.result
        self.builder.emit("return", operand, at=self.position)

    def _last(self, node: ast.expr) -> TypedOperand:
        """The value of the last expression; a call of a function without a result has none."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            ours = name in self.names.namespace.functions and name not in self.c_functions
            return self.call(node, want=not ours or self.results.get(name) is not None)
        return self.expression(node)

    def expression(self, node: ast.expr) -> TypedOperand:
        """An expression of Python whose names may stand for C values."""
        if isinstance(node, ast.Name) and node.id in self.bindings:
            return self.bindings[node.id]
        return super().expression(node)

    def call(self, node: ast.Call, want: bool) -> TypedOperand:
        """A call of Python; functions of the C file come first."""
        if isinstance(node.func, ast.Name) and node.func.id in self.c_functions:
            arguments = [self.expression(a) for a in node.args]
            for (operand, _), most in zip(arguments, self.c_results.most_passed(self.c_functions[node.func.id]), strict=False):
                self.builder.fit(operand, most, self.position)
            return self.emit_call(self.c_functions[node.func.id], arguments)
        return super().call(node, want)

    def emit_call(self, name: str, arguments: list[TypedOperand]) -> TypedOperand:
        """Call a C function by its name in C."""
        target = self.c_results.compiled_for(name, arguments)
        result = self.results.get(target)
        dst = self.builder.temp(result or BOOL)
        self.builder.emit("call", dst, target, *[operand for operand, _ in arguments], at=self.position)
        return dst, result or BOOL


def _copied(node: Any) -> Any:
    """A node anew, and all below it that has fields: copy.deepcopy takes more than twice as long."""
    if isinstance(node, list):
        return [_copied(one) for one in node]
    if not isinstance(node, ast.AST) or not node._fields:
        return node
    return type(node)(**{name: _copied(value) for name, value in vars(node).items()})
