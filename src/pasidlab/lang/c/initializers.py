"""Initializers: which part of a struct or an array each value is for (C11 6.7.9), and what stays without one."""

from __future__ import annotations

from collections.abc import Iterator

from tree_sitter import Node

from pasidlab.lang.c.aggregates import Aggregates, part_place
from pasidlab.lang.c.ctype import Array, CType, Struct
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.expressions import changes_something
from pasidlab.lang.c.parse import child, parts_of, plain
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.values import Place, Value, Variable, number_of

Path = tuple[str | int, ...]  # to a part of a struct or an array: its members and elements from the outside


class Initializers(Aggregates):
    """The part of a C function's compiler that gives variables their first values."""

    def compound_literal(self, node: Node) -> Place:
        """``(struct s){ ... }``: a variable without a name."""
        type_ = self.sized_by(self.type_named(child(node, "type")), child(node, "value"))
        variable = self.new_variable("<literal>", type_)
        variable.aggregate = self.aggregate("<literal>", type_, node) if isinstance(type_, Array | Struct) else None
        self.initialize(variable, child(node, "value"), node)
        return part_place(variable)

    def sized_by(self, type_: CType, given: Node | None) -> CType:
        """The type of what an initializer is for: ``[]`` leaves the number of elements to it."""
        if not isinstance(type_, Array) or type_.count is not None or given is None or given.type != "initializer_list":
            return type_
        at = most = 0
        for item in parts_of(given):
            if item.type == "initializer_pair":
                designator = item.children_by_field_name("designator")[0]
                at = self.size_of_array(designator.named_children[-1])
            elif item.type != "initializer_list" and isinstance(type_.of, Array | Struct) and self.type_of_expression(item) != type_.of:
                self.refuse(item, "an element without brackets, in an array whose length its values tell", "brackets, or a length")
            at += 1
            most = max(most, at)
        return Array(type_.of, most)

    def initialize(self, variable: Variable, given: Node, node: Node) -> None:
        """Give a variable, and all inside it, what an initializer says; the rest is 0."""
        given = bare(given)
        if variable.aggregate is None:
            if given.type == "initializer_list":
                inner = parts_of(given)
                if len(inner) > 1:
                    self.refuse(given, f"'{variable.name}' is given {len(inner)} values")
                self.first(variable, self.value(inner[0]) if inner else number_of(0), node)
            else:
                self.first(variable, self.value(given), node)
        elif given.type == "initializer_list":
            self._each(variable, given, node)
        else:
            value = self.value(given)
            with self.initializing(variable):
                self.put(part_place(variable), value, node)

    def first(self, variable: Variable, value: Value, node: Node) -> None:
        """The first value of a variable."""
        with self.initializing(variable):
            self.assign(variable, value, node)

    def _each(self, variable: Variable, given: Node, node: Node) -> None:
        """Values in brackets (C11 6.7.9): each goes to the part its designators name, or to the one behind the last."""
        items: list[tuple[Path, Node]] = []
        last: Path = ()
        for item in parts_of(given):
            for path, value in self._targets(variable, item, last):
                items = [(old, one) for old, one in items if not self._replaces(variable, path, old)]
                items.append((path, value))
                last = path
        self._clear(variable, (), [path for path, _ in items], node)
        for path, value in items:
            self.initialize(_inside(variable, path), value, node)

    def _targets(self, variable: Variable, item: Node, last: Path) -> Iterator[tuple[Path, Node]]:
        """The parts that an item of a list is for; several for ``[0 ... 3] =``."""
        if item.type != "initializer_pair":
            path = self._next_part(variable, last)
            if path is None:
                self.refuse(item, f"more values than {variable.type} has parts")
            yield self._down(variable, path, item), item
            return
        value = child(item, "value")
        first, *more = item.children_by_field_name("designator")
        if first.type == "subscript_range_designator" and not more:
            low, high = (self.size_of_array(child(first, name)) for name in ("start", "end"))
            if changes_something(value):
                self.refuse(value, "a value with effects for several elements", "give each element its own")
            for number in range(low, high + 1):
                yield self._down(variable, self._designated(variable, (), number, item), value), value
            return
        path = ()
        for designator in (first, *more):
            path = self._designated(variable, path, self._key_of(designator), item)
        yield self._down(variable, path, value), value

    def _next_part(self, variable: Variable, path: Path) -> Path | None:
        """The part that follows another in the order of the addresses; the first behind nothing; None behind the last."""
        if not path:
            return next(((key,) for key in variable.aggregate.parts), None) if variable.aggregate is not None else None
        while path:
            *outer, key = path
            around = _inside(variable, tuple(outer)).aggregate
            assert around is not None
            keys = list(around.parts)
            following = keys[keys.index(key) + 1 :] if not self.is_union(around.type) else []
            if following:
                return (*outer, following[0])
            path = tuple(outer)
        return None

    def _down(self, variable: Variable, path: Path, value: Node) -> Path:
        """A value without brackets of its own is for the first number inside, but for one that is a whole struct."""
        while (part := _inside(variable, path)).aggregate is not None and bare(value).type != "initializer_list":
            if isinstance(part.type, Struct) and self.type_of_expression(value) == part.type:
                break
            if not part.aggregate.parts:
                self.refuse(value, f"more values than {part.type} has parts")
            path = (*path, next(iter(part.aggregate.parts)))
        return path

    def _designated(self, variable: Variable, path: Path, key: str | int, item: Node) -> Path:
        """The path on to a part, through anonymous structs if need be."""
        inner = _inside(variable, path).aggregate
        while inner is not None and key not in inner.parts:
            around = next((k for k, part in inner.parts.items() if isinstance(key, str) and _holds(part, k, key)), None)
            if around is None:
                inner = None
                break
            path, inner = (*path, around), inner.parts[around].aggregate
        if inner is None:
            self.refuse(item, f"'{plain(item)[:40]}' names no part of {variable.type}")
        return (*path, key)

    def _replaces(self, variable: Variable, new: Path, old: Path) -> bool:
        """Whether a value takes the place of an earlier one: for the same part, for one around it, or for another member of a union."""
        same = next((n for n, (a, b) in enumerate(zip(new, old, strict=False)) if a != b), min(len(new), len(old)))
        return same == len(new) or (same < len(old) and self.is_union(_inside(variable, old[:same]).type))

    def _clear(self, variable: Variable, path: Path, given: list[Path], node: Node) -> None:
        """What no value is for becomes 0; a union as a whole."""
        if path in given:
            return
        if variable.aggregate is None or variable.aggregate.whole is not None or all(one[: len(path)] != path for one in given):
            with self.initializing(variable):
                self.zero(variable, node)
            return
        for key, part in variable.aggregate.parts.items():
            self._clear(part, (*path, key), given, node)

    def _key_of(self, designator: Node) -> str | int:
        if designator.type == "field_designator":
            return text_of(designator.named_children[0])
        index = self.value(designator.named_children[0]).operand if designator.type == "subscript_designator" else ""
        return index if isinstance(index, int) else ""

    def is_union(self, type_: CType) -> bool:
        """Whether a type is a union of the sources."""
        definition = self.own_struct(type_)
        return definition is not None and definition.type == "union_specifier"


def _holds(part: Variable, key: str | int, name: str) -> bool:
    """Whether a part is an anonymous struct with that member inside."""
    return isinstance(key, str) and key.startswith("<") and part.aggregate is not None and part.aggregate.member(name) is not None


def _inside(variable: Variable, path: Path) -> Variable:
    for key in path:
        assert variable.aggregate is not None
        variable = variable.aggregate.parts[key]
    return variable
