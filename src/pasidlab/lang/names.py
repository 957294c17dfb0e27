"""Resolves constants, annotations and struct fields of a namespace to numbers and domains."""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Iterable

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.scope import Bounds
from pasidlab.lang.source import Namespace, SourceStruct
from pasidlab.lang.types import ANY, BOOL, Domain, Field, Int, Mask, Ref

_BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.BitOr: operator.or_, ast.BitAnd: operator.and_, ast.BitXor: operator.xor, ast.FloorDiv: operator.floordiv,
}  # fmt: skip


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the closest known name, or listing all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"


class Names:
    """Names of one namespace under given bounds."""

    def __init__(self, namespace: Namespace, bounds: Bounds) -> None:
        self.namespace, self.bounds = namespace, bounds
        self._constants: dict[str, int] = {}
        self.counts: dict[str, int] = {}
        self.fields: dict[str, Field] = {}
        self.singletons: dict[str, str] = {}
        for name, (value, _) in namespace.values.items():
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "singleton":
                assert isinstance(value.args[0], ast.Name)
                self.singletons[name] = value.args[0].id
        for struct in namespace.structs.values():
            count = self.constant(struct.count, struct.file)
            assert count is not None
            self.counts[struct.name] = count
        for struct in namespace.structs.values():
            for inherited in struct.node.bases:
                if isinstance(inherited, ast.Name) and inherited.id in namespace.bases:
                    self._add_fields(namespace.bases[inherited.id], struct.name)
            self._add_fields(struct, struct.name)

    def _add_fields(self, struct: SourceStruct, name: str) -> None:
        for item in struct.node.body:
            if not isinstance(item, ast.AnnAssign):
                continue
            assert isinstance(item.target, ast.Name)
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

    def constant(self, node: ast.expr, file: str) -> int | None:
        """The number an expression of constants stands for, or None if it is not one."""
        if isinstance(node, ast.Constant):
            if node.value is None:
                return 0
            return int(node.value) if isinstance(node.value, int) else None
        if isinstance(node, ast.Name):
            return 0 if node.id == "NULL" else self.named(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return self.named(f"{node.value.id}.{node.attr}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
            inner = self.constant(node.operand, file)
            return None if inner is None else -inner if isinstance(node.op, ast.USub) else ~inner
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            left, right = self.constant(node.left, file), self.constant(node.right, file)
            return None if left is None or right is None else int(_BINARY[type(node.op)](left, right))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "size":
            return self._size(node, file)
        return None

    def _size(self, node: ast.Call, file: str) -> int:
        name = str(node.args[0].value) if node.args and isinstance(node.args[0], ast.Constant) else ""
        if name not in self.bounds.sizes:
            raise PasidlabError(f"unknown size '{name}'", position=Position(file, node.lineno), hint=nearest(name, self.bounds.sizes))
        return self.bounds.sizes[name]

    def named(self, name: str) -> int | None:
        """The value of a constant by name, or None."""
        if name not in self._constants and name in self.namespace.values:
            value = self.constant(*self.namespace.values[name])
            if value is not None:
                self._constants[name] = value
        return self._constants.get(name)

    def annotation(self, node: ast.expr, file: str) -> Domain:
        """The domain an annotation stands for; plain ``int`` is unbounded."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.annotation(ast.parse(node.value, mode="eval").body, file)
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
            position=Position(file, getattr(node, "lineno", 1)),
            hint="bool, int, a struct, a struct | None, or an alias of Annotated[int, Range(...)]",
        )

    def _alias(self, name: str, file: str) -> Domain:
        value, where = self.namespace.values[name]
        if isinstance(value, ast.Name) and value.id == "IntEnum":
            members = [self.named(full) for full in self.namespace.values if full.startswith(name + ".")]
            numbers = [number for number in members if number is not None]
            return Int(min(numbers), max(numbers))
        return self.annotation(value, where)

    def _annotated(self, node: ast.expr, file: str) -> Domain:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            args = [self.constant(arg, file) for arg in node.args]
            if node.func.id == "Range" and len(args) == 2 and args[0] is not None and args[1] is not None:
                return Int(args[0], args[1])
            if node.func.id == "Bits" and len(args) == 1 and args[0] is not None:
                return Mask(args[0])
        raise PasidlabError(
            f"cannot use '{ast.unparse(node)}' as a domain", position=Position(file, node.lineno), hint="Range(low, high) or Bits(mask)"
        )
