"""Structs and arrays that a function has for itself, and tables of a file that never change: each scalar in them is a variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tree_sitter import Node

from pasidlab.lang.c.ctype import INT, ULONG, Array, CType, Integer, Pointer, Struct
from pasidlab.lang.c.declarators import members
from pasidlab.lang.c.expressions import CExpressions
from pasidlab.lang.c.layout import Definition, layout, places_of
from pasidlab.lang.c.parse import plain
from pasidlab.lang.c.values import Aggregate, Inside, Place, Value, Variable, number_of
from pasidlab.lang.types import BOOL, Int

MOST_PARTS = 256
MOST_BYTES = 8  # of a union: what one variable holds


def _lies_otherwise(node: Node) -> bool:
    """Whether attributes of a struct, or of a member, decide how it lies in memory."""
    return any(child.type.startswith(("attribute", "alignas")) or _lies_otherwise(child) for child in node.named_children)


class Aggregates(CExpressions):
    """The part of a C function's compiler for structs and arrays of its own."""

    def own_struct(self, type_: CType) -> Node | None:
        """The definition of a struct that the function may have for itself; None for the others."""
        return self.around.struct(type_.name) if isinstance(type_, Struct) else None

    def definition(self, type_: Struct) -> Definition | None:
        """What a struct of the sources is made of; None for others, and where attributes change how it lies in memory."""
        node = self.own_struct(type_)
        if node is None or _lies_otherwise(node):
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
                if one.member.constant:
                    fix(found.parts[key])
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
            keys: list[tuple[str | int, CType, bool]] = [(n, type_.of, False) for n in range(type_.count)]
        else:
            definition = self.own_struct(type_)
            if definition is None:
                return None
            if definition.type == "union_specifier":
                assert isinstance(type_, Struct)
                return self._union(name, type_, node)
            found_members = enumerate(members(definition, self.evaluator()))
            keys = [(m.name or f"<{n}>", m.type, m.constant) for n, m in found_members if m.name or m.bits is None]
        found = Aggregate(type_)
        for key, one, constant in keys:
            label = f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}"
            part = self.new_variable(label, one)
            part.aggregate = self.aggregate(label, one, node)
            if part.aggregate is None and not isinstance(one, Integer | Pointer):
                self.refuse(node, f"'{label}' is a {one}, which is not known here")
            found.parts[key] = part
            if constant:
                fix(part)
        return found

    # ---- parts

    def member_place(self, place: Place, name: str, node: Node) -> Place:
        """A member of a struct that the function itself has."""
        assert place.aggregate is not None
        found = place.aggregate.member(name) if place.index is None else None
        if found is not None:
            return part_place(found)
        elements = list(place.aggregate.parts.values()) if place.index else []
        known = [part for one in elements if one.aggregate and (part := one.aggregate.member(name)) is not None]
        if not known or len(known) < len(elements):
            self.refuse(node, f"'{plain(node)[:50]}': {place.type} has no member '{name}' that is known here")
        return _among(known, place.index)

    def element_of(self, place: Place, index: Node, node: Node) -> Place:
        """An element of an array."""
        assert place.aggregate is not None
        if not isinstance(place.type, Array) or place.type.count is None:
            self.refuse(node, f"'{plain(node)[:50]}': {place.type} is no array")
        number = self.arithmetic.number(self.value(index), self.at(node))
        if not isinstance(number.type, Integer):
            self.refuse(index, f"'{plain(index)[:50]}' is no number of an element")
        if not isinstance(number.operand, int):
            return self._element_named(place, place.type.count, self._inside(number, place.type.count, node), node)
        if not 0 <= number.operand < place.type.count:
            self.refuse(node, f"'{plain(node)[:50]}': element {number.operand} of {place.type.count}")
        return self.element_numbered(place, number.operand)

    def element_numbered(self, place: Place, number: int) -> Place:
        """An element of an array whose number is known."""
        assert place.aggregate is not None
        if place.index is None:
            return part_place(place.aggregate.parts[number])
        rows = [part.aggregate for part in place.aggregate.parts.values() if part.aggregate is not None]
        return _among([row.parts[number] for row in rows], place.index)

    def _inside(self, number: Value, count: int, node: Node) -> Value:
        """The number of an element that is not known here; outside the array the kernel ends."""
        at = self.at(node)
        number = self.arithmetic.settled(number, at)
        self.builder.fit(number.operand, count - 1, at)
        fits, _ = self.builder.binary("ult", (number.operand, number.domain), (count, Int(count, count)), at)
        fine, bad = self.builder.label("fine"), self.builder.label("crash")
        self.builder.branch(fits, fine, bad, at)
        self.builder.place(bad, at)
        self.builder.emit("crash", at=at, text=f"array index out of bounds: {plain(node)[:40]}")
        self.builder.place(fine, at)
        return Value(number.operand, number.domain)

    def _element_named(self, place: Place, count: int, number: Value, node: Node) -> Place:
        assert place.aggregate is not None and isinstance(place.type, Array)
        if isinstance(place.type.of, Pointer):
            self.refuse(node, f"'{plain(node)[:50]}': an element that depends on a variable must be a number", "one pointer for each")
        if place.index is None:
            return _among(list(place.aggregate.parts.values()), number)
        at = self.at(node)
        rows = self.arithmetic.binary("*", place.index, number_of(count), at)
        found = self.arithmetic.binary("+", rows, self.arithmetic.narrowed(number, INT, at), at)
        parts = [one for part in place.aggregate.parts.values() if part.aggregate for one in part.aggregate.parts.values()]
        return _among(parts, self.arithmetic.settled(found, at))

    def load_aggregate(self, place: Place, node: Node) -> Value:
        """The value of an array (a pointer to it), of an element not known here, or of a struct."""
        assert place.aggregate is not None
        if isinstance(place.type, Array):
            return Value(1, BOOL, Pointer(place.type.of, place.fixed), "", place)
        if place.index is None or isinstance(place.type, Struct):
            return Value(1, BOOL, place.type, "", place)
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
        if place.index is None or not isinstance(place.type, Integer):
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
        if value.view in self.vocabulary.structs and value.type == place.type and place.aggregate is not None:
            return self._copied_in(place.aggregate, value, node)
        if value.place is None or value.place.aggregate is None or not isinstance(value.type, Struct) or value.type != place.type:
            self.refuse(node, f"'{plain(node)[:50]}' copies something that is no {place.type} of this function")
        values = [self.arithmetic.settled(self.load(part, node), self.at(node)) for part in scalars_of(value.place)]
        for part, one in zip(scalars_of(place), values, strict=True):
            self.put(part, one, node)
        return value

    def _copied_in(self, aggregate: Aggregate, value: Value, node: Node) -> Value:
        """A copy of a struct of the model: a load of each member that the model has; the others are 0."""
        for name, part in aggregate.parts.items():
            known = f"{value.view}.{name}" in self.vocabulary.members or f"{value.view}.{name}" in self.vocabulary.bits
            if known and isinstance(name, str):
                self.assign(part, self.load(self.member_of(value, value.view, name, node), node), node)
            else:
                self.zero(part, node)
        return value

    def copy_out(self, place: Place, value: Value, node: Node) -> Value:
        """A struct of the function copied to one of the model: a store to each member that can be stored to."""
        if value.place is None or value.place.aggregate is None or value.type != place.type:
            self.refuse(node, f"'{plain(node)[:50]}' copies a struct", "use a pointer to it, or copy its members")
        to = self.load(place, node)
        for name, part in value.place.aggregate.parts.items():
            if isinstance(name, str):
                self._store_member(to, name, part, node)
        return value

    def _store_member(self, to: Value, name: str, part: Variable, node: Node) -> None:
        """Store to a member; where the model has a constant, or nothing and so 0, the value must be that."""
        key, at = f"{to.view}.{name}", self.at(node)
        known = key in self.vocabulary.bits or key in self.vocabulary.members
        member = self.member_of(to, to.view, name, node) if known else None
        for one in [part] if part.aggregate is None else part.aggregate.scalars():
            value = self.load(part_place(one), node)
            if member is not None and (member.bits or self.vocabulary.can_store(key)):
                self.store(member, value, node)
                continue
            wanted = self.load(member, node) if member is not None else number_of(0)
            same = self.arithmetic.compare("==", value, wanted, at)
            self.arithmetic.crash_unless(same.operand, f"{key} has another value than the CPU takes", at)

    def nowhere(self, type_: CType, node: Node) -> Place:
        """A place of a type that nobody has: what NULL leads to, where the kernel has ended already, or what ``sizeof`` asks about."""
        variable = self.new_variable("<nowhere>", type_)
        variable.aggregate = self.aggregate("<nowhere>", type_, node) if isinstance(type_, Array | Struct) else None
        if variable.aggregate is None and not isinstance(type_, Integer):
            self.refuse(node, f"'{plain(node)[:40]}': {type_} is not known here")
        self.zero(variable, node)
        return part_place(variable)

    def clear(self, place: Place, node: Node) -> None:
        """Make everything in a variable of the function, or in a part of it, 0."""
        if place.constant or place.variable is None or place.index is not None:
            self.refuse(node, f"'{plain(node)[:50]}': what it clears is constant, or depends on a variable")
        self.zero(place.variable, node)

    def zero(self, variable: Variable, node: Node) -> None:
        if variable.aggregate is None:
            self.assign(variable, number_of(0), node)
            return
        if variable.aggregate.whole is not None:
            self.assign(variable.aggregate.whole, number_of(0), node)
            return
        for part in variable.aggregate.parts.values():
            self.zero(part, node)


def part_place(variable: Variable) -> Place:
    """A part as something to load and store."""
    return Place(variable.type, variable, view=variable.view, aggregate=variable.aggregate)


def fix(variable: Variable) -> None:
    """Nothing but an initializer gives a value to a variable, or to anything inside."""
    for one in variable.aggregate.scalars() if variable.aggregate is not None else [variable]:
        one.fixed = True


def _among(parts: list[Variable], index: Value | None) -> Place:
    """The part that an index names, where it is not known here."""
    return Place(parts[0].type, aggregate=Aggregate(Array(parts[0].type, len(parts)), dict(enumerate(parts))), index=index)


def scalars_of(place: Place) -> list[Place]:
    """Every number inside a struct, also inside one that an index chooses."""
    assert place.aggregate is not None
    if place.index is None:
        return [part_place(part) for part in place.aggregate.scalars()]
    each = [list(part.aggregate.scalars()) for part in place.aggregate.parts.values() if part.aggregate is not None]
    return [_among(list(same), place.index) for same in zip(*each, strict=True)]
