"""What a place of C holds: loading it, storing to it, and how the model's own values look from C."""

from __future__ import annotations

import ast

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.compiler import Compiler
from pasidlab.lang.c.ctype import INT, UINT, ULLONG, CType, Integer, Pointer, Struct
from pasidlab.lang.c.parse import plain
from pasidlab.lang.c.values import OPAQUE, POISON, UNKNOWN, Inside, Place, Value, Variable, number_of, pointer_outside
from pasidlab.lang.emit import bounds
from pasidlab.lang.types import BOOL, Domain, Int, Ref


class Contents(Compiler):
    """The part of a C function's compiler that loads and stores."""

    def load(self, place: Place, node: Node) -> Value:
        """The value at a place."""
        if place.nothing:
            return pointer_outside("")
        if place.view == UNKNOWN:
            return POISON
        if place.aggregate is not None:
            return self.load_aggregate(place, node)
        if place.variable is not None:
            return self._load_variable(place.variable, node)
        if place.bits:
            return self.bits.load(place, -1, self.at(node))
        assert place.node is not None
        self.template.position = self.at(node)
        value = self.typed(self.template.expression(place.node), place.type)
        return self.number_of_pasid(value, node) if place.pasid else value

    def typed(self, bound: tuple[int | str, Domain], type_: CType | None) -> Value:
        """What model-language text gave, as C sees it."""
        operand, domain = bound
        if isinstance(domain, Ref) and domain.struct != "Cpu":
            known = type_ if isinstance(type_, Pointer | Struct) else Pointer(Struct(domain.struct))
            struct = known.to if isinstance(known, Pointer) else known
            view = struct.name if isinstance(struct, Struct) and type_ is not None else ""
            return Value(operand, domain, known, view)
        if not isinstance(type_, Integer):
            low, high = bounds(domain)
            type_ = INT if isinstance(domain, Ref) or (INT.low <= low and high <= INT.high) else ULLONG
        return Value(operand, domain, type_)

    def number_of_pasid(self, value: Value, node: Node) -> Value:
        """None is 0 in the model. In kernels where it is another number, that is what C sees."""
        at, none = self.at(node), self.around.no_pasid
        if none == 0:
            return value
        absent = self.builder.unary("not", (value.operand, value.domain), at)
        mask = self.builder.binary("sub", (0, Int(0, 0)), absent, at)
        number = self.builder.binary("and", mask, (none, Int(none, none)), at)
        return Value(*self.arithmetic.emitted("or", value.operand, number[0], (value.domain, number[1]), at), UINT)

    def _model_of_pasid(self, value: Value, node: Node) -> Value:
        at, none = self.at(node), self.around.no_pasid
        value = self.arithmetic.convert(value, UINT, at)
        if none == 0:
            return value
        if value.operand == 0:
            raise PasidlabError("PASID 0 is none of a process", position=at, hint="an mm without a PASID has IOMMU_PASID_INVALID here")
        there = self.builder.binary("ne", (value.operand, value.domain), (none, Int(none, none)), at)
        mask = self.builder.binary("sub", (0, Int(0, 0)), there, at)
        return Value(*self.arithmetic.emitted("and", value.operand, mask[0], (value.domain, mask[1]), at), UINT)

    def _load_variable(self, variable: Variable, node: Node) -> Value:
        if variable.view.startswith(OPAQUE):
            return pointer_outside(variable.view[1:], variable.type)
        if variable.value is not None:
            return variable.value
        if variable.place is not None:
            return Value(1, Int(1, 1), variable.type, "", variable.place)
        if variable.inside is not None:
            return self._load_bits_of(variable, variable.inside, node)
        if variable.local not in self.builder.locals:
            raise PasidlabError(f"'{variable.name}' is used before it has a value", position=self.at(node))
        known = self.builder.locals[variable.local]
        if isinstance(known, Ref):
            return Value(variable.local, known, variable.type, variable.view)
        domain = variable.type.domain if isinstance(variable.type, Integer) else known or BOOL
        return Value(variable.local, domain, variable.type, variable.view)

    def _load_bits_of(self, variable: Variable, inside: Inside, node: Node) -> Value:
        """A part of a union: some bits of the variable that holds all of it."""
        at = self.at(node)
        assert isinstance(variable.type, Integer)
        shifted = self.arithmetic.binary(">>", self._load_variable(inside.whole, node), number_of(inside.bit), at)
        return self.arithmetic.narrowed(shifted, variable.type, at)

    def store(self, place: Place, value: Value, node: Node) -> Value:
        """Store a value at a place, unless C forbids it; what the place then holds."""
        if place.constant:
            self.refuse(node, f"'{plain(node)[:50]}' is constant")
        return self.put(place, value, node)

    def put(self, place: Place, value: Value, node: Node) -> Value:
        """Give a place a value, be it its first."""
        if place.nothing or UNKNOWN in (place.view, value.view):
            if place.variable is not None and value.unknown:
                place.variable.view = UNKNOWN
            return POISON if UNKNOWN in (place.view, value.view) else value
        at = self.at(node)
        if place.aggregate is None and (isinstance(value.type, Struct) or isinstance(place.type, Struct)):
            return self.copy_out(place, value, node)
        if place.aggregate is not None:
            return self.store_aggregate(place, value, node)
        if place.variable is not None:
            return self.assign(place.variable, value, node)
        value = self.arithmetic.convert(value, place.type, at) if isinstance(place.type, Integer) else value
        if place.bits:
            self.bits.store(place, value, at)
        elif place.store:
            bound = self.template.bind((value.operand, value.domain))
            self.template.run(place.store, {"x": place.element or ast.Name("this_cpu"), "value": bound}, at)
        else:
            self._store_field(place, self._model_of_pasid(value, node) if place.pasid else value, node)
        return value

    def _store_field(self, place: Place, value: Value, node: Node) -> None:
        at = self.at(node)
        if not isinstance(place.node, ast.Attribute):
            raise PasidlabError(f"'{plain(node)[:50]}' cannot be stored to in the model", position=at)
        self.template.position = at
        wanted = self._domain_of(place.node)
        if wanted == BOOL and isinstance(place.type, Integer) and place.type.bits > 1:
            wanted = None  # a number that is 0 or 1 in this scope: any other is an error there
        self.template.statements([ast.Assign([place.node], self.argument(value, wanted, at))])

    def argument(self, value: Value, wanted: Domain | None, at: Position) -> ast.expr:
        """A value for the model's language, where a domain is wanted."""
        if isinstance(wanted, Ref) and wanted.struct == "Cpu":
            value = self.arithmetic.cpu(value, wanted.count, at)
        elif wanted == BOOL:
            value = self.arithmetic.truth(value, at)
        elif not isinstance(wanted, Ref):
            value = self.arithmetic.number(value, at)
        if value.opaque or value.place is not None:
            raise PasidlabError(
                "a pointer to something outside the model, where the model has an element of its own", position=at,
                hint="the function's address, a lock, a local variable mean nothing here",
            )  # fmt: skip
        return self.template.bind((value.operand, value.domain))

    def _domain_of(self, node: ast.Attribute) -> Domain | None:
        base = self.template.bindings.get(node.value.id) if isinstance(node.value, ast.Name) else None
        struct = base[1].struct if base is not None and isinstance(base[1], Ref) else "Cpu"
        field = self.names.fields.get(f"{struct}.{node.attr}")
        return field.domain if field else None
