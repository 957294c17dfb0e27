"""Restricted Python -> IR: the statements. Expressions are in ``expressions``."""

from __future__ import annotations

import ast

from pasidlab.errors import Position
from pasidlab.lang.emit import Builder
from pasidlab.lang.ir import CPU, Function, Operand
from pasidlab.lang.names import Names
from pasidlab.lang.python.expressions import Expressions, Results, TypedOperand
from pasidlab.lang.python.primitives import PRIMITIVES
from pasidlab.lang.python.refusals import INSTEAD, reject
from pasidlab.lang.python.unbound import bound
from pasidlab.lang.source import SourceFunction
from pasidlab.lang.types import ANY, BOOL, Domain, Field, Ref, joined_domain, kind


class Statements(Expressions):
    """Compiles statements into a builder."""

    declared: Domain | None = None  # what the function says it returns

    def __init__(self, builder: Builder, names: Names, file: str, results: Results) -> None:
        super().__init__(builder, names, file, results, PRIMITIVES)
        self.loops: list[tuple[str, str]] = []
        self.result: Domain | None = None

    def statements(self, body: list[ast.stmt]) -> None:
        """Compile a block."""
        for node in body:
            handler = getattr(self, f"do_{type(node).__name__}", None)
            if handler is None:
                reject(node, self.file)
            handler(node)

    def do_Pass(self, node: ast.Pass) -> None:
        pass

    def do_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) and (isinstance(node.value.value, str) or node.value.value is ...):
            return
        if not isinstance(node.value, ast.Call):
            reject(node, self.file, f"'{ast.unparse(node)}' does nothing", "call a function or assign")
        self.call(node.value, want=False)

    def do_Assign(self, node: ast.Assign) -> None:
        if len(node.targets) != 1:
            reject(node, self.file, "chained assignment", "one assignment per line")
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Tuple):
            if not isinstance(value, ast.Tuple) or len(value.elts) != len(target.elts):
                reject(node, self.file, "both sides need the same number of items")
            values = [self.settled(item) for item in value.elts]
            for item, (operand, domain) in zip(target.elts, values, strict=True):
                self._store(item, operand, domain)
        elif isinstance(value, ast.Name) and value.id == "FORGOTTEN":
            self._forget(target)
        else:
            self._store(target, *self.expression(value))

    def _forget(self, target: ast.expr) -> None:
        if not isinstance(target, ast.Attribute):
            reject(target, self.file, "only a field can be forgotten", "write x.field = FORGOTTEN")
        element, struct = self.element(target.value)
        self.builder.emit("lose", self.field(target, struct).path, element, at=self.at(target))

    def do_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is None or not isinstance(node.target, ast.Name):
            reject(node, self.file, "an annotated local needs a value")
        operand, domain = self.expression(node.value)
        declared = self.names.annotation(node.annotation, self.file)
        if declared == BOOL:
            declared = joined_domain(domain, BOOL) or BOOL  # as for a result
        self._store(node.target, operand, domain if declared == ANY else declared)

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        """The element on the left is looked up once, then read, then written."""
        op, at = self.operator(node.op, node), self.at(node)
        if isinstance(node.target, ast.Attribute):
            element, struct = self.element(node.target.value)
            if element == CPU:  # the CPU of this moment; the task may move before the store
                element, _ = self.expression(node.target.value)
            field = self.field(node.target, struct)
            left = self._number(node.target, self._load(field, element, node.target))
            value, domain = self.arithmetic(op, left, self.number(node.value), at)
            self._store_field(node.target, field, element, (value, domain))
            return
        if not isinstance(node.target, ast.Name):
            self._store(node.target, 0, BOOL)  # says what cannot be assigned
            return
        left = self.number(ast.copy_location(ast.Name(node.target.id), node))
        value, domain = self.arithmetic(op, left, self.number(node.value), at)
        self._store(node.target, value, self.builder.locals.get(node.target.id) or domain)

    def _store(self, target: ast.expr, value: Operand, domain: Domain) -> None:
        at = self.at(target)
        if isinstance(target, ast.Name):
            self.builder.assign(target.id, value, domain, at)
            return
        if isinstance(target, ast.Attribute):
            element, struct = self.element(target.value)
            self._store_field(target, self.field(target, struct), element, (value, domain))
            return
        reject(
            target,
            self.file,
            f"cannot assign to '{ast.unparse(target)}'",
            INSTEAD.get(type(target).__name__, "assign to a name or a struct field"),
        )

    def _store_field(self, target: ast.Attribute, field: Field, element: Operand, value: TypedOperand) -> None:
        if not _fits(field.domain, value[1], value[0]):
            reject(target, self.file, f"{field.path} holds {kind(field.domain)}, not {kind(value[1])}")
        self.builder.emit("store", field.path, element, value[0], at=self.at(target))

    def do_If(self, node: ast.If) -> None:
        at = self.at(node)
        yes, no, done = (self.builder.label(hint) for hint in ("then", "else", "fi"))
        known = self.condition(node.test, yes, no)
        if known is not False:
            self.builder.place(yes, at)
            self.statements(node.body)
            self.builder.emit("jump", done, at=at)
        if known is not True:
            self.builder.place(no, at)
            self.statements(node.orelse)
        if known is None or known:
            self.builder.place(done, at)

    def do_While(self, node: ast.While) -> None:
        at = self.at(node)
        if node.orelse:
            reject(node, self.file, "a while loop has no else", "put it after the loop")
        top, body, done = (self.builder.label(hint) for hint in ("while", "do", "done"))
        self.builder.place(top, at)
        self.condition(node.test, body, done)
        self.builder.place(body, at)
        self.loops.append((top, done))
        self.statements(node.body)
        self.loops.pop()
        self.builder.emit("jump", top, at=at)
        self.builder.place(done, at)

    def do_For(self, node: ast.For) -> None:
        at = self.at(node)
        if not isinstance(node.target, ast.Name) or node.orelse:
            reject(node, self.file, "a for loop has one name and no else")
        low, high, domain = self.bounds_of(node.iter)
        counter = self.builder.temp(domain)  # hidden: what the body does to the name changes no round
        top, body, step, done = (self.builder.label(hint) for hint in ("for", "do", "next", "done"))
        limit = self.builder.temp(domain) if isinstance(high, str) else high
        if isinstance(high, str) and isinstance(limit, str):
            self.builder.emit("copy", limit, high, at=at)
        self.builder.emit("copy", counter, low, at=at)
        self.builder.place(top, at)
        more, _ = self.builder.binary("le", (counter, domain), (limit, domain), at)
        self.builder.branch(more, body, done, at)
        self.builder.place(body, at)
        self.builder.assign(node.target.id, counter, domain, at)
        self.loops.append((step, done))
        self.statements(node.body)
        self.loops.pop()
        self.builder.place(step, at)
        last, _ = self.builder.binary("eq", (counter, domain), (limit, domain), at)  # no value beyond the range is ever held
        again = self.builder.label("again")
        self.builder.branch(last, done, again, at)
        self.builder.place(again, at)
        self.builder.emit("add", counter, counter, 1, at=at)
        self.builder.emit("jump", body, at=at)
        self.builder.place(done, at)

    def do_Break(self, node: ast.Break) -> None:
        self.builder.emit("jump", self._loop(node)[1], at=self.at(node))

    def do_Continue(self, node: ast.Continue) -> None:
        self.builder.emit("jump", self._loop(node)[0], at=self.at(node))

    def _loop(self, node: ast.Break | ast.Continue) -> tuple[str, str]:
        if not self.loops:
            reject(node, self.file, f"'{ast.unparse(node)}' outside a loop", "return, or put it into a for or while")
        return self.loops[-1]

    def do_Return(self, node: ast.Return) -> None:
        at = self.at(node)
        if node.value is None:
            self.builder.emit("return", 0, at=at)
            return
        if self.declared is None:
            what = f"{self.builder.function} returns a value but declares none"
            reject(node, self.file, what, "write '-> bool' or '-> int' at its definition")
        operand, domain = self.expression(node.value)
        if not _fits(self.declared, domain, operand):
            reject(node, self.file, f"{self.builder.function} declares {kind(self.declared)} but returns {kind(domain)}")
        self.result = joined_domain(self.result, domain)
        self.builder.emit("return", operand, at=at)

    def do_Assert(self, node: ast.Assert) -> None:
        reject(node, self.file, "assert names no property", "write check('sound_kernel', condition, 'sentence')")


