"""Structs and arrays that a function has for itself, and tables of a file that never change: each scalar in them is a variable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tree_sitter import Node

from pasidlab.lang.c.ctype import INT, ULONG, Array, CType, Integer, Pointer, Struct
from pasidlab.lang.c.declarators import Evaluator, members, text_of
from pasidlab.lang.c.expressions import Expressions, changes_something
from pasidlab.lang.c.layout import Definition, layout, places_of
from pasidlab.lang.c.parse import child, plain
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.values import Aggregate, Inside, Place, Value, Variable, number_of
from pasidlab.lang.types import BOOL, Int

MOST_PARTS = 256
MOST_BYTES = 8  # of a union: what one variable holds
WHOLE = ("initializer_list", "identifier", "compound_literal_expression")  # what initializes a struct or an array inside another


@dataclass(frozen=True)
class _Given:
    """A value of an initializer list, and the designators behind the first: what it is for inside the part."""

    value: Node
    path: Sequence[Node] = ()


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

    def definition(self, type_: Struct) -> Definition | None:
        """What a struct of the sources is made of; None for others, and where attributes change how it lies in memory."""
        node = self.own_struct(type_)
        if node is None or any(c.type.startswith("attribute") for c in node.named_children):
            return None
        return Definition(tuple(members(node, self.evaluator())), node.type == "union_specifier")

    def size_of_type(self, type_: CType) -> int | None:
        """The size of a type in bytes."""
        found = layout(type_, self.definition)
        return found[0] if found is not None else None

    def offset_of(self, type_: CType, name: str) -> int | None:
        """Where a member of a struct of the sources begins, in bytes; None where there is no telling."""
        definition = self.definition(type_) if isinstance(type_, Struct) else None
        for one in places_of(definition, self.definition) if definition is not None else ():
            if one is None or (one.member.name == name and one.member.bits is not None):
                return None
            inner = self.offset_of(one.member.type, name) if not one.member.name else None
            if one.member.name == name or inner is not None:
                return one.bit // 8 + (inner or 0)
        return None

    def _union(self, name: str, type_: Struct, node: Node) -> Aggregate:
        """The parts of a union: bits of a variable that holds all of it."""
        size = self.size_of_type(type_)
        if size is None or size > MOST_BYTES:
            hint = f"{MOST_BYTES} can be checked; or a struct, or a variable for each member"
            self.refuse(node, f"'{name}': a union of {size or 'unknown'} bytes", hint)
        whole = self.new_variable(name, ULONG)
        found = self._within(name, type_, Inside(whole, 0, size * 8, size * 8), node)
        assert found is not None
        found.whole = whole
        return found

    def _within(self, name: str, type_: CType, inside: Inside, node: Node) -> Aggregate | None:
        """The parts of something in a union; None for a scalar."""
        found = Aggregate(type_)
        if isinstance(type_, Array) and type_.count is not None:
            step = inside.bits // type_.count if type_.count else 0
            for n in range(type_.count):
                found.parts[n] = self._bits(f"{name}[{n}]", type_.of, replace(inside, bit=inside.bit + n * step, bits=step), node)
            return found
        if not isinstance(type_, Struct):
            return None
        definition = self.definition(type_)
        for number, one in enumerate(places_of(definition, self.definition) if definition is not None else ()):
            assert one is not None
            if one.member.name or one.member.bits is None:
                key = one.member.name or f"<{number}>"
                here = replace(inside, bit=inside.bit + one.bit, bits=one.bits)
                found.parts[key] = self._bits(f"{name}.{key}", one.member.type, here, node)
        return found

    def _bits(self, name: str, type_: CType, inside: Inside, node: Node) -> Variable:
        part = Variable(name, type_, "", inside=inside, aggregate=self._within(name, type_, inside, node))
        if part.aggregate is None and not isinstance(type_, Integer):
            self.refuse(node, f"'{name}': a {type_} in a union", "numbers can be there")
        return part

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
                assert isinstance(type_, Struct)
                return self._union(name, type_, node)
            found_members = enumerate(members(definition, self.evaluator()))
            keys = [(m.name or f"<{n}>", m.type) for n, m in found_members if m.name or m.bits is None]
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
        wanted: dict[str | int, list[_Given]] = {}
        union = self.is_union(aggregate.type)
        keys, at = list(aggregate.parts), 0
        for item in (n for n in given.named_children if n.type != "comment"):
            one = _Given(item)
            chosen = keys[at : at + 1]
            if item.type == "initializer_pair":
                chosen, one = self._designated(aggregate, item)
            if not chosen:
                self.refuse(item, f"more values than {aggregate.type} has parts")
            at = keys.index(chosen[-1]) + 1
            wanted = {} if union and not one.path else wanted
            if one.path or union:
                at = len(keys)  # C would go on inside the part
            for key in chosen:
                wanted[key] = [*wanted.get(key, ()), one] if one.path else [one]
        if union:
            self._zero(Variable("", aggregate.type, "", aggregate=aggregate), node)
        for key, part in aggregate.parts.items():
            if key in wanted or not union:
                self._given(part, wanted.get(key, []), node)

    def is_union(self, type_: CType) -> bool:
        """Whether a type is a union of the sources."""
        definition = self.own_struct(type_)
        return definition is not None and definition.type == "union_specifier"

    def _given(self, part: Variable, values: list[_Given], node: Node) -> None:
        """Give a part the values for it: one for all of it, then those for something inside."""
        if not values or values[0].path:
            self._zero(part, node)
        for one in values:
            inner = part
            for designator in one.path:
                inner = self._inner(inner, designator, one.value)
            if inner.aggregate is not None and bare(one.value).type not in WHOLE:
                self.refuse(one.value, f"'{inner.name}' needs brackets of its own")
            self.initialize(inner, one.value, node)

    def _designated(self, aggregate: Aggregate, item: Node) -> tuple[list[str | int], _Given]:
        """Which parts ``.a = ``, ``[2] = `` or ``[0 ... 3] = `` names, and the value for them or for something inside."""
        first, *path = item.children_by_field_name("designator")
        value = child(item, "value")
        if first.type == "subscript_range_designator" and not path:
            low, high = (self.value(child(first, name)).operand for name in ("start", "end"))
            if isinstance(low, int) and isinstance(high, int) and low <= high and {low, high} <= aggregate.parts.keys():
                if changes_something(value):
                    self.refuse(value, "a value with effects for several elements", "give each element its own")
                return list(range(low, high + 1)), _Given(value)
        key = self._key_of(first)
        if key in aggregate.parts:
            return [key], _Given(value, path)
        around = next((k for k in aggregate.parts if isinstance(key, str) and _holds(aggregate.parts[k], k, key)), None)
        if around is None:
            self.refuse(item, f"'{plain(item)[:40]}' names no part of {aggregate.type}")
        return [around], _Given(value, [first, *path])

    def _key_of(self, designator: Node) -> str | int:
        if designator.type == "field_designator":
            return text_of(designator.named_children[0])
        index = self.value(designator.named_children[0]).operand if designator.type == "subscript_designator" else ""
        return index if isinstance(index, int) else ""

    def _inner(self, variable: Variable, designator: Node, node: Node) -> Variable:
        key = self._key_of(designator)
        found = variable.aggregate.part(key) if variable.aggregate is not None else None
        if found is None:
            self.refuse(node, f"'{plain(designator)[:40]}' names no part of {variable.type}")
        return found

    def _zero(self, variable: Variable, node: Node) -> None:
        if variable.aggregate is None:
            self.assign(variable, number_of(0), node)
            return
        if variable.aggregate.whole is not None:
            self.assign(variable.aggregate.whole, number_of(0), node)
            return
        for part in variable.aggregate.parts.values():
            self._zero(part, node)


def _holds(part: Variable, key: str | int, name: str) -> bool:
    """Whether a part is an anonymous struct with that member inside."""
    return isinstance(key, str) and key.startswith("<") and part.aggregate is not None and part.aggregate.member(name) is not None


def part_place(variable: Variable) -> Place:
    """A part as something to load and store."""
    return Place(variable.type, variable, view=variable.view, aggregate=variable.aggregate)
