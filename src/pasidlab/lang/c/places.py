"""Names and places of C: what the vocabulary makes of variables, members, per-CPU variables and sets of bits."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.parse import CFunction, CType, child, plain, text_of
from pasidlab.lang.c.templates import Template, as_domain
from pasidlab.lang.c.unknown import Stub
from pasidlab.lang.c.values import NO_VALUE, OPAQUE, POISON, UNKNOWN, Place, Value, Variable, fits
from pasidlab.lang.c.vocabulary import Meaning, Vocabulary
from pasidlab.lang.emit import Builder
from pasidlab.lang.names import Names
from pasidlab.lang.types import ANY, BOOL, NULL, Domain, Int, Ref

if TYPE_CHECKING:
    from pasidlab.lang.c.link import Linker


class Places:
    """The part of a C function's compiler that resolves names."""

    def __init__(
        self, function: CFunction, builder: Builder, names: Names, template: Template, vocabulary: Vocabulary, linker: Linker
    ) -> None:  # fmt: skip
        self.function, self.builder, self.names, self.template = function, builder, names, template
        self.vocabulary, self.linker = vocabulary, linker
        self.stubs, self.constants, self.defined = linker.program.stubs, linker.program.constants, linker.defined
        self.variables: dict[str, Variable] = {}

    def at(self, node: Node) -> Position:
        """The place of a node in its file."""
        return self.function.at(node)

    def unknown(self, name: str, kind: str, node: Node) -> None:
        """Report a name later, together with all others."""
        self.linker.unknowns.add(name, kind, self.at(node), self.function.name)

    def value(self, node: Node) -> Value:
        """Compile an expression."""
        raise NotImplementedError

    def truth(self, value: Value, at: Position) -> Value:
        """A value as 0 or 1."""
        raise NotImplementedError

    def wrapped(self, value: Value, node: Node) -> Value:
        """The value modulo its width."""
        raise NotImplementedError

    def helper(self, name: str) -> CFunction | None:
        """A function of the same source that nothing else knows; it is compiled with the rest."""
        if name in self.names.namespace.functions or name in self.vocabulary.replacements:
            return None
        return self.linker.use_helper(name)

    # ---- places

    def place(self, node: Node) -> Place:
        """What an expression on the left of an assignment refers to."""
        match node.type:
            case "parenthesized_expression" if len(node.named_children) == 1:
                return self.place(node.named_children[0])
            case "cast_expression":
                return self.place(child(node, "value"))
            case "identifier" if text_of(node) in self.variables:
                variable = self.variables[text_of(node)]
                return Place(variable, view=variable.view)
            case "field_expression":
                return self._member(node)
            case "pointer_expression" if text_of(child(node, "operator")) == "*":
                return self._pointed(child(node, "argument"))
            case "call_expression":
                place = self._percpu_place(node)
                if place is not None:
                    return place
            case "subscript_expression":
                return self._element(node)
        value = self.value(node)
        return Place(view=value.view, node=self.template.bind((value.operand, value.domain)), nothing=value.view.startswith(OPAQUE))

    def _element(self, node: Node) -> Place:
        value = self.value(child(node, "argument"))
        if value.view.startswith(OPAQUE):
            return Place(nothing=True)
        if value.view != UNKNOWN:
            raise PasidlabError(f"'{plain(node)[:50]}': arrays are outside the C that can be checked", position=self.at(node))
        return Place(view=UNKNOWN)

    def _member(self, node: Node) -> Place:
        written = plain(node).replace("->", ".")
        if written in self.vocabulary.values:
            value = self.by_meaning(self.vocabulary.values[written], {}, self.at(node))
            return Place(view=value.view, node=self.template.bind((value.operand, value.domain)))
        base = self.value(child(node, "argument"))
        name = text_of(child(node, "field"))
        if base.view == UNKNOWN:
            return Place(view=UNKNOWN)
        struct = base.view.removeprefix(OPAQUE)
        return self.member_of(base, struct, name, node)

    def member_of(self, base: Value, struct: str, name: str, node: Node) -> Place:
        """The member of a struct that a value points to."""
        key = f"{struct}.{name}" if struct else name
        if key in self.stubs:
            value = self.stubbed(self.stubs[key], self.at(node))
            return Place(node=self.template.bind((value.operand, value.domain)), nothing=self.stubs[key].kind == "noop", store="pass")
        element = self.template.bind((base.operand, base.domain))
        if key in self.vocabulary.bits:
            return Place(bits=self.vocabulary.bits[key], element=element)
        meaning = self.vocabulary.members.get(key)
        if meaning is None:
            if name == "*":
                raise PasidlabError(f"'*{plain(node)[:40]}': this pointer leads nowhere in the model", position=self.at(node))
            self.unknown(key, "member", node)
            return Place(view=UNKNOWN)
        if meaning.nothing:
            return Place(nothing=True)
        (statement,) = self.template.expand(meaning.text, {"x": element})
        assert isinstance(statement, ast.Expr)
        return Place(node=statement.value, view=meaning.view, element=element, store=self.vocabulary.stores.get(key, ""))

    def _pointed(self, node: Node) -> Place:
        inner = node
        while inner.type == "parenthesized_expression" and len(inner.named_children) == 1:
            inner = inner.named_children[0]
        if inner.type == "pointer_expression" and text_of(child(inner, "operator")) == "&":
            return self.place(child(inner, "argument"))
        if inner.type == "call_expression" and self.vocabulary.access.get(text_of(child(inner, "function")), "").startswith("pointer"):
            place = self._percpu_place(inner)
            if place is not None:
                return place
        value = self.value(node)
        if value.view == UNKNOWN or value.view.startswith(OPAQUE):
            return Place(view=value.view, nothing=value.view != UNKNOWN)
        if f"{value.view}.*" in self.vocabulary.members or not value.view:
            return self.member_of(value, value.view, "*", node)
        return Place(view=value.view, node=self.template.bind((value.operand, value.domain)))

    def _percpu_place(self, node: Node) -> Place | None:
        """The place a per-CPU accessor reaches, or None if the call is none."""
        kind = self.vocabulary.access.get(text_of(child(node, "function")))
        if kind is None:
            return None
        arguments = child(node, "arguments").named_children
        if not arguments:
            raise PasidlabError("a per-CPU variable is missing", position=self.at(node))
        name = plain(arguments[0]).removeprefix("&").removeprefix("pcpu_hot.").strip("()")
        if name in self.stubs:
            value = self.stubbed(self.stubs[name], self.at(node))
            return Place(node=self.template.bind((value.operand, value.domain)), store="pass")
        meaning = self.vocabulary.percpu.get(name)
        if meaning is None:
            self.unknown(name, "per-CPU variable", arguments[0])
            return Place(view=UNKNOWN)
        if meaning.nothing:
            return Place(nothing=True)
        cpu: ast.expr = ast.Name("this_cpu")
        if kind.endswith("of_cpu"):
            if len(arguments) != 2:
                raise PasidlabError(f"{text_of(child(node, 'function'))} takes a variable and a CPU", position=self.at(node))
            number = self.value(arguments[1])
            cpu = self.template.bind(as_domain((number.operand, number.domain), Ref("Cpu", self.names.counts["Cpu"])))
        (statement,) = self.template.expand(meaning.text, {"x": cpu})
        assert isinstance(statement, ast.Expr)
        return Place(node=statement.value, view=meaning.view, element=cpu, store=self.vocabulary.percpu_negated.get(name, ""))

    # ---- loading and storing

    def load(self, place: Place, node: Node) -> Value:
        """The value at a place."""
        if place.nothing:
            return Value(0, BOOL, OPAQUE)
        if place.view == UNKNOWN:
            return POISON
        if place.variable is not None:
            return self._load_variable(place.variable, node)
        if place.bits:
            return self.load_bits(place, -1, node)
        assert place.node is not None
        self.template.position = self.at(node)
        operand, domain = self.template.expression(place.node)
        return Value(operand, domain, place.view)

    def _load_variable(self, variable: Variable, node: Node) -> Value:
        if variable.view.startswith(OPAQUE):
            return Value(0, NULL, variable.view)
        if variable.local not in self.builder.locals:
            raise PasidlabError(f"'{variable.name}' is used before it has a value", position=self.at(node))
        domain = variable.range or self.builder.locals[variable.local] or ANY
        return Value(variable.local, domain, variable.view, variable.type.unsigned)

    def store(self, place: Place, value: Value, node: Node) -> None:
        """Store a value at a place."""
        if place.nothing or UNKNOWN in (place.view, value.view):
            if place.variable is not None and value.view == UNKNOWN:
                place.variable.view = UNKNOWN
            return
        at = self.at(node)
        if place.variable is not None:
            self.assign(place.variable, value, node)
        elif place.bits:
            self._store_bits(place, value, node)
        elif place.store:
            bound = self.template.bind((value.operand, value.domain))
            self.template.run(place.store, {"x": place.element or ast.Name("this_cpu"), "value": bound}, at)
        else:
            assert place.node is not None
            if not isinstance(place.node, ast.Attribute):
                raise PasidlabError(f"'{plain(node)[:50]}' cannot be stored to in the model", position=at)
            wanted = self._domain_of(place.node)
            if wanted == BOOL and not fits(value.domain, 1):
                value = self.truth(value, at)
            bound = self.template.bind((value.operand, value.domain))
            self.template.position = at
            self.template.statements([ast.Assign([place.node], bound)])

    def _domain_of(self, node: ast.Attribute) -> Domain | None:
        base = self.template.bindings.get(node.value.id) if isinstance(node.value, ast.Name) else None
        struct = base[1].struct if base is not None and isinstance(base[1], Ref) else "Cpu"
        field = self.names.fields.get(f"{struct}.{node.attr}")
        return field.domain if field else None

    def assign(self, variable: Variable, value: Value, node: Node) -> None:
        """Assign a variable, converting to its type."""
        at = self.at(node)
        if value.view.startswith(OPAQUE) or variable.view.startswith(OPAQUE):
            variable.view = variable.view or value.view
            if not (isinstance(value.domain, Ref) and value.view == ""):
                return
        if variable.cpu:
            operand, domain = as_domain((value.operand, value.domain), Ref("Cpu", self.names.counts["Cpu"]))
            self.builder.assign(variable.local, operand, domain, at)
            return
        if variable.type.pointers and not isinstance(value.domain, Ref) and value.constant and value.operand == 0:
            value = Value(0, NULL, variable.view)
        value = self.converted(value, variable.type, node) if not isinstance(value.domain, Ref) else value
        if value.view and (not variable.view or variable.view == UNKNOWN):
            variable.view = value.view
        self.builder.assign(variable.local, value.operand, variable.range or self._settled(variable, value), at)

    def _settled(self, variable: Variable, value: Value) -> Domain:
        """The domain of a value; one computed from the variable itself may grow without end."""
        return value.domain

    def converted(self, value: Value, type_: CType, node: Node) -> Value:
        """A value converted to an integer type."""
        if isinstance(value.domain, Ref) or value.view == UNKNOWN:
            return value if not type_.boolean else self.truth(value, self.at(node))
        if type_.boolean:
            return value if fits(value.domain, 1) else self.truth(value, self.at(node))
        if type_.unsigned:
            return self.wrapped(Value(value.operand, value.domain, "", type_.unsigned), node)
        return Value(value.operand, value.domain)

    # ---- sets of bits

    def bits_place(self, node: Node) -> Place | None:
        """The place of a node that is a set of bits; None for any other, without compiling anything."""
        while node.type == "parenthesized_expression" and len(node.named_children) == 1:
            node = node.named_children[0]
        if node.type == "field_expression" and any(key.endswith("." + text_of(child(node, "field"))) for key in self.vocabulary.bits):
            place = self.place(node)
            return place if place.bits else None
        return None

    def _bit_fields(self, place: Place) -> list[tuple[int, ast.expr]]:
        found = []
        for name, text in place.bits.items():
            mask = self.names.named(name)
            (statement,) = self.template.expand(text, {"x": place.element or ast.Name("x")})
            assert isinstance(statement, ast.Expr) and mask is not None
            found.append((mask, statement.value))
        return found

    def load_bits(self, place: Place, mask: int, node: Node) -> Value:
        """The bits of a set that are in the mask."""
        at = self.at(node)
        self.template.position = at
        result = Value(0, Int(0, 0))
        for bit, field in self._bit_fields(place):
            if bit & mask:
                held = self.template.expression(field)
                one = self.builder.binary("mul", held, (bit, Int(bit, bit)), at)
                result = Value(*self.builder.binary("or", (result.operand, result.domain), one, at)) if result.operand != 0 else Value(*one)
        return result

    def change_bits(self, place: Place, operator: str, value: Value, node: Node) -> Value:
        """``|=`` and ``&=`` with a constant touch only the bits they change."""
        if value.view == UNKNOWN:
            return POISON
        if not value.constant:
            raise PasidlabError(f"'{plain(node)[:50]}': the mask must be a constant", position=self.at(node))
        mask = int(value.operand)
        for bit, field in self._bit_fields(place):
            touched = bit & mask if operator == "|=" else not bit & mask
            if touched:
                self.template.position = self.at(node)
                self.template.statements([ast.Assign([field], ast.Constant(operator == "|="))])
        return NO_VALUE

    def _store_bits(self, place: Place, value: Value, node: Node) -> None:
        at = self.at(node)
        for bit, field in self._bit_fields(place):
            held = self.builder.binary("and", (value.operand, value.domain), (bit, Int(bit, bit)), at)
            one = self.builder.binary("ne", held, (0, Int(0, 0)), at)
            self.template.position = at
            self.template.statements([ast.Assign([field], self.template.bind(one))])

    # ---- what the vocabulary says

    def by_meaning(self, meaning: Meaning, replacements: Mapping[str, ast.expr], at: Position) -> Value:
        """Compile an entry of the vocabulary."""
        if meaning.nothing:
            return Value(0, BOOL, OPAQUE)
        operand, domain = self.template.run(meaning.text, replacements, at, meaning.atomic)
        return Value(operand, domain, meaning.view)

    def stubbed(self, stub: Stub, at: Position) -> Value:
        """What a stub stands for."""
        if stub.kind == "noop":
            return Value(0, BOOL)
        domain = BOOL if (stub.low, stub.high) == (0, 1) else Int(stub.low, stub.high)
        dst = self.builder.temp(domain)
        self.builder.emit("choose", dst, stub.low, stub.high, at=at)
        return Value(dst, domain)
