"""Restricted Python -> IR: the expressions and the calls of the language's own primitives."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Protocol

from pasidlab.errors import PasidlabError, Position, UnknownName, counted
from pasidlab.lang.emit import Builder, bounds, wrapped_to_64
from pasidlab.lang.ir import CPU, Operand
from pasidlab.lang.names import Names, nearest
from pasidlab.lang.python.refusals import reject
from pasidlab.lang.types import ANY, BOOL, NULL, Domain, Field, Int, Ref, joined_domain, kind

TypedOperand = tuple[Operand, Domain]
Primitive = tuple[Callable[["Expressions", ast.Call], TypedOperand], int, int]
"""A function of the language: what compiles a call of it, the fewest arguments it takes, and the most."""


class Results(Protocol):
    """What functions return."""

    def get(self, name: str, default: Domain | None = None) -> Domain | None:
        """The domain of a function's result; None where the function returns nothing."""


_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "div", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr",
}  # fmt: skip
_COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Is: "eq", ast.IsNot: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "lt", ast.GtE: "le"}


class Expressions:
    """Compiles expressions into a builder; the statements inherit from it."""

    strict = True  # values are Python's: an element is no number
    mine: frozenset[str] = frozenset()  # names that are locals throughout the function, as in Python

    def __init__(self, builder: Builder, names: Names, file: str, results: Results, primitives: Mapping[str, Primitive]) -> None:
        self.builder, self.names, self.file, self.results, self.primitives = builder, names, file, results, primitives

    def is_local(self, name: str) -> bool:
        """Whether a name is a local here, whatever the model calls by that name."""
        return name in self.mine or name in self.builder.locals

    def at(self, node: ast.AST) -> Position:
        """The source position of a node."""
        return Position(self.file, getattr(node, "lineno", 0), getattr(node, "col_offset", 0) + 1)

    def fail(self, node: ast.AST, what: str, hint: str = "") -> PasidlabError:
        """An error at a node."""
        return PasidlabError(what, position=self.at(node), hint=hint)

    def _misfit(self, node: ast.Call, name: str, what: str, hint: str = "") -> PasidlabError:
        """A call and a function that do not fit: at the call, or at the function if it stands in a later file and has replaced another."""
        called, files = self.names.namespace.functions[name], list(self.names.namespace.files)
        if called.file in files and files.index(called.file) > files.index(self.file):
            return PasidlabError(f"{what} where {self.at(node)} calls it", position=called.position, hint=hint)
        return self.fail(node, what, hint)

    def settled(self, node: ast.expr) -> TypedOperand:
        """An expression whose value later assignments cannot change."""
        operand, domain = self.expression(node)
        return self.builder.unary("copy", (operand, domain), self.at(node)) if isinstance(operand, str) else (operand, domain)

    def expression(self, node: ast.expr) -> TypedOperand:
        """Compile an expression to a constant or a local."""
        constant = self.names.constant(node, self.file, self.is_local)
        if constant is not None:
            if (isinstance(node, ast.Constant) and node.value is None) or (isinstance(node, ast.Name) and node.id == "NULL"):
                return 0, NULL
            if constant != wrapped_to_64(constant):
                raise self.fail(node, "this number needs more than 64 bits")
            return constant, BOOL if isinstance(node, ast.Constant) and isinstance(node.value, bool) else Int(constant, constant)
        match node:
            case ast.Name():
                return self._name(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.BinOp():
                return self._binop(node)
            case ast.UnaryOp(op=ast.Not()):
                return self.builder.unary("not", self.asked(node.operand), self.at(node))
            case ast.UnaryOp(op=ast.Invert()):
                return self.builder.unary("inv", self.number(node.operand), self.at(node))
            case ast.UnaryOp(op=ast.USub()):
                return self.builder.binary("sub", (0, Int(0, 0)), self.number(node.operand), self.at(node))
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp():
                return self._either(node, self.expression)
            case ast.IfExp():
                return self._conditional(node)
            case ast.Call():
                return self.call(node, want=True)
        reject(node, self.file)

    def _name(self, node: ast.Name) -> TypedOperand:
        if node.id in self.builder.locals:
            return node.id, self.builder.locals[node.id] or ANY
        if node.id in self.mine:
            raise self.fail(node, f"'{node.id}' is read before it is assigned", "assign it further up; it is a local of this function")
        if node.id in ("this_cpu", "current") and "Cpu.current" not in self.names.fields:
            raise self.fail(node, f"'{node.id}' in a model without CPUs", "declare a struct Cpu with a field 'current'")
        if node.id == "this_cpu":
            return self.builder.unary("copy", (CPU, Ref("Cpu", self.names.counts["Cpu"])), self.at(node))
        if node.id == "current":
            return self._load(self.names.fields["Cpu.current"], CPU, node)
        if node.id in self.names.singletons:
            return 1, Ref(self.names.singletons[node.id], 1)
        known = {*self.builder.locals, *self.names.namespace.values, "current", "this_cpu"}
        hint = nearest(node.id, [name for name in known if not name.startswith("%")])
        raise UnknownName(f"unknown name '{node.id}'", position=self.at(node), hint=hint)

    def element(self, node: ast.expr) -> tuple[Operand, str]:
        """An expression that refers to an element of a struct: the reference and the struct."""
        operand, domain = self.expression(node)
        if isinstance(node, ast.Name) and node.id == "this_cpu" and not self.is_local(node.id):
            self.builder.code.pop()
            operand = CPU  # one access, relative to the CPU that makes it
        if not isinstance(domain, Ref) or domain == NULL:
            raise self.fail(node, f"'{ast.unparse(node)}' is not an element of a struct", "only struct elements have fields")
        return operand, domain.struct

    def field(self, node: ast.Attribute, struct: str) -> Field:
        """The field an attribute names."""
        field = self.names.fields.get(f"{struct}.{node.attr}")
        if field is None:
            mine = [f.name for f in self.names.fields.values() if f.struct == struct]
            raise self.fail(node, f"{struct} has no field '{node.attr}'", nearest(node.attr, mine))
        return field

    def _attribute(self, node: ast.Attribute) -> TypedOperand:
        element, struct = self.element(node.value)
        return self._load(self.field(node, struct), element, node)

    def _load(self, field: Field, element: Operand, node: ast.AST) -> TypedOperand:
        dst = self.builder.temp(field.domain)
        self.builder.emit("load", dst, field.path, element, at=self.at(node))
        return dst, field.domain

    def _binop(self, node: ast.BinOp) -> TypedOperand:
        op, left = self.operator(node.op, node), self.number(node.left)
        return self.arithmetic(op, left, self.number(node.right), self.at(node))

    def operator(self, op: ast.operator, node: ast.AST) -> str:
        """The IR's operation for an operator of Python's; PasidlabError if there is none."""
        if type(op) not in _BINARY:
            raise self.fail(node, f"operator in '{ast.unparse(node)}' is not part of the language", "use + - * // % & | ^ << >>")
        return _BINARY[type(op)]

    def number(self, node: ast.expr) -> TypedOperand:
        """An expression that arithmetic can be done with."""
        return self._number(node, self.expression(node))

    def _number(self, node: ast.expr, value: TypedOperand) -> TypedOperand:
        if self.strict and isinstance(value[1], Ref):
            what = f"'{ast.unparse(node)}' is {kind(value[1])}, not a number"
            raise self.fail(node, what, "index(element) is the number of an element")
        return value

    def arithmetic(self, op: str, left: TypedOperand, right: TypedOperand, at: Position) -> TypedOperand:
        """A binary operation as Python defines it: // and % round down, where the IR's ``div`` and ``mod`` round towards zero."""
        plain = bounds(left[1])[0] >= 0 and self._is_loaded(left[0]) and isinstance(right[0], int) and right[0] > 0
        if plain or op not in ("div", "mod"):
            return self.builder.binary(op, left, right, at)
        binary = self.builder.binary
        rest = binary("mod", left, right, at)
        apart = binary("lt", binary("xor", rest, right, at), (0, Int(0, 0)), at)
        low = binary("mul", apart, binary("ne", rest, (0, Int(0, 0)), at), at)  # 1 where rounding towards zero is rounding up
        if op == "mod":
            operand, domain = binary("add", rest, binary("mul", low, right, at), at)
        else:
            operand, domain = binary("sub", binary("div", left, right, at), low, at)
        floor = _floored(op, left[1], right[1])
        if isinstance(operand, str) and floor is not None:
            self.builder.locals[operand] = domain = floor
        return operand, domain

    def _is_loaded(self, operand: Operand) -> bool:
        """Whether a value comes straight from a field: then it is one of the field's domain."""
        return bool(self.builder.code) and self.builder.code[-1].op == "load" and self.builder.code[-1].dst == operand

    def _compare(self, node: ast.Compare) -> TypedOperand:
        if len(node.ops) != 1:
            raise self.fail(node, "chained comparison", "join two comparisons with 'and'")
        op = _COMPARE.get(type(node.ops[0]))
        if op is None:
            raise self.fail(node, f"'{ast.unparse(node)}' is not part of the language", "compare with == or a for loop")
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        if isinstance(left[1], Ref) and isinstance(right[1], Ref) and joined_domain(left[1], right[1]) is None:
            raise self.fail(node, f"compares a {left[1].struct} with a {right[1].struct}")
        if self.strict and isinstance(left[1], Ref) != isinstance(right[1], Ref):
            raise self.fail(node, f"compares {kind(left[1])} with {kind(right[1])}", "compare an element with an element or None")
        if self.strict and isinstance(node.ops[0], ast.Is | ast.IsNot) and not isinstance(left[1], Ref):
            raise self.fail(node, f"'{ast.unparse(node)}' asks whether two numbers are one object", "compare numbers with == or !=")
        if isinstance(node.ops[0], ast.Gt | ast.GtE):
            left, right = right, left
        return self.builder.binary(op, left, right, self.at(node))

    def _conditional(self, node: ast.IfExp) -> TypedOperand:
        at = self.at(node)
        yes, no, done = (self.builder.label(hint) for hint in ("yes", "no", "join"))
        dst = self.builder.temp(BOOL)
        known = self.condition(node.test, yes, no)
        domain: Domain | None = None
        for label, side, wanted in ((yes, node.body, True), (no, node.orelse, False)):
            if known is None or known is wanted:
                self.builder.place(label, at)
                operand, one = self.expression(side)
                domain = joined_domain(domain, one)
                self.builder.emit("copy", dst, operand, at=at)
                self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        if domain is None:
            raise self.fail(node, "the two sides of the conditional have different types")
        self.builder.locals[dst] = domain
        return dst, domain

    def asked(self, node: ast.expr) -> TypedOperand:
        """An expression of which only matters whether it is true: neither 0 nor False nor None."""
        return self._either(node, self.asked) if isinstance(node, ast.BoolOp) else self.expression(node)

    def _either(self, node: ast.BoolOp, side: Callable[[ast.expr], TypedOperand]) -> TypedOperand:
        """``and`` and ``or``: the value of the last operand that ``side`` has to look at."""
        wanted = isinstance(node.op, ast.And)  # so must an operand be for the next one to be looked at
        value = side(node.values[0])
        for item in node.values[1:]:
            if not isinstance(value[0], int):
                value = self._next(wanted, value, item, side)
            elif bool(value[0]) == wanted:
                value = side(item)
        return value

    def _next(self, wanted: bool, left: TypedOperand, node: ast.expr, side: Callable[[ast.expr], TypedOperand]) -> TypedOperand:
        at, mark = self.at(node), len(self.builder.code)
        dst = self.builder.temp(BOOL)
        more, done = self.builder.label("more"), self.builder.label("join")
        self.builder.emit("copy", dst, left[0], at=at)
        self.builder.branch(left[0], *((more, done) if wanted else (done, more)), at=at)
        self.builder.place(more, at)
        head = len(self.builder.code)
        right = side(node)
        if isinstance(right[0], int) and len(self.builder.code) == head and (side == self.asked or not right[0]):
            del self.builder.code[mark:]  # left and True, left or False; left and False, left or True
            return left if bool(right[0]) == wanted else right
        domain = joined_domain(left[1], right[1])
        if domain is None and side == self.expression:
            raise self.fail(node, f"the two sides of '{'and' if wanted else 'or'}' have different types", "compare: x is not None, n != 0")
        self.builder.locals[dst] = domain or ANY
        self.builder.emit("copy", dst, right[0], at=at)
        self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        return dst, domain or ANY

    def condition(self, node: ast.expr, yes: str, no: str) -> bool | None:
        """Branch on an expression; answers True or False when it is a constant."""
        at = self.at(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            known = self.condition(node.operand, no, yes)
            return None if known is None else not known
        operand, _ = self.asked(node)
        self.builder.branch(operand, yes, no, at)
        return bool(operand) if isinstance(operand, int) else None

    def bounds_of(self, node: ast.expr) -> tuple[Operand, Operand, Domain]:
        """First and last value of what a for loop iterates over, and their domain."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "each" and len(node.args) == 1 and isinstance(node.args[0], ast.Name):
                count = self.struct_count(node.args[0])
                return 1, count, Ref(node.args[0].id, count)
            if node.func.id == "range" and 1 <= len(node.args) <= 2:
                low: TypedOperand = self.expression(node.args[0]) if len(node.args) == 2 else (0, Int(0, 0))
                high = self.expression(node.args[-1])
                last, last_domain = self.builder.binary("sub", high, (1, Int(1, 1)), self.at(node))
                domain = joined_domain(low[1], last_domain)
                if not isinstance(domain, Int) or domain == ANY:
                    raise self.fail(node, "the bounds of this loop are not known", "loop over a range of constants")
                return low[0], last, domain
        raise self.fail(node, f"cannot loop over '{ast.unparse(node)}'", "use range(low, high) or each(Struct)")

    def struct_count(self, node: ast.expr) -> int:
        """How many elements the struct named has."""
        name = node.id if isinstance(node, ast.Name) else ast.unparse(node)
        if name not in self.names.counts or self.is_local(name):
            raise self.fail(node, f"'{name}' is not a struct", nearest(name, self.names.counts))
        return self.names.counts[name]

    def call(self, node: ast.Call, want: bool) -> TypedOperand:
        """A call of a primitive or of a function of the model."""
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise self.fail(node, f"cannot call '{ast.unparse(node.func)}' this way", "call a function by name with positional arguments")
        name = node.func.id
        if self.is_local(name):
            raise self.fail(node, f"'{name}' is a local here, not a function", "give the local another name")
        if name in self.names.namespace.functions:
            return self._call_function(node, name, want)
        if name in self.primitives:
            compile_call, fewest, most = self.primitives[name]
            if not fewest <= len(node.args) <= most:
                raise self.fail(
                    node, f"{name} takes {fewest if fewest == most else f'{fewest} to {most}'} arguments, {len(node.args)} given"
                )
            return compile_call(self, node)
        known = [*self.names.namespace.functions, *self.primitives]
        raise self.fail(node, f"unknown function '{name}'", nearest(name, known))

    def _call_function(self, node: ast.Call, name: str, want: bool) -> TypedOperand:
        parameters = self.names.namespace.functions[name].node.args.args
        if len(parameters) != len(node.args):
            what = f"{name} takes {counted(len(parameters), 'argument')}, {len(node.args)} given"
            raise self._misfit(node, name, what)
        arguments = [self.expression(argument) for argument in node.args]
        for parameter, (_, domain) in zip(parameters, arguments, strict=True):
            wanted = self.names.annotation(parameter.annotation, self.file) if parameter.annotation else ANY
            if isinstance(wanted, Ref) != isinstance(domain, Ref) or (isinstance(wanted, Ref) and joined_domain(wanted, domain) is None):
                raise self.fail(node, f"{name}: parameter '{parameter.arg}' is {kind(wanted)}, {kind(domain)} given")
        result = self.results.get(name)
        if want and result is None:
            raise self._misfit(node, name, f"{name} returns nothing", "give it a return type, or do not use its value")
        dst = self.builder.temp(result or BOOL)
        self.builder.emit("call", dst, name, *[operand for operand, _ in arguments], at=self.at(node))
        return dst, result or BOOL


def _floored(op: str, left: Domain, right: Domain) -> Domain | None:
    """The domain of a quotient or remainder rounded down, where the operands' say something."""
    (low, high), (least, most) = bounds(left), bounds(right)
    if least > 0 and op == "mod":
        return Int(0, most - 1)
    if least > 0 and min(low, -high) > ANY.low:
        return Int(min(low, 0), max(high, 0))
    return None