class FunctionCompiler(Statements):
    """Compiles one function body."""

    def __init__(self, source: SourceFunction, names: Names, results: Results) -> None:
        super().__init__(Builder(source.name), names, source.file, results)
        self.source = source
        self.mine = _locals(source.node)
        self.declared = self._declared_result()

    def _declared_result(self) -> Domain | None:
        returns = self.source.node.returns
        if returns is None or (isinstance(returns, ast.Constant) and returns.value is None):
            return None
        return None if ast.unparse(returns) == "NoReturn" else self.names.annotation(returns, self.file)

    def compile(self) -> Function:
        """The function as IR."""
        node = self.source.node
        arguments = node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs or arguments.posonlyargs or arguments.defaults:
            reject(node, self.file, f"{node.name}: only plain parameters without defaults", "pass every argument")
        for argument in arguments.args:
            if argument.annotation is None:
                reject(argument, self.file, f"parameter '{argument.arg}' has no type", "annotate it: bool, int, a struct ...")
            self.builder.locals[argument.arg] = self.names.annotation(argument.annotation, self.file)
        try:
            self.statements(node.body)
        except RecursionError:
            reject(node, self.file, f"{node.name}: an expression is nested too deeply", "split it over several assignments")
        end = Position(self.file, node.end_lineno or node.lineno)
        self.builder.emit("return", 0, at=end)
        code = bound(self.builder, [argument.arg for argument in arguments.args])
        decorators = {ast.unparse(d).split("(")[0] for d in node.decorator_list}
        domain = self.result if self.declared == ANY else self.declared
        if domain == BOOL:
            domain = joined_domain(self.result, BOOL) or BOOL  # "-> bool" makes no 1 of another number
        params = tuple(argument.arg for argument in arguments.args)
        return Function(node.name, params, self.builder.locals, domain, tuple(code), self.source.position, "instruction" in decorators)


def _fits(wanted: Domain, given: Domain, value: Operand) -> bool:
    """Whether a value is of the kind wanted: a number, or a reference to the same struct. NULL is also the number 0."""
    if isinstance(wanted, Ref) and isinstance(given, Ref):
        return joined_domain(wanted, given) is not None
    return isinstance(wanted, Ref) == isinstance(given, Ref) or value == 0


def _locals(node: ast.FunctionDef) -> frozenset[str]:
    """Names that are local to a function, as in Python: its parameters and whatever it assigns anywhere."""
    assigned = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return frozenset(assigned | {argument.arg for argument in node.args.args})
