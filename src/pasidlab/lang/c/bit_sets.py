"""Sets of bits, each bit a field of the model: ``header.xfeatures``. Each access to a set is one step."""

from __future__ import annotations

import ast
from functools import reduce
from operator import or_

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.ctype import ULLONG
from pasidlab.lang.c.templates import Template
from pasidlab.lang.c.values import Place, Value, number_of
from pasidlab.lang.emit import Builder, wrapped_to_64
from pasidlab.lang.names import Names
from pasidlab.lang.types import Domain, Int


class BitSets:
    """Emits into one builder."""

    def __init__(self, builder: Builder, names: Names, template: Template) -> None:
        self.builder, self.names, self.template = builder, names, template

    def _fields(self, place: Place) -> list[tuple[int, ast.expr]]:
        found = []
        for name, text in place.bits.items():
            mask = self.names.named(name)
            (statement,) = self.template.expand(text, {"x": place.element or ast.Name("x")})
            assert isinstance(statement, ast.Expr) and mask is not None
            found.append((mask, statement.value))
        return found

    def load(self, place: Place, mask: int, at: Position) -> Value:
        """The bits of a set that are in the mask: one access, however many fields of the model they are."""
        self.template.position = at
        fields = [(bit, field) for bit, field in self._fields(place) if bit & mask]
        if len(fields) > 1:
            self.builder.emit("atomic", "begin", at=at)
        held = [(bit, self.template.expression(field)) for bit, field in fields]
        if len(fields) > 1:
            self.builder.emit("atomic", "end", at=at)
        result = number_of(0, ULLONG)
        for bit, one in held:
            moved = self.builder.binary("mul", one, (bit, Int(bit, bit)), at)
            joined = moved if result.operand == 0 else self.builder.binary("or", (result.operand, result.domain), moved, at)
            result = Value(*joined, ULLONG)
        return result

    def store(self, place: Place, value: Value, at: Position) -> None:
        """Store a set of bits: one access. A bit that no field of the model stands for must be 0, or the checker ends with an error."""
        stores: list[ast.stmt] = []
        fields = self._fields(place)
        strange = ~reduce(or_, (bit for bit, _ in fields)) & ULLONG.high
        if isinstance(value.operand, int) and value.operand & strange:
            raise PasidlabError(
                f"{value.operand & strange:#x} stored to a set of bits in which the model has {strange ^ ULLONG.high:#x} alone",
                position=at, hint="one component stands for all of user xstate: XFEATURE_MASK_FP",
            )  # fmt: skip
        for bit, field in fields:
            one = self._has(value, bit, at)
            if not stores and not isinstance(value.operand, int):
                beyond = self.builder.binary("mul", self._has(value, wrapped_to_64(strange), at), (2, Int(2, 2)), at)
                one = self.builder.binary("or", one, beyond, at)  # 2 and 3 are outside the field's domain
            stores.append(ast.Assign([field], self.template.bind(one)))
        self.template.position = at
        self.builder.emit("atomic", "begin", at=at)
        self.template.statements(stores)
        self.builder.emit("atomic", "end", at=at)

    def _has(self, value: Value, mask: int, at: Position) -> tuple[int | str, Domain]:
        held = self.builder.binary("and", (value.operand, value.domain), (mask, Int(mask, mask)), at)
        return self.builder.binary("ne", held, (0, Int(0, 0)), at)
