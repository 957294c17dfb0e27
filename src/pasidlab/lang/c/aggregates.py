"""Structs and arrays that a function has for itself, and tables of a file that never change: each scalar in them is a variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tree_sitter import Node

from pasidlab.lang.c.ctype import INT, Array, CType, Integer, Pointer, Struct
from pasidlab.lang.c.declarators import Evaluator, members, text_of
from pasidlab.lang.c.expressions import Expressions
from pasidlab.lang.c.parse import child, plain
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.values import Place, Value, Variable, number_of
from pasidlab.lang.types import BOOL, Int

MOST_PARTS = 256
WHOLE = ("initializer_list", "identifier", "compound_literal_expression")  # what initializes a struct or an array inside another


@dataclass
class Aggregate:
    """The parts of a struct by member, of an array by number."""

    type: CType
    parts: dict[str | int, Variable] = field(default_factory=dict)

    def member(self, name: str) -> Variable | None:
        """A member, also of an anonymous struct inside."""
        if name in self.parts:
            return self.parts[name]
        inner = [part.aggregate for key, part in self.parts.items() if isinstance(key, str) and key.startswith("<") and part.aggregate]
        return next((found for one in inner if (found := one.member(name)) is not None), None)

    def scalars(self) -> Iterator[Variable]:
        """Every variable inside."""
        for part in self.parts.values():
            if part.aggregate is not None:
                yield from part.aggregate.scalars()
            else:
                yield part


class Aggregates(Expressions):
    """The part of a C function's compiler for structs and arrays of its own."""

    def new_variable(self, name: str, type_: CType) -> Variable:
        """A variable in the IR that no name of C stands for yet."""
        raise NotImplementedError

    def evaluator(self) -> Evaluator:
        """What types ask."""
        raise NotImplementedError

    def own_struct(self, type_: CType) -> Node | None:
        """The definition of a struct of the file or the function; None for the kernel's."""
        return self.around.struct(type_.name) if isinstance(type_, Struct) and type_.name not in self.vocabulary.structs else None

    def aggregate(self, name: str, type_: CType, node: Node) -> Aggregate | None:
        """The parts of a new variable; None if its type has none, or none that are known."""
        if isinstance(type_, Array):
            if type_.count is None or type_.count > MOST_PARTS:
                self.refuse(node, f"'{name}': an array of {type_.count or 'unknown'} elements", f"1 to {MOST_PARTS} can be checked")
            keys: list[tuple[str | int, CType]] = [(n, type_.of) for n in range(type_.count)]
        else:
            definition = self.own_struct(type_)
            if definition is None:
                return None
            if definition.type == "union_specifier":
                self.refuse(node, f"'{name}': unions are outside the C that can be checked", "a struct, or a variable for each member")
            keys = [(m.name or f"<{n}>", m.type) for n, m in enumerate(members(definition, self.evaluator()))]
        found = Aggregate(type_)
        for key, one in keys:
            label = f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}"
            part = self.new_variable(label, one)
            part.aggregate = self.aggregate(label, one, node)
            if part.aggregate is None and not isinstance(one, Integer | Pointer):
                self.refuse(node, f"'{label}' is a {one}, which is not known here")
            found.parts[key] = part
        return found

    # ---- parts

    def member_place(self, place: Place, name: str, node: Node) -> Place:
        """A member of a struct that the function itself has."""
        assert place.aggregate is not None
        part = place.aggregate.member(name) if place.index is None else None
        if part is None:
            self.refuse(node, f"'{plain(node)[:50]}': {place.type} has no member '{name}' that is known here")
        return part_place(part)

    def element_of(self, place: Place, index: Node, node: Node) -> Place:
        """An element of an array."""
        assert place.aggregate is not None
        if not isinstance(place.type, Array) or place.index is not None:
            self.refuse(node, f"'{plain(node)[:50]}' is no array with one index")
        at = self.at(node)
        number = self.arithmetic.number(self.value(index), at)
        parts = place.aggregate.parts
        if isinstance(number.operand, int):
            if number.operand not in parts:
                self.refuse(node, f"'{plain(node)[:50]}': element {number.operand} of {len(parts)}")
            return part_place(parts[number.operand])
        if any(part.aggregate is not None for part in parts.values()):
            self.refuse(node, f"'{plain(node)[:50]}': an element that depends on a variable must be a number", "one array for each member")
        number = self.arithmetic.settled(self.arithmetic.convert(number, INT, at), at)
        fits, _ = self.builder.binary("ult", (number.operand, number.domain), (len(parts), Int(len(parts), len(parts))), at)
        fine, bad = self.builder.label("fine"), self.builder.label("crash")
        self.builder.branch(fits, fine, bad, at)
        self.builder.place(bad, at)
        self.builder.emit("crash", at=at, text=f"array index out of bounds: {plain(node)[:40]}")
        self.builder.place(fine, at)
        return Place(place.type.of, aggregate=place.aggregate, index=number)

    def load_aggregate(self, place: Place, node: Node) -> Value:
        """The value of an array (a pointer to it), of an element not known here, or of a struct."""
        assert place.aggregate is not None
        if place.index is None:
            pointer = isinstance(place.type, Array)
            return Value(1, BOOL, Pointer(place.type.of) if pointer else place.type, "", place)  # type: ignore[attr-defined]
        dst = self.new_variable("%element", place.type)
        at, done = self.at(node), self.builder.label("join")
        for part in self._selected(place, node):
            value = self.load(part_place(part), node)
            self.builder.emit("copy", dst.local, value.operand, at=at)
            self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        return self.load(Place(place.type, dst), node)

    def store_aggregate(self, place: Place, value: Value, node: Node) -> Value:
        """Store to an element of an array that is not known here, or to a struct."""
        assert place.aggregate is not None
        if place.index is None:
            return self._copied(place, value, node)
        value = self.arithmetic.settled(self.arithmetic.convert(value, place.type, self.at(node)), self.at(node))
        at, done = self.at(node), self.builder.label("join")
        for part in self._selected(place, node):
            self.assign(part, value, node)
            self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)
        return value

    def _selected(self, place: Place, node: Node) -> Iterator[Variable]:
        """Each element, at the point of the code where it is the one that the index names; behind each a jump is to follow."""
        assert place.aggregate is not None and place.index is not None
        at, parts = self.at(node), list(place.aggregate.parts.values())
        for number, part in enumerate(parts[:-1]):
            same, _ = self.builder.binary("eq", (place.index.operand, place.index.domain), (number, Int(number, number)), at)
            here, next_ = self.builder.label("here"), self.builder.label("next")
            self.builder.branch(same, here, next_, at)
            self.builder.place(here, at)
            yield part
            self.builder.place(next_, at)
        yield parts[-1]

    def _copied(self, place: Place, value: Value, node: Node) -> Value:
        source = value.place.aggregate if value.place is not None and isinstance(value.type, Struct) else None
        assert place.aggregate is not None
        if source is None or source.type != place.aggregate.type:
            self.refuse(node, f"'{plain(node)[:50]}' copies something that is no {place.type} of this function")
        values = [self.arithmetic.settled(self.load(part_place(part), node), self.at(node)) for part in source.scalars()]
        for part, one in zip(place.aggregate.scalars(), values, strict=True):
            self.assign(part, one, node)
        return value

    # ---- initializers

    def compound_literal(self, node: Node) -> Place:
        """``(struct s){ ... }``: a variable without a name."""
        type_ = self.type_named(child(node, "type"))
        variable = self.new_variable("<literal>", type_)
        variable.aggregate = self.aggregate("<literal>", type_, node)
        self.initialize(variable, child(node, "value"), node)
        return part_place(variable)

    def initialize(self, variable: Variable, given: Node, node: Node) -> None:
        """Give a variable, and all inside it, what an initializer says; the rest is 0."""
        given = bare(given)
        if variable.aggregate is None:
            if given.type == "initializer_list":
                inner = [n for n in given.named_children if n.type != "comment"]
                if len(inner) > 1:
                    self.refuse(given, f"'{variable.name}' is given {len(inner)} values")
                self.assign(variable, self.value(inner[0]) if inner else number_of(0), node)
            else:
                self.assign(variable, self.value(given), node)
        elif given.type == "initializer_list":
            self._each(variable.aggregate, given, node)
        else:
            self.store(part_place(variable), self.value(given), node)

    def _each(self, aggregate: Aggregate, given: Node, node: Node) -> None:
        wanted: dict[str | int, Node] = {}
        keys, at = list(aggregate.parts), 0
        for item in given.named_children:
            if item.type == "comment":
                continue
            value = item
            if item.type == "initializer_pair":
                at, value = self._designated(aggregate, item), child(item, "value")
            if at >= len(keys):
                self.refuse(item, f"more values than {aggregate.type} has parts")
            wanted[keys[at]] = value
            at += 1
        for key, part in aggregate.parts.items():
            if key in wanted:
                if part.aggregate is not None and bare(wanted[key]).type not in WHOLE:
                    self.refuse(wanted[key], f"'{part.name}' needs brackets of its own")
                self.initialize(part, wanted[key], node)
            else:
                self._zero(part, node)

    def _designated(self, aggregate: Aggregate, item: Node) -> int:
        designators = item.children_by_field_name("designator")
        key: str | int = ""
        if len(designators) == 1 and designators[0].type == "field_designator":
            key = text_of(designators[0].named_children[0])
        elif len(designators) == 1 and designators[0].type == "subscript_designator":
            index = self.value(designators[0].named_children[0]).operand
            key = index if isinstance(index, int) else ""
        if key not in aggregate.parts:
            self.refuse(item, f"'{plain(item)[:40]}' names no part of {aggregate.type}")
        return list(aggregate.parts).index(key)

    def _zero(self, variable: Variable, node: Node) -> None:
        if variable.aggregate is None:
            self.assign(variable, number_of(0), node)
        for part in variable.aggregate.parts.values() if variable.aggregate is not None else ():
            self._zero(part, node)


def part_place(variable: Variable) -> Place:
    """A part as something to load and store."""
    return Place(variable.type, variable, view=variable.view, aggregate=variable.aggregate)
