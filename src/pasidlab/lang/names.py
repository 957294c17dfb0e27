"""Resolves constants, annotations and struct fields of a namespace to numbers and domains."""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable
from typing import TypeVar

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.scope import Bounds
from pasidlab.lang.source import Namespace, SourceStruct, python_tree
from pasidlab.lang.types import ANY, BOOL, Domain, Field, Int, Mask, Ref

T = TypeVar("T")
IsHidden = Callable[[str], bool]


def _nothing(name: str) -> bool:
    return False


_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.BitOr: operator.or_, ast.BitAnd: operator.and_, ast.BitXor: operator.xor, ast.FloorDiv: operator.floordiv,
}  # fmt: skip


MOST_NAMES = 40
"""Names that one hint lists."""
LIMITS = "Events"
"""The struct that holds how often each limited event may still happen."""

KERNEL = "pasidlab.kernel"
"""The module from which a design imports what the model around it declares."""
AMBIENT = ("current", "this_cpu")
"""Names every context has: the task and the CPU that execute."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the closest known name, or listing them, MOST_NAMES at most."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names[:MOST_NAMES])}{more}"


def _at(node: ast.AST, file: str) -> Position:
    return Position(file, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)


class Names:
    """Names of one namespace under given bounds."""

    def __init__(self, namespace: Namespace, bounds: Bounds) -> None:
        self.namespace, self.bounds = namespace, bounds
        self._constants: dict[str, int] = {}
        self._active: list[str] = []
        self.counts: dict[str, int] = {}
        self.fields: dict[str, Field] = {}
        self.singletons: dict[str, str] = {}
        for name, (value, where) in namespace.values.items():
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "singleton":
                struct_name = value.args[0].id if value.args and isinstance(value.args[0], ast.Name) else ""
                if struct_name not in namespace.structs:
                    at = _at(value, where)
                    raise PasidlabError("singleton needs the name of a struct", position=at, hint=nearest(struct_name, namespace.structs))
                self.singletons[name] = struct_name
        for struct in namespace.structs.values():
            count = self.constant(struct.count, struct.file)
            if count is None or count < 1:
                raise PasidlabError(f"struct {struct.name} needs a count of at least 1", position=_at(struct.node, struct.file))
            self.counts[struct.name] = count
        for struct in namespace.structs.values():
            for inherited in struct.node.bases:
                if isinstance(inherited, ast.Name) and inherited.id in namespace.bases:
                    self._add_fields(namespace.bases[inherited.id], struct.name)
            self._add_fields(struct, struct.name)
        self.limits = {event: Field(LIMITS, event, Int(0, most), 1, most) for event, most in bounds.limits.items()}
        """How often each limited event may still happen: part of the state."""
        self.fields |= {left.path: left for left in self.limits.values()}

    def _add_fields(self, struct: SourceStruct, name: str) -> None:
        for item in struct.node.body:
            if not isinstance(item, ast.AnnAssign):
                continue
            if not isinstance(item.target, ast.Name):
                raise PasidlabError(f"a field of {name} is a name with a type", position=_at(item, struct.file))
            domain = self.annotation(item.annotation, struct.file)
            default = self.constant(item.value, struct.file) if item.value is not None else 0
            if domain == ANY or default is None or not domain.contains(default):
                raise PasidlabError(
                    f"field {name}.{item.target.id} needs a finite domain that holds its default",
                    position=Position(struct.file, item.lineno, item.col_offset + 1),
                    hint="bool, a struct, a struct | None, Annotated[int, Range(low, high)] or Annotated[int, Bits(mask)]",
                )
            field = Field(name, item.target.id, domain, self.counts[name], default)
            self.fields[field.path] = field

    def event(self, name: str, position: Position) -> bool:
        """Whether an event happens in the scope; PasidlabError if there is no such event."""
        known = self.bounds.known
        if known is not None and name not in known:
            raise PasidlabError(f"unknown event '{name}'", position=position, hint=nearest(name, known))
        return name in self.bounds.events

    def constant(self, node: ast.expr, file: str, hidden: IsHidden = _nothing) -> int | None:
        """The number an expression of constants stands for, or None if it is not one; ``hidden`` names are locals, no constants."""
        if isinstance(node, ast.Constant):
            if node.value is None:
                return 0
            return self._narrow(int(node.value), node, file) if isinstance(node.value, int) else None
        if isinstance(node, ast.Name):
            if hidden(node.id):
                return None
            return 0 if node.id == "NULL" else self.named(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return None if hidden(node.value.id) else self.named(f"{node.value.id}.{node.attr}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
            inner = self.constant(node.operand, file, hidden)
            if inner is None:
                return None
            return -inner if isinstance(node.op, ast.USub) else ~inner
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            left, right = self.constant(node.left, file, hidden), self.constant(node.right, file, hidden)
            if left is None or right is None:
                return None
            if isinstance(node.op, ast.FloorDiv) and right == 0:
                raise PasidlabError("division by zero", position=_at(node, file))
            if isinstance(node.op, ast.LShift | ast.RShift) and not 0 <= right < 64:
                raise PasidlabError(f"shift by {right}", position=_at(node, file), hint="shift by 0 .. 63 bits")
            return self._narrow(int(_BINARY[type(node.op)](left, right)), node, file)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "size":
            return self._size(node, file)
        return None

    @staticmethod
    def _narrow(number: int, node: ast.expr, file: str) -> int:
        """The number, if it fits into 64 bits, with a sign or without. Numbers of Python have no end: each square doubles them."""
        if not -(1 << 63) <= number < 1 << 64:
            hint = "numbers have 64 bits; of what is computed from constants, so does every part"
            raise PasidlabError("this number needs more than 64 bits", position=_at(node, file), hint=hint)
        return number

    def _size(self, node: ast.Call, file: str) -> int:
        name = str(node.args[0].value) if node.args and isinstance(node.args[0], ast.Constant) else ""
        if name not in self.bounds.sizes:
            raise PasidlabError(f"unknown size '{name}'", position=_at(node, file), hint=nearest(name, self.bounds.sizes))
        return self.bounds.sizes[name]

    def named(self, name: str) -> int | None:
        """The value of a constant by name, or None."""
        if name not in self._constants and name in self.namespace.values:
            value = self._once(name, self.constant)
            if value is not None:
                self._constants[name] = value
        return self._constants.get(name)

    def _once(self, name: str, resolve: Callable[[ast.expr, str], T]) -> T:
        """What a name's value stands for; a value that needs itself is an error."""
        node, file = self.namespace.values[name]
        if name in self._active:
            raise PasidlabError(f"'{name}' is defined by itself", position=_at(node, file))
        self._active.append(name)
        try:
            return resolve(node, file)
        except RecursionError:
            raise PasidlabError(f"'{name}' is nested too deeply", position=_at(node, file)) from None
        finally:
            self._active.pop()

    def annotation(self, node: ast.expr, file: str) -> Domain:
        """The domain an annotation stands for; plain ``int`` is unbounded."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                expression = python_tree(node.value, file).body
            except PasidlabError:
                expression = []
            if len(expression) != 1 or not isinstance(expression[0], ast.Expr):
                raise PasidlabError(f"cannot use '{node.value}' as a type", position=_at(node, file))
            return self.annotation(ast.copy_location(expression[0].value, node), file)
        if isinstance(node, ast.Name):
            if node.id in ("bool", "int"):
                return BOOL if node.id == "bool" else ANY
            if node.id in self.namespace.structs:
                return Ref(node.id, self.counts[node.id])
            if node.id in self.namespace.values:
                return self._alias(node.id, file)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self.annotation(node.left, file)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            return self._annotated(node.slice.elts[1], file)
        raise PasidlabError(
            f"cannot use '{ast.unparse(node)}' as a type",
            position=_at(node, file),
            hint="bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
        )

    def _alias(self, name: str, file: str) -> Domain:
        value, where = self.namespace.values[name]
        if isinstance(value, ast.Name) and value.id == "IntEnum":
            members = [self.named(full) for full in self.namespace.values if full.startswith(name + ".")]
            numbers = [number for number in members if number is not None]
            if not numbers or len(numbers) < len(members):
                raise PasidlabError(f"enumeration {name} needs members that are numbers", position=_at(value, where))
            return Int(min(numbers), max(numbers))
        return self._once(name, self.annotation)

    def _annotated(self, node: ast.expr, file: str) -> Domain:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            args = [self.constant(arg, file) for arg in node.args]
            if node.func.id == "Range" and len(args) == 2 and args[0] is not None and args[1] is not None and args[0] <= args[1]:
                return Int(args[0], args[1])
            if node.func.id == "Bits" and len(args) == 1 and args[0] is not None and args[0] >= 0:
                return Mask(args[0])
        raise PasidlabError(
            f"cannot use '{ast.unparse(node)}' as a domain", position=_at(node, file), hint="Range(low, high) or Bits(mask)"
        )
