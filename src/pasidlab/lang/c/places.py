"""Names and places of C: what the vocabulary makes of variables, members, per-CPU variables and sets of bits."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.contents import Contents
from pasidlab.lang.c.ctype import INT, UINT, ULLONG, VOID, Array, CType, Integer, Pointer, Struct
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.parse import arguments_of, child, plain
from pasidlab.lang.c.unknown import Stub
from pasidlab.lang.c.values import OPAQUE, UNKNOWN, Place, Value, pointer_outside
from pasidlab.lang.c.vocabulary import Meaning
from pasidlab.lang.ir import CPU
from pasidlab.lang.types import BOOL, NULL, Int, Ref


class Places(Contents):
    """The part of a C function's compiler that resolves names."""

    # ---- places

    def place(self, node: Node) -> Place:
        """What an expression on the left of an assignment refers to."""
        match node.type:
            case "parenthesized_expression" if len(node.named_children) == 1 and node.named_children[0].type != "compound_statement":
                return self.place(node.named_children[0])
            case "identifier" if text_of(node) in self.variables and self.variables[text_of(node)].value is None:
                variable = self.variables[text_of(node)]
                return Place(variable.type, variable, view=variable.view, aggregate=variable.aggregate)
            case "identifier" if text_of(node) not in self.variables and self.around.object(text_of(node)) is not None:
                return self.constant_object(text_of(node), node)
            case "field_expression":
                return self._member(node)
            case "pointer_expression" if text_of(child(node, "operator")) == "*":
                return self.pointed(child(node, "argument"))
            case "call_expression":
                place = self.percpu_place(node)
                if place is not None:
                    return place
            case "subscript_expression":
                return self._element(node)
            case "compound_literal_expression":
                return self.compound_literal(node)
        value = self.value(node)
        return self.bound_place(value)

    def bound_place(self, value: Value) -> Place:
        """A value where a place is asked for; nothing can be stored there unless it is an element of a struct."""
        return Place(value.type, view=value.view, node=self.template.bind((value.operand, value.domain)), nothing=value.opaque)

    def _element(self, node: Node) -> Place:
        inner = child(node, "argument")
        base = self.value(inner) if inner.type == "call_expression" else None
        place = base.place if base is not None and base.place else self.place(inner)
        pointed = place.type if place.variable is None else place.variable.type
        through = to_const(pointed if base is None else base.type)
        if place.variable is not None and place.variable.place is not None:
            place = place.variable.place
        if place.aggregate is not None:
            return kept_from(place.fixed or through, self.element_of(place, child(node, "index"), node))
        if place.view == UNKNOWN:
            return Place(view=UNKNOWN)
        raise PasidlabError(
            f"'{plain(node)[:50]}': this array is outside the C that can be checked", position=self.at(node),
            hint="arrays that the function or the file declares can be used",
        )  # fmt: skip

    def _member(self, node: Node) -> Place:
        inner = child(node, "argument")
        written = plain(node).replace("->", ".")
        root = written.partition(".")[0]
        if written in self.vocabulary.values and root not in self.variables:
            return self.bound_place(self.by_meaning(self.vocabulary.values[written], {}, self.at(node)))
        if text_of(child(node, "operator")) == ".":
            place = self.place(inner)
            return kept_from(place.fixed, self._member_in(place, node))
        base = self.value(inner)
        return kept_from(to_const(base.type), self._member_behind(base, node))

    def _member_in(self, place: Place, node: Node) -> Place:
        """``place.member``."""
        if place.aggregate is not None:
            return self.member_place(place, text_of(child(node, "field")), node)
        made_by = child(node, "argument")
        while made_by.type == "parenthesized_expression":
            made_by = made_by.named_children[0]
        if made_by.type in ("assignment_expression", "comma_expression", "compound_statement"):
            what = f"'{plain(node)[:50]}': a member of a struct without a name is outside the C that can be checked"
            raise PasidlabError(what, position=self.at(node), hint="a statement of its own before, then the member of the variable")
        return self._member_behind(self.load(place, child(node, "argument")), node)

    def _member_behind(self, base: Value, node: Node) -> Place:
        """``base->member``."""
        name = text_of(child(node, "field"))
        if base.place is not None and base.place.aggregate is not None:
            return kept_from(base.place.fixed, self.member_place(base.place, name, node))
        if base.place is not None:
            base = self.load(base.place, child(node, "argument"))
        if base.unknown:
            return Place(view=UNKNOWN)
        if (nowhere := self._led_by(base, node)) is not None:
            return self.member_place(nowhere, name, node)
        return self.member_of(base, base.view.removeprefix(OPAQUE), name, node)

    def member_of(self, base: Value, struct: str, name: str, node: Node) -> Place:
        """The member of a struct that a value points to."""
        key = f"{struct}.{name}" if struct else name
        if key in self.stubs:
            value = self.stubbed(self.stubs[key], self.at(node))
            return Place(node=self.template.bind((value.operand, value.domain)), nothing=self.stubs[key].kind == "noop", store="pass")
        if base.opaque:
            self.unknown(key, "member", node)
            return Place(view=UNKNOWN)
        if base.domain == NULL:
            self.refuse(node, f"'{plain(node)[:40]}': nothing but NULL is given to this pointer so far", "give it its value first")
        element = self.template.bind((base.operand, base.domain))
        if key in self.vocabulary.bits:
            return Place(ULLONG, bits=self.vocabulary.bits[key], element=element)
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
        return Place(
            meaning.type or ULLONG, node=statement.value, view=meaning.view, element=element, store=self.vocabulary.stores.get(key, ""),
            pasid=meaning.pasid,
        )  # fmt: skip

    def pointed(self, node: Node) -> Place:
        """What a pointer leads to."""
        inner = bare(node)
        if inner.type == "pointer_expression" and text_of(child(inner, "operator")) == "&":
            taken = self.place(child(inner, "argument"))
            self.not_a_bit_field(taken, node)
            return taken
        if inner.type == "call_expression" and self.vocabulary.access.get(text_of(child(inner, "function")), "").startswith("pointer"):
            place = self.percpu_place(inner)
            if place is not None:
                return place
        value = self.value(node)
        return kept_from(to_const(value.type), self._led_to(value, node))

    def _led_to(self, value: Value, node: Node) -> Place:
        if value.place is not None:
            return self._first_of(value.place)
        if value.unknown or value.opaque:
            return Place(view=value.view, nothing=value.opaque)
        if (nowhere := self._led_by(value, node)) is not None:
            return nowhere
        if f"{value.view}.*" in self.vocabulary.members or not value.view:
            return self.member_of(value, value.view, "*", node)
        return Place(Struct(value.view), view=value.view, node=self.template.bind((value.operand, value.domain)))

    def _first_of(self, place: Place) -> Place:
        """Where a pointer leads: of an array, its first element."""
        if not isinstance(place.type, Array) or place.aggregate is None:
            return place
        return kept_from(place.fixed, self.element_numbered(place, 0))

    def _led_by(self, pointer: Value, node: Node) -> Place | None:
        """Where a pointer to a type of the sources leads that has no place here: NULL, or one whose type alone is asked for."""
        type_ = pointer.type.to if isinstance(pointer.type, Pointer) else VOID
        if pointer.view or not (isinstance(type_, Integer | Array) or (isinstance(type_, Struct) and self.own_struct(type_) is not None)):
            return None
        if pointer.operand != 0 and not self.typing:
            self.refuse(node, f"'{plain(node)[:40]}': this pointer leads nowhere in the model")
        if not self.typing:
            self.builder.emit("crash", at=self.at(node), text=f"NULL pointer dereference: {plain(node)[:40]}")
            self.builder.place(self.builder.label("never"), self.at(node))
        return self.nowhere(type_, node)

    def percpu_place(self, node: Node, held: bool = False) -> Place | None:
        """The place a per-CPU accessor reaches, or None if the call is none. ``held``: of this CPU, wherever the task goes."""
        kind = self.vocabulary.access.get(text_of(child(node, "function")))
        if kind is None:
            return None
        arguments = arguments_of(node)
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
        cpu = self._cpu_of(kind, arguments, node, held)
        (statement,) = self.template.expand(meaning.text, {"x": cpu})
        assert isinstance(statement, ast.Expr)
        return Place(
            meaning.type or INT, node=statement.value, view=meaning.view, element=cpu, store=self.vocabulary.percpu_negated.get(name, "")
        )

    def _cpu_of(self, kind: str, arguments: list[Node], node: Node, held: bool) -> ast.expr:
        if kind.endswith("of_cpu"):
            if len(arguments) != 2:
                raise PasidlabError(f"{text_of(child(node, 'function'))} takes a variable and a CPU", position=self.at(node))
            number = self.arithmetic.cpu(self.value(arguments[1]), self.cpus, self.at(node))
            return self.template.bind((number.operand, number.domain))
        if held:
            return self.template.bind(self.builder.unary("copy", (CPU, Ref("Cpu", self.cpus)), self.at(node)))
        return ast.Name("this_cpu")

    # ---- sets of bits

    def bits_place(self, node: Node) -> Place | None:
        """The place of a node that is a set of bits; None for any other, without compiling anything."""
        node = bare(node)
        if node.type == "field_expression" and any(key.endswith("." + text_of(child(node, "field"))) for key in self.vocabulary.bits):
            place = self.place(node)
            return place if place.bits else None
        return None

    # ---- what the vocabulary says

    def by_meaning(self, meaning: Meaning, replacements: Mapping[str, ast.expr], at: Position) -> Value:
        """Compile an entry of the vocabulary."""
        if meaning.nothing:
            return pointer_outside("")
        value = self.typed(self.template.run(meaning.text, replacements, at, meaning.atomic), meaning.type)
        if meaning.pasid:
            none = self.around.no_pasid
            return replace(value, type=UINT) if none == 0 else self.number_of_pasid(value, self.function.node)
        return value

    def stubbed(self, stub: Stub, at: Position) -> Value:
        """What a stub stands for."""
        if stub.kind == "noop":
            return Value(0, BOOL)
        domain = BOOL if (stub.low, stub.high) == (0, 1) else Int(stub.low, stub.high)
        dst = self.builder.temp(domain)
        self.builder.emit("choose", dst, stub.low, stub.high, at=at)
        return Value(dst, domain)


def to_const(type_: CType) -> bool:
    """Whether nothing may be stored through a value of a type."""
    return isinstance(type_, Pointer) and type_.constant


def kept_from(fixed: bool, place: Place) -> Place:
    """A place that nobody may store to, if ``fixed``."""
    return replace(place, fixed=True) if fixed else place


def bare(node: Node) -> Node:
    """An expression without the brackets around it."""
    while node.type == "parenthesized_expression" and len(node.named_children) == 1:
        if node.named_children[0].type == "compound_statement":
            break
        node = node.named_children[0]
    return node
