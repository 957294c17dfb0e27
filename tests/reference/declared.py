"""What source files declare: functions, structs, constants. Later files override earlier ones, nothing is executed on import."""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference.values import Domain, Mask, NoMeaning, Number, Reference, Struct


@dataclass(frozen=True)
class Role:
    """A decorator: its name, its texts, the event it is an occurrence of, and the one it needs."""

    name: str
    texts: tuple[str, ...] = ()
    event: str = ""
    follows: str = ""


@dataclass
class Function:
    """A function of the model, as found in a file."""

    name: str
    node: ast.FunctionDef
    roles: tuple[Role, ...]

    def has(self, role: str) -> bool:
        """Whether a decorator of that name stands above it."""
        return any(r.name == role for r in self.roles)


@dataclass
class Declared:
    """All declarations under given sizes; ``values`` resolves a constant when it is first asked for."""

    sizes: Mapping[str, int]
    functions: dict[str, Function] = field(default_factory=dict)
    structs: dict[str, Struct] = field(default_factory=dict)
    _classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    _bases: dict[str, ast.ClassDef] = field(default_factory=dict)
    _values: dict[str, ast.expr] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)

    def read(self, paths: Iterable[Path]) -> None:
        """Take in the files in order, then lay the structs out."""
        for path in paths:
            for node in ast.parse(path.read_text(encoding="utf-8"), str(path)).body:
                self._take(node)
        for name, node in self._classes.items():
            self.structs[name] = Struct(name, self._count(node))
        for name, node in self._classes.items():
            inherited = [self._bases[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in self._bases]
            for item in (item for part in (*inherited, node) for item in part.body):
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    default = self.value(item.value) if item.value is not None else 0
                    self.structs[name].fields[item.target.id] = (self.domain(item.annotation), default)

    def _take(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef():
                roles = tuple(self._role(d) for d in node.decorator_list)
                before = self.functions.get(node.name)  # a replacement without a role keeps that of what it replaces
                self.functions[node.name] = Function(node.name, node, roles or (before.roles if before else ()))
            case ast.ClassDef():
                self._take_class(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._values[name] = value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._values[name] = value

    def _role(self, node: ast.expr) -> Role:
        if not isinstance(node, ast.Call):
            return Role(ast.unparse(node))
        texts = tuple(ast.literal_eval(a) for a in node.args)
        options = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
        return Role(ast.unparse(node.func), texts, options.get("event", ""), options.get("follows", ""))

    def _take_class(self, node: ast.ClassDef) -> None:
        decorators = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
        names = [d.id for d in decorators if isinstance(d, ast.Name)]
        if "struct" in names:
            self._classes[node.name] = node
        elif "base" in names:
            self._bases[node.name] = node
        else:
            members = [(i.targets[0].id, i.value) for i in node.body if isinstance(i, ast.Assign) and isinstance(i.targets[0], ast.Name)]
            self._known[node.name] = enum.IntEnum(node.name, [(name, self.value(value)) for name, value in members])  # type: ignore[misc]

    def _count(self, node: ast.ClassDef) -> int:
        (decorator,) = [d for d in node.decorator_list if isinstance(d, ast.Call)]
        return int(self.value(next(k.value for k in decorator.keywords if k.arg == "count")))

    def value(self, node: ast.expr) -> Any:
        """The value of an expression of constants."""
        return eval(compile(ast.Expression(node), "<constant>", "eval"), {}, _Lazily(self))

    def named(self, name: str) -> Any:
        """The constant, enumeration, struct, or element of a singleton of that name; KeyError if there is none."""
        if name not in self._known:
            if name in self.structs:
                return self.structs[name]
            self._known[name] = self.value(self._values[name])
        return self._known[name]

    def is_enumeration(self, name: str) -> bool:
        """Whether the name is a class of members."""
        return isinstance(self._known.get(name), enum.EnumType)

    def constants(self) -> dict[str, Any]:
        """Everything a function may name beside functions."""
        found: dict[str, Any] = dict(self.structs)
        for name in [*self._values, *self._known]:
            found[name] = self.named(name)
        return found

    def domain(self, node: ast.expr) -> Domain:
        """What an annotation allows."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode="eval").body
        found = self.value(node)
        if isinstance(found, Struct):
            return Reference(found)
        if isinstance(found, type) and issubclass(found, enum.IntEnum):
            return Number(min(found), max(found))
        if not isinstance(found, Domain):
            raise NoMeaning(f"{ast.unparse(node)} is no domain")
        return found


class _Annotated:
    """``Annotated[int, Range(0, 2)]`` is the second of them."""

    def __class_getitem__(cls, items: tuple[Any, Domain]) -> Domain:
        return items[1]


class _Lazily(Mapping[str, Any]):
    """The names constants may use, looked up when they are needed."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.own = {
            "size": lambda name: declared.sizes[name],
            "singleton": lambda struct: struct.element(0),
            "Annotated": _Annotated,
            "Range": Number,
            "Bits": Mask,
            "NULL": None,
            "bool": Number(0, 1),
            "int": int,
        }

    def __getitem__(self, name: str) -> Any:
        return self.own[name] if name in self.own else self.declared.named(name)

    def __len__(self) -> int:
        return len(self.own)

    def __iter__(self) -> Any:
        return iter(self.own)
