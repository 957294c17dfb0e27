"""Restricted Python -> IR: the expressions and the calls of the language's own primitives."""

from __future__ import annotations

import ast

from pasidlab.errors import PasidlabError, Position, counted
from pasidlab.lang.emit import Builder, wrapped
from pasidlab.lang.ir import CPU, VALUES, Operand
from pasidlab.lang.names import Names, nearest
from pasidlab.lang.types import ANY, BOOL, NULL, Domain, Field, Int, Ref, join, kind

Value = tuple[Operand, Domain]

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "div", ast.Mod: "mod",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr",
}  # fmt: skip
_COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Is: "eq", ast.IsNot: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "lt", ast.GtE: "le"}


class Expressions:
    """Compiles expressions into a builder; the statements inherit from it."""

    def __init__(self, builder: Builder, names: Names, file: str, results: dict[str, Domain | None]) -> None:
        self.builder, self.names, self.file, self.results = builder, names, file, results

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

    def settled(self, node: ast.expr) -> Value:
        """An expression whose value later assignments cannot change."""
        operand, domain = self.expression(node)
        return self.builder.unary("copy", (operand, domain), self.at(node)) if isinstance(operand, str) else (operand, domain)

    def expression(self, node: ast.expr) -> Value:
        """Compile an expression to a constant or a local."""
        constant = self.names.constant(node, self.file) if not isinstance(node, ast.Name) or node.id not in self.builder.locals else None
        if constant is not None:
            if (isinstance(node, ast.Constant) and node.value is None) or (isinstance(node, ast.Name) and node.id == "NULL"):
                return 0, NULL
            if constant != wrapped(constant):
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
                return self.builder.unary("not", self.expression(node.operand), self.at(node))
            case ast.UnaryOp(op=ast.Invert()):
                return self.builder.unary("inv", self.expression(node.operand), self.at(node))
            case ast.UnaryOp(op=ast.USub()):
                return self.builder.binary("sub", (0, Int(0, 0)), self.expression(node.operand), self.at(node))
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp() | ast.IfExp():
                return self._by_control(node)
            case ast.Call():
                return self.call(node, want=True)
        from pasidlab.lang.python import reject

        reject(node, self.file)

    def _name(self, node: ast.Name) -> Value:
        if node.id in ("this_cpu", "current") and "Cpu.current" not in self.names.fields:
            raise self.fail(node, f"'{node.id}' in a model without CPUs", "declare a struct Cpu with a field 'current'")
        if node.id == "this_cpu":
            return CPU, Ref("Cpu", self.names.counts["Cpu"])
        if node.id == "current":
            return self._load(self.names.fields["Cpu.current"], CPU, node)
        if node.id in self.names.singletons:
            return 1, Ref(self.names.singletons[node.id], 1)
        if node.id in self.builder.locals:
            return node.id, self.builder.locals[node.id] or ANY
        known = {*self.builder.locals, *self.names.namespace.values, "current", "this_cpu"}
        raise self.fail(node, f"unknown name '{node.id}'", nearest(node.id, [name for name in known if not name.startswith("%")]))

    def element(self, node: ast.expr) -> tuple[Operand, str]:
        """An expression that refers to an element of a struct: the reference and the struct."""
        operand, domain = self.expression(node)
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

    def _attribute(self, node: ast.Attribute) -> Value:
        element, struct = self.element(node.value)
        return self._load(self.field(node, struct), element, node)

    def _load(self, field: Field, element: Operand, node: ast.AST) -> Value:
        dst = self.builder.temp(field.domain)
        self.builder.emit("load", dst, field.path, element, at=self.at(node))
        return dst, field.domain

    def _binop(self, node: ast.BinOp) -> Value:
        op = _BINARY.get(type(node.op))
        if op is None:
            raise self.fail(node, f"operator in '{ast.unparse(node)}' is not part of the language", "use + - * // % & | ^ << >>")
        left = self.expression(node.left)
        return self.builder.binary(op, left, self.expression(node.right), self.at(node))

    def _compare(self, node: ast.Compare) -> Value:
        if len(node.ops) != 1:
            raise self.fail(node, "chained comparison", "join two comparisons with 'and'")
        op = _COMPARE.get(type(node.ops[0]))
        if op is None:
            raise self.fail(node, f"'{ast.unparse(node)}' is not part of the language", "compare with == or a for loop")
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        if isinstance(left[1], Ref) and isinstance(right[1], Ref) and join(left[1], right[1]) is None:
            raise self.fail(node, f"compares a {left[1].struct} with a {right[1].struct}")
        if isinstance(node.ops[0], ast.Gt | ast.GtE):
            left, right = right, left
        return self.builder.binary(op, left, right, self.at(node))

    def _by_control(self, node: ast.BoolOp | ast.IfExp) -> Value:
        """``and``, ``or`` and ``x if c else y``: with jumps unless the right side has no effect and cannot fault."""
        at = self.at(node)
        if isinstance(node, ast.BoolOp):
            op = "and" if isinstance(node.op, ast.And) else "or"
            value = self.truth(node.values[0])
            for item in node.values[1:]:
                value = self._logical(op, value, item, at)
            return value
        yes, no, done = (self.builder.label(hint) for hint in ("yes", "no", "join"))
        dst = self.builder.temp(BOOL)
        known = self.condition(node.test, yes, no)
        domain: Domain | None = None
        for label, side, wanted in ((yes, node.body, True), (no, node.orelse, False)):
            if known is None or known is wanted:
                self.builder.place(label, at)
                operand, one = self.expression(side)
                domain = join(domain, one)
                self.builder.emit("copy", dst, operand, at=at)
                self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        if domain is None:
            raise self.fail(node, "the two sides of the conditional have different types")
        self.builder.locals[dst] = domain
        return dst, domain

    def truth(self, node: ast.expr) -> Value:
        """An expression as 0 or 1."""
        operand, domain = self.expression(node)
        return (operand, domain) if domain == BOOL else self.builder.binary("ne", (operand, domain), (0, domain), self.at(node))

    def _logical(self, op: str, left: Value, node: ast.expr, at: Position) -> Value:
        if isinstance(left[0], int):
            return self.truth(node) if bool(left[0]) == (op == "and") else left
        mark = len(self.builder.code)
        dst = self.builder.temp(BOOL)
        more, done = self.builder.label("more"), self.builder.label("join")
        head = len(self.builder.code)
        right = self.truth(node)
        tail = self.builder.code[head:]
        if isinstance(right[0], int):
            del self.builder.code[mark:]
            return left if bool(right[0]) == (op == "and") else (right[0], BOOL)
        if all(instr.op in VALUES for instr in tail):
            return self.builder.binary(op, left, right, at)
        del self.builder.code[mark:]
        self.builder.emit("copy", dst, left[0], at=at)
        self.builder.branch(left[0], *((more, done) if op == "and" else (done, more)), at=at)
        self.builder.place(more, at)
        self.builder.code.extend(tail)
        self.builder.emit("copy", dst, right[0], at=at)
        self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        return dst, BOOL

    def condition(self, node: ast.expr, yes: str, no: str) -> bool | None:
        """Branch on an expression; answers True or False when it is a constant."""
        at = self.at(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            known = self.condition(node.operand, no, yes)
            return None if known is None else not known
        operand, _ = self.expression(node)
        self.builder.branch(operand, yes, no, at)
        return bool(operand) if isinstance(operand, int) else None

    def bounds_of(self, node: ast.expr) -> tuple[Operand, Operand, Domain]:
        """First and last value of what a for loop iterates over, and their domain."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "each" and len(node.args) == 1 and isinstance(node.args[0], ast.Name):
                count = self.struct_count(node.args[0])
                return 1, count, Ref(node.args[0].id, count)
            if node.func.id == "range" and 1 <= len(node.args) <= 2:
                low: Value = self.expression(node.args[0]) if len(node.args) == 2 else (0, Int(0, 0))
                high = self.expression(node.args[-1])
                last, last_domain = self.builder.binary("sub", high, (1, Int(1, 1)), self.at(node))
                domain = join(low[1], last_domain)
                if not isinstance(domain, Int) or domain == ANY:
                    raise self.fail(node, "the bounds of this loop are not known", "loop over a range of constants")
                return low[0], last, domain
        raise self.fail(node, f"cannot loop over '{ast.unparse(node)}'", "use range(low, high) or each(Struct)")

    def struct_count(self, node: ast.expr) -> int:
        """How many elements the struct named has."""
        name = node.id if isinstance(node, ast.Name) else ast.unparse(node)
        if name not in self.names.counts:
            raise self.fail(node, f"'{name}' is not a struct", nearest(name, self.names.counts))
        return self.names.counts[name]

    def call(self, node: ast.Call, want: bool) -> Value:
        """A call of a primitive or of a function of the model."""
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise self.fail(node, f"cannot call '{ast.unparse(node.func)}' this way", "call a function by name with positional arguments")
        from pasidlab.lang.primitives import PRIMITIVES

        name = node.func.id
        if name in self.names.namespace.functions:
            return self._call_function(node, name, want)
        if name in PRIMITIVES:
            compile_call, fewest, most = PRIMITIVES[name]
            if not fewest <= len(node.args) <= most:
                raise self.fail(
                    node, f"{name} takes {fewest if fewest == most else f'{fewest} to {most}'} arguments, {len(node.args)} given"
                )
            return compile_call(self, node)
        known = [*self.names.namespace.functions, *PRIMITIVES]
        raise self.fail(node, f"unknown function '{name}'", nearest(name, known))

    def _call_function(self, node: ast.Call, name: str, want: bool) -> Value:
        parameters = self.names.namespace.functions[name].node.args.args
        if len(parameters) != len(node.args):
            what = f"{name} takes {counted(len(parameters), 'argument')}, {len(node.args)} given"
            raise self._misfit(node, name, what)
        arguments = [self.expression(argument) for argument in node.args]
        for parameter, (_, domain) in zip(parameters, arguments, strict=True):
            wanted = self.names.annotation(parameter.annotation, self.file) if parameter.annotation else ANY
            if isinstance(wanted, Ref) != isinstance(domain, Ref) or (isinstance(wanted, Ref) and join(wanted, domain) is None):
                raise self.fail(node, f"{name}: parameter '{parameter.arg}' is {kind(wanted)}, {kind(domain)} given")
        result = self.results.get(name)
        if want and result is None:
            raise self._misfit(node, name, f"{name} returns nothing", "give it a return type, or do not use its value")
        dst = self.builder.temp(result or BOOL)
        self.builder.emit("call", dst, name, *[operand for operand, _ in arguments], at=self.at(node))
        return dst, result or BOOL
