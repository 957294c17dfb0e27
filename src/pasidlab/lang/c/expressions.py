"""C expressions -> IR."""

from __future__ import annotations

from dataclasses import replace

from tree_sitter import Node

from pasidlab.lang.c.arithmetic import COMPARISONS, OPERATORS
from pasidlab.lang.c.conditions import character, constant
from pasidlab.lang.c.ctype import CHAR, INT, ULONG, VOID, Integer, Pointer, Struct
from pasidlab.lang.c.declarators import text_of
from pasidlab.lang.c.operand_types import STRINGS, Types
from pasidlab.lang.c.parse import child, parts_of, plain
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.values import NO_VALUE, POISON, Place, Value, null_pointer, number_of, pointer_outside
from pasidlab.lang.types import NULL, Int, Ref

_BIND_CLOSER = (
    "binary_expression", "unary_expression", "pointer_expression", "cast_expression", "sizeof_expression", "update_expression",
    "conditional_expression", "field_expression",
)  # fmt: skip
"""Their operands are no assignments without brackets (C11 6.5.16); the grammar takes them for such."""


class CExpressions(Types):
    """Compiles expressions; the statements inherit from it."""

    def value(self, node: Node) -> Value:
        """An expression as a constant or a local."""
        match node.type:
            case "parenthesized_expression":
                return self._parenthesized(node)
            case "number_literal" | "char_literal" | "true" | "false" | "null":
                return self._constant_value(node)
            case "identifier":
                return self._identifier(node)
            case "field_expression" | "subscript_expression" | "compound_literal_expression":
                return self.load(self.place(node), node)
            case "pointer_expression":
                return self._pointer(node)
            case "binary_expression":
                return self._binary(node)
            case "unary_expression":
                return self._unary(node)
            case "update_expression":
                return self._update(node)
            case "assignment_expression":
                return self._assignment(node)
            case "conditional_expression":
                return self._conditional(node)
            case "call_expression":
                return self.call(node)
            case "cast_expression":
                return self._cast(node)
            case "comma_expression":
                self.value(child(node, "left"))
                return self.value(child(node, "right"))
            case "sizeof_expression" | "alignof_expression":
                return self._sizeof(node)
            case "offsetof_expression":
                return self._offsetof(node)
            case "gnu_asm_expression":
                return self._assembler(node)
        if node.type in STRINGS:
            return pointer_outside("", Pointer(CHAR))
        self.refuse(node, f"'{' '.join(text_of(node).split())[:50]}' is outside the C that can be checked")

    def _parenthesized(self, node: Node) -> Value:
        inner = parts_of(node)
        if len(inner) != 1:
            self.refuse(node, "not valid C: an expression is missing in the brackets")
        if inner[0].type == "compound_statement":
            return self.statement_expression(inner[0])
        return self.value(inner[0])

    def _constant_value(self, node: Node) -> Value:
        match node.type:
            case "number_literal":
                return self._number(node)
            case "char_literal":
                return self._character(node)
            case "null":
                return null_pointer()
        return number_of(int(node.type == "true"))

    def _number(self, node: Node) -> Value:
        text = text_of(node)
        if text.startswith(("-", "+")):  # the grammar takes the sign for a part of the number
            return self.arithmetic.negated(text[0], self._literal(node, text[1:].strip()), self.at(node))
        return self._literal(node, text)

    def _literal(self, node: Node, text: str) -> Value:
        found = constant(text)
        if found is None:
            self.refuse(node, f"'{text}' is no integer", "floating point has no place in a kernel; 64 bits are the most an integer has")
        value, type_ = found
        return number_of(value if value <= type_.high and value < 1 << 63 else value - (1 << 64), type_)

    def _character(self, node: Node) -> Value:
        found = character(text_of(node))
        if found is None:
            self.refuse(node, f"{text_of(node)} is no single character")
        return number_of(found)

    def _identifier(self, node: Node) -> Value:
        name = text_of(node)
        variable = self.variables.get(name)
        if variable is not None:
            return variable.value or self.load(Place(variable.type, variable, view=variable.view, aggregate=variable.aggregate), node)
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        known = self.around.constant(name)
        if known is not None:
            return known
        if self.around.object(name) is not None:
            return self.load(self.constant_object(name, node), node)
        if name in self.vocabulary.values:
            meaning = self.vocabulary.values[name]
            if meaning.pasid:
                return number_of(self.around.no_pasid, meaning.type or INT)
            return self.by_meaning(meaning, {}, self.at(node))
        number = self.names.named(name)
        if number is not None:
            return self.typed((number, Int(number, number)), None)
        if name in self.vocabulary.features:
            return number_of(int(self.vocabulary.features[name]))
        self.unknown(name, "name", node)
        return POISON

    def _pointer(self, node: Node) -> Value:
        inner = bare(child(node, "argument"))
        if text_of(child(node, "operator")) == "*":
            return self.load(self.place(node), node)
        if inner.type == "pointer_expression" and text_of(child(inner, "operator")) == "*":
            return self.value(child(inner, "argument"))
        if inner.type == "identifier" and self._is_outside(text_of(inner)):
            return pointer_outside(text_of(inner))  # the address of something outside the model: a lock, a key
        place = self.place(inner)
        if place.view == "?":
            return POISON
        if place.nothing:
            return pointer_outside(text_of(inner), Pointer(place.type))
        self.not_a_bit_field(place, inner)
        if place.aggregate is None and isinstance(place.type, Struct):
            value = self.load(place, inner)
            return replace(value, type=Pointer(place.type, place.fixed)) if not value.unknown else value
        if place.variable is None and place.aggregate is None and place.node is None and not place.bits:
            self.refuse(node, f"the address of '{text_of(inner)[:40]}' is outside the C that can be checked", "pass the value")
        if place.variable is not None and place.variable.place is not None:
            self.refuse(node, f"the address of the pointer '{text_of(inner)}' to a variable", "pass the pointer")
        fixed = place.fixed or (place.variable is not None and place.variable.fixed)
        return Value(1, Int(1, 1), Pointer(place.type, fixed), "", place)

    def _is_outside(self, name: str) -> bool:
        known = name in self.variables or name in self.vocabulary.values or self.around.constant(name) is not None
        return not known and self.around.object(name) is None

    def _binary(self, node: Node) -> Value:
        operator = text_of(child(node, "operator"))
        left, right, at = child(node, "left"), child(node, "right"), self.at(node)
        if operator in ("&&", "||"):
            return self._logical("and" if operator == "&&" else "or", self.arithmetic.truth(self.tested(left), self.at(left)), right, at)
        if operator == "&" and (masked := self._masked_bits(left, right)) is not None:
            return masked
        look = self.tested if operator in ("==", "!=") else self.value
        a = look(left)
        if changes_something(right):
            a = self.arithmetic.settled(a, at)
        if operator == "+" and (behind := self._behind(a, node)):
            return replace(a, view=behind, type=Pointer(Struct(behind)))
        b = look(right)
        if a.unknown or b.unknown:
            return POISON
        if operator in COMPARISONS:
            return self.arithmetic.compare(operator, a, b, at)
        if operator not in OPERATORS:
            self.refuse(node, f"operator '{operator}' is outside the C that can be checked")
        return self.operated(operator, a, b, node)

    def operated(self, operator: str, a: Value, b: Value, node: Node) -> Value:
        """Arithmetic; pointers have none."""
        for one in (a, b):
            if not isinstance(one.type, Integer):
                self.refuse(node, f"arithmetic on a pointer: '{plain(node)[:50]}'", "only comparison, and what it points to, count")
        return self.arithmetic.binary(operator, a, b, self.at(node))

    def _behind(self, pointer: Value, node: Node) -> str:
        """The struct that ``(void *)p + sizeof(*p)`` points to, if the vocabulary knows what lies behind."""
        size, left = node.child_by_field_name("right"), node.child_by_field_name("left")
        if size is None or left is None or size.type != "sizeof_expression":
            return ""
        name = plain(left).rpartition(")")[2] or plain(left).strip("()")
        return self.vocabulary.behind.get(pointer.view, "") if plain(size) == f"sizeof(*{name})" else ""

    def _masked_bits(self, left: Node, right: Node) -> Value | None:
        """``header.xfeatures & MASK``: only the bits in the mask are looked at."""
        place = self.bits_place(left)
        if place is None:
            return None
        mask, at = self.value(right), self.at(left)
        if mask.unknown:
            return POISON
        if isinstance(mask.operand, int):
            wide = self.arithmetic.convert(mask, ULONG, at)
            return self.arithmetic.binary("&", self.bits.load(place, int(wide.operand), at), mask, at)
        return self.arithmetic.binary("&", self.bits.load(place, -1, at), mask, at)

    def _unary(self, node: Node) -> Value:
        operator, inner = text_of(child(node, "operator")), child(node, "argument")
        return self._applied(operator, self.tested(inner) if operator == "!" else self.value(inner), node)

    def _applied(self, operator: str, value: Value, node: Node) -> Value:
        """``!x``, ``~x``, ``-x``, ``+x``."""
        if value.unknown:
            return POISON
        if operator == "!":
            return self.arithmetic.inverted(value, self.at(node))
        if operator in ("~", "-", "+"):
            return self.arithmetic.negated(operator, value, self.at(node))
        self.refuse(node, f"operator '{operator}' is outside the C that can be checked")

    def _update(self, node: Node) -> Value:
        """``x++``, ``--x``. The grammar takes ``-x++`` for (-x)++; in C what stands behind binds first."""
        inner, prefix = child(node, "argument"), node.children[0].type in ("++", "--")
        before: list[str] = []
        while not prefix and inner.type == "unary_expression":
            before.append(text_of(child(inner, "operator")))
            inner = child(inner, "argument")
        value = self._changed(self.place(inner), text_of(child(node, "operator")), prefix, node)
        for operator in reversed(before):
            value = self._applied(operator, value, node)
        return value

    def _changed(self, place: Place, operator: str, prefix: bool, node: Node) -> Value:
        kept = self.arithmetic.settled(self.load(place, node), self.at(node))
        if kept.unknown:
            return POISON
        new = self.store(place, self.operated(operator[0], kept, number_of(1), node), node)
        return new if prefix else self.arithmetic.number(kept, self.at(node))

    def _assignment(self, node: Node) -> Value:
        operator = text_of(child(node, "operator"))
        left, right = child(node, "left"), child(node, "right")
        if node.parent is not None and node.parent.type in _BIND_CLOSER and node.parent.child_by_field_name("consequence") != node:
            self.refuse(node, "not valid C: what stands left of this assignment cannot be stored to", "brackets around the assignment")
        if operator == "=":
            value = self.value(right)
            return self.store(self.place(left), value, node)
        if operator[:-1] not in OPERATORS:
            self.refuse(node, f"operator '{operator}' is outside the C that can be checked")
        place = self.place(left)
        old = self.load(place, left)
        if changes_something(right):
            old = self.arithmetic.settled(old, self.at(node))
        change = self.value(right)
        if old.unknown or change.unknown:
            return POISON
        return self.store(place, self.operated(operator[:-1], old, change, node), node)

    def _cast(self, node: Node) -> Value:
        type_ = self.type_named(child(node, "type"))
        value = self.value(child(node, "value"))
        if value.unknown:
            return value
        if isinstance(type_, Integer):
            return self.arithmetic.convert(value, type_, self.at(node))
        if type_ == VOID:
            return NO_VALUE
        if not isinstance(type_, Pointer):
            self.refuse(node, f"a cast to {type_}", "a type that is not known here, or no type")
        if not isinstance(value.domain, Ref) and not value.opaque and value.place is None:
            if value.operand != 0:
                self.refuse(node, "a number as a pointer", "only 0 is one in the model: NULL")
            return null_pointer(type_)
        view = type_.to.name if isinstance(type_.to, Struct) and type_.to.name in self.vocabulary.structs else value.view
        if value.place is not None and type_.to not in (VOID, value.place.type):
            self.refuse(node, "a variable looked at as another type")
        element = value.domain.struct if isinstance(value.domain, Ref) and value.domain != NULL else ""
        if (element and self.vocabulary.structs.get(view, element) != element) or (element and isinstance(type_.to, Integer)):
            self.refuse(node, f"a {element} looked at as {type_}")
        return replace(value, view=value.view if value.opaque else view, type=type_)

    def _assembler(self, node: Node) -> Value:
        code = text_of(node.child_by_field_name("assembly_code"))
        outputs = node.child_by_field_name("output_operands")
        if outputs is not None and any(n.type == "gnu_asm_output_operand" for n in outputs.named_children):
            self.refuse(node, "inline assembler that gives a variable a value", "the value as C has it, or a function and --stub")
        words = [
            w
            for w in "".join(c if c.isalnum() else " " for c in code.replace("\\n", " ").replace("\\t", " ")).split()
            if not w[0].isdigit()
        ]
        if all(word in self.vocabulary.assembler for word in words):
            return NO_VALUE
        self.unknown(next(w for w in words if w not in self.vocabulary.assembler), "instruction in inline assembler", node)
        return POISON


def changes_something(node: Node) -> bool:
    """Whether evaluating an expression may assign a variable."""
    if node.type in ("assignment_expression", "update_expression", "call_expression", "compound_statement"):
        return True
    return any(changes_something(inner) for inner in node.named_children)
