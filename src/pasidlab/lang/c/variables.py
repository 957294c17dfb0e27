"""Variables of a C function, their types and their declarations."""

from __future__ import annotations

from tree_sitter import Node

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.c.aggregates import fix, part_place
from pasidlab.lang.c.ctype import INT, ULONG, VOID, Array, CType, Integer, Pointer, Struct, Unknown, enum_type
from pasidlab.lang.c.declarators import Evaluator, declared, introduced, is_const, specifier, text_of, type_hint
from pasidlab.lang.c.initializers import Initializers
from pasidlab.lang.c.operand_types import STRINGS
from pasidlab.lang.c.parse import CFunction, CObject, child, enumerators, inner_structs, sized
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.surroundings import Surroundings
from pasidlab.lang.c.survey import Survey
from pasidlab.lang.c.templates import Template
from pasidlab.lang.c.values import (
    OPAQUE,
    UNKNOWN,
    Inside,
    Place,
    Value,
    Variable,
    enumerator,
    exact,
    null_pointer,
    number_of,
    pointer_outside,
)
from pasidlab.lang.c.vocabulary import Vocabulary
from pasidlab.lang.emit import Builder, wrapped_to_64
from pasidlab.lang.names import Names
from pasidlab.lang.types import ANY, NULL, Domain, Ref


class CVariables(Initializers):
    """The part of a C function's compiler that declares and assigns variables."""

    def __init__(
        self, function: CFunction, builder: Builder, names: Names, template: Template, vocabulary: Vocabulary, around: Surroundings
    ) -> None:  # fmt: skip
        super().__init__(function, builder, names, template, vocabulary, around)
        self.declared: dict[str, int] = {}  # how often each name was
        self.watched: dict[str, str] = {}  # locals that have no value by themselves: the names in C
        self.without_value: set[str] = set()  # of them, those declared without one
        self.begins: dict[str, str] = {}  # label -> the local whose life begins there
        self.structs: dict[str, Node] = {}
        self.enums: dict[str, Integer] = {}  # those of the function, by their tags
        self.outer: dict[str, Variable] = {}  # the names of the scopes around the innermost
        self.survey = Survey.of(function.body, vocabulary.cpus)

    def evaluator(self) -> Evaluator:
        """What types ask."""
        return self

    # ---- variables

    def new_variable(self, name: str, type_: CType) -> Variable:
        """A variable in the IR that no name of C stands for yet."""
        same = self.declared.get(name, 0)
        self.declared[name] = same + 1
        struct = type_.to if isinstance(type_, Pointer) else type_
        view = ""
        if isinstance(struct, Struct):
            known = struct.name in self.vocabulary.structs or self.around.struct(struct.name) is not None or struct.name in self.structs
            view = "" if known else OPAQUE + struct.name
            view = struct.name if struct.name in self.vocabulary.structs else view
        if isinstance(type_, Struct) and view in self.vocabulary.structs:
            view = OPAQUE + view if self.own_struct(type_) is None else ""
        variable = Variable(name, type_, f"{name}'{same or ''}", view)
        if isinstance(type_, Integer):
            self.builder.locals[variable.local] = domain_of(type_)
        return variable

    def _declare(self, name: str, type_: CType) -> Variable:
        variable = self.new_variable(name, type_)
        self.variables[name] = variable
        return variable

    def own_struct(self, type_: CType) -> Node | None:
        """The definition of a struct of the file or the function; None for the kernel's."""
        if isinstance(type_, Struct) and type_.name in self.structs:
            return self.structs[type_.name]
        return super().own_struct(type_)

    def assign(self, variable: Variable, value: Value, node: Node) -> Value:
        """Assign a variable, converting to its type; the value it then has."""
        at = self.at(node)
        if value.unknown:
            variable.view = UNKNOWN
            return value
        if isinstance(value.type, Struct) or isinstance(variable.type, Struct | Array):
            self.refuse(node, f"'{variable.name}': a struct is copied", "use a pointer to it, or copy its members")
        if variable.value is not None:
            self.refuse(node, f"'{variable.name}' is constant")
        if value.type == VOID:
            self.refuse(node, f"'{variable.name}' is given what has no value")
        if variable.inside is not None:
            return self._assign_bits_of(variable, variable.inside, value, node)
        if isinstance(variable.type, Integer):
            return self._assign_number(variable, value, at)
        if not isinstance(variable.type, Pointer):
            self.refuse(node, f"'{variable.name}' is of the type {variable.type}, which is not known here", "declare it in the file")
        return self._assign_pointer(variable, self.as_pointer(value, variable.type, at), at)

    def _assign_number(self, variable: Variable, value: Value, at: Position) -> Value:
        if variable.cpu:
            if not value.is_cpu and value.operand != -1:
                what = f"'{variable.name}' has the number of a CPU elsewhere, here another number"
                raise PasidlabError(what, position=at, hint="a variable of its own for each")
            held = self.arithmetic.cpu(value, self.cpus, at)
            self.builder.locals[variable.local] = held.domain
            self.builder.emit("copy", variable.local, held.operand, at=at)
            return Value(variable.local, held.domain, variable.type)
        value = self.arithmetic.convert(self.arithmetic.number(value, at), variable.type, at)
        self.builder.emit("copy", variable.local, value.operand, at=at)
        return value

    def _assign_bits_of(self, variable: Variable, inside: Inside, value: Value, node: Node) -> Value:
        """Store to a part of a union. The other bits stay, so they must have been given a value before."""
        at, mask = self.at(node), (1 << inside.bits) - 1
        value = self.arithmetic.settled(self.arithmetic.convert(value, variable.type, at), at)
        bits = self.arithmetic.binary("&", self.arithmetic.convert(value, ULONG, at), number_of(wrapped_to_64(mask), ULONG), at)
        if inside.bits < inside.of:
            kept = number_of(wrapped_to_64(~(mask << inside.bit)), ULONG)
            old = self.arithmetic.binary("&", self.load(Place(ULONG, inside.whole), node), kept, at)
            bits = self.arithmetic.binary("|", old, self.arithmetic.binary("<<", bits, number_of(inside.bit), at), at)
        self.assign(inside.whole, bits, node)
        return value

    def _assign_pointer(self, variable: Variable, value: Value, at: Position) -> Value:
        if value.place is not None or value.opaque or variable.place is not None or variable.view.startswith(OPAQUE):
            return self._lead(variable, value, at)
        if value.type == Pointer(VOID) and not isinstance(value.domain, Ref) and not value.constant:  # nothing but NULL is passed for it
            none = self.arithmetic.compare("==", value, null_pointer(), at)
            self.arithmetic.crash_unless(none.operand, f"'{variable.name}' leads to something the model does not have", at)
            value = null_pointer(variable.type, variable.view)
        if value.view and variable.view not in ("", UNKNOWN, value.view) and variable.type == Pointer(VOID):
            raise PasidlabError(f"'{variable.name}' points to a {variable.view} before, here to a {value.view}", position=at)
        if value.view and (not variable.view or variable.view == UNKNOWN):
            variable.view = value.view
        self.builder.assign(variable.local, value.operand, value.domain, at)
        return Value(variable.local, value.domain, variable.type, variable.view)

    def _lead(self, variable: Variable, value: Value, at: Position) -> Value:
        """A pointer to a variable, or out of the model: a name for what it leads to, so it is set once, and not on some ways alone."""
        first = any(variable is one for one in self.initialized)
        more = self.survey.assigned.get(variable.name, 0) > 1
        if more or not (first or self._is_set_here_alone(variable)):
            what = f"'{variable.name}' is a pointer to something outside the model, or to a variable"
            when = "set more than once" if more else "set after its declaration"
            raise PasidlabError(f"{what}, and {when}", position=at, hint="a variable of its own for each")
        if value.place is not None and variable.local in self.without_value:
            what = f"'{variable.name}' is a pointer to a variable, and has no value where it is declared"
            raise PasidlabError(what, position=at, hint="give it the address there")
        if first and value.operand == 0 and value.place is None and not value.opaque:
            variable.view = ""  # NULL for ever
            self.builder.assign(variable.local, 0, NULL, at)
            return value
        if value.place is not None:
            variable.place, variable.view = value.place, value.view
        elif value.opaque:
            variable.view = value.view if len(value.view) > 1 else variable.view or OPAQUE
        return value

    def as_pointer(self, value: Value, type_: Pointer, at: Position) -> Value:
        """A value as a pointer of a type."""
        if value.operand == 0 and not value.opaque and value.place is None and (isinstance(value.type, Integer) or value.domain == NULL):
            view = type_.to.name if isinstance(type_.to, Struct) and type_.to.name in self.vocabulary.structs else ""
            return null_pointer(type_, view)
        if isinstance(value.type, Integer):
            raise PasidlabError(f"a number as a pointer ({type_})", position=at, hint="only 0 is one in the model: NULL")
        if value.place is not None and type_.to not in (VOID, value.place.type):
            whole = value.place.type.of if isinstance(value.place.type, Array) else None
            if whole != type_.to:
                raise PasidlabError(f"a pointer to {value.place.type} as a pointer to {type_.to}", position=at)
        wanted = self.vocabulary.structs.get(type_.to.name) if isinstance(type_.to, Struct) else None
        if wanted and isinstance(value.domain, Ref) and value.domain != NULL and value.domain.struct != wanted:
            raise PasidlabError(f"a pointer to a {value.domain.struct} as a pointer to a {wanted}", position=at)
        return value

    def _is_set_here_alone(self, variable: Variable) -> bool:
        """Whether an assignment may bind a pointer that leads nowhere yet: to a name of the function that is no parameter, or for good."""
        if variable.place is not None:
            return False
        named = self.variables.get(variable.name) is variable and all(variable.name != one.name for one in self.function.params)
        return named or self.straight

    # ---- types

    def size_of_array(self, node: Node) -> int:
        """The value of a constant expression."""
        value = self.value(node)
        if not isinstance(value.operand, int) or value.operand < 0:
            self.refuse(node, f"'{text_of(node)[:40]}' must be a constant that is not negative")
        return value.operand

    def size_of_bits(self, node: Node, type_: Integer, name: str) -> int:
        """How many bits a bit field has: no more than its type, and none only without a name."""
        bits = self.size_of_array(node)
        if bits > type_.bits or (bits == 0 and name):
            self.refuse(node, f"a bit field of {bits} bits of {type_}")
        return bits

    def define_struct(self, name: str, node: Node) -> None:
        """Take the definition of a struct inside a function. Its name means that everywhere: those of blocks are not kept apart."""
        before = self.structs.get(name) or self.around.struct(name)
        if before is not None and before != node:
            self.refuse(node, f"'{name}' is the name of two structs", "give each a name of its own")
        self.structs[name] = node
        for inner in inner_structs(child(node, "body")):
            self.define_struct(text_of(inner.child_by_field_name("name")), inner)

    def define_enum(self, node: Node) -> Integer:
        """Take the enumerators of a definition inside a function; the enum's type."""
        found: dict[str, int] = {}
        before = -1
        for name, one in enumerators(child(node, "body"), self.units[-1]).items():
            before = self.enumerator_value(one.node, name) if one.node is not None else before + 1
            found[name] = before
            self.variables[name] = Variable(name, INT, "", value=enumerator(before))
        type_ = enum_type(found.values())
        for name, number in found.items():
            value = enumerator(number, type_)
            self.variables[name] = Variable(name, value.type, "", value=value)
        self.enums[text_of(node.child_by_field_name("name"))] = type_
        return type_

    def enum_named(self, tag: str) -> Integer:
        """The type of an enum by its tag."""
        return self.enums.get(tag) or self.around.enum(tag)

    def enumerator_value(self, node: Node, name: str) -> int:
        """The value of an enumerator."""
        mark = len(self.builder.code)
        value = self.value(node)
        if not value.constant or not isinstance(value.type, Integer) or len(self.builder.code) > mark:
            self.refuse(node, f"'{name}' must have a constant for its value")
        return exact(value)

    def constant_variable(self, found: CObject) -> Value | None:
        """The value of a constant variable of the file that is a number; None for any other, and for what is not known here."""
        one = introduced(found.node, found.declarator, self)
        if not isinstance(one.type, Integer):
            return None
        try:
            with self.around.silent():
                value = self.arithmetic.convert(self.value(child(found.declarator, "value")), one.type, self.at(found.declarator))
        except PasidlabError:
            return None
        return value if value.constant and not value.unknown and not self.builder.code else None

    # ---- declarations

    def _product(self, node: Node) -> Value | None:
        """``a * b;``, which the grammar takes for a declaration: a is a variable."""
        kind = node.child_by_field_name("type") if node.type == "declaration" else None
        if kind is None or kind.type != "type_identifier" or text_of(kind) not in self.variables:
            return None
        end = node.end_byte - 1 if text_of(node).endswith(";") else node.end_byte
        found, unit = sized(self.units[-1], node.start_byte, end)
        self.units.append(unit)
        value = self.value(bare(child(found, "value")))
        self.units.pop()
        return value

    def _declaration(self, node: Node) -> None:
        if self._product(node) is not None:
            return
        if any(text_of(c) == "extern" for c in node.children):
            self._extern(node)
            return
        kind = node.child_by_field_name("type")
        base = specifier(kind, self) if kind is None or text_of(kind) != "__auto_type" else VOID
        for declarator in node.children_by_field_name("declarator"):
            given = declarator.child_by_field_name("value") if declarator.type == "init_declarator" else None
            one = declared(base, declarator, self, is_const(node))
            if one.function is not None or not one.name:
                continue
            static, mark = any(text_of(c) == "static" for c in node.children), len(self.builder.code)
            if static and not one.constant:
                self.refuse(node, f"'{one.name}': static locals are outside the C that can be checked", "state lives in struct fields")
            self._not_twice(one.name, declarator)
            self._variable(one.name, self._initial_type(one.type, given, base), given, declarator)
            if static and any(i.op != "label" and not (i.op == "copy" and isinstance(i.args[1], int)) for i in self.builder.code[mark:]):
                self.refuse(declarator, f"'{one.name}' must have a constant for its value")
            if one.constant:
                fix(self.variables[one.name])

    def _extern(self, node: Node) -> None:
        """``extern`` inside a function names what the file has."""
        for declarator in node.children_by_field_name("declarator"):
            if declared(VOID, declarator).name in self.variables:
                self.refuse(declarator, f"'{declared(VOID, declarator).name}' is a variable of the function here", "another name")

    def _not_twice(self, name: str, node: Node) -> None:
        """A name is declared once in a scope (C11 6.7)."""
        if name in self.variables and self.variables[name] is not self.outer.get(name):
            self.refuse(node, f"'{name}' is declared twice in one scope")

    def _initial_type(self, type_: CType, given: Node | None, base: CType) -> CType:
        """The declared type; ``__auto_type`` and ``[]`` leave it to the initializer."""
        if base == VOID and type_ == VOID and given is not None:
            return self.type_of_expression(given)
        return self.sized_by(type_, given)

    def _variable(self, name: str, type_: CType, given: Node | None, node: Node) -> None:
        """Declare a variable. Its initializer is compiled before the name is known, unless it has parts."""
        if isinstance(type_, Unknown):
            self.refuse(node, f"'{type_}' is no type that is known here", type_hint(str(type_), self.units[-1].text))
        if type_ == VOID:
            self.refuse(node, f"'{name}' is of the type void")
        if isinstance(type_, Array) and given is not None and given.type in STRINGS:  # a text: nothing asks for its letters
            self._declare(name, type_).view = OPAQUE + name
            return
        parts = isinstance(type_, Array) or self.own_struct(type_) is not None
        value = self.value(given) if given is not None and not parts and given.type != "initializer_list" else None
        variable = self._declare(name, type_)
        variable.cpu = isinstance(type_, Integer) and type_.bits == INT.bits and name in self.survey.cpus
        variable.aggregate = self.aggregate(name, type_, node) if parts else None
        for scalar in variable.aggregate.scalars() if variable.aggregate is not None else [variable]:
            self._begins(scalar, given is not None, node)
        if value is not None:
            self.first(variable, value, node)
        elif given is not None and not variable.view.startswith(OPAQUE):
            self.initialize(variable, given, node)

    def _begins(self, variable: Variable, has_value: bool, node: Node) -> None:
        if variable.view.startswith(OPAQUE):
            return
        self.watched[variable.local] = variable.name
        if not has_value:
            self.without_value.add(variable.local)
        label = self.builder.label("begins")
        self.begins[label] = variable.local
        self.builder.place(label, self.at(node))
        self.builder.locals.setdefault(variable.local, NULL if isinstance(variable.type, Pointer) else domain_of(variable.type))
        if variable.cpu:
            self.builder.locals[variable.local] = Ref("Cpu", self.cpus)

    def constant_object(self, name: str, node: Node) -> Place:
        """A ``static const`` array or struct of the file: every part is a constant."""
        found = self.around.object(name)
        assert found is not None
        key = f"<{name}>"
        if key not in self.variables:
            self.variables[key] = self._constant(found, name, node)
        return part_place(self.variables[key])

    def _constant(self, found: CObject, name: str, node: Node) -> Variable:
        self.units.append(found.unit)
        mark, outer = len(self.builder.code), self.variables
        self.variables = {}
        given = child(found.declarator, "value")
        one = introduced(found.node, found.declarator, self)
        variable = self.new_variable(f"<{name}>", self._initial_type(one.type, given, one.type))
        variable.aggregate = self.aggregate(name, variable.type, found.declarator)
        if variable.aggregate is None:
            self.refuse(found.declarator, f"'{name}' is of the type {one.type}, which is not known here")
        self.initialize(variable, given, found.declarator)
        made = {i.dst: i.args[1] for i in self.builder.code[mark:] if i.op == "copy"}
        del self.builder.code[mark:]
        self.variables = outer
        for part in variable.aggregate.scalars():
            operand = made.get(part.local)
            if isinstance(part.type, Pointer) and (operand == 0 or part.view.startswith(OPAQUE)):  # NULL, or a text
                part.value = null_pointer(part.type) if operand == 0 else pointer_outside(part.name, part.type)
                continue
            if not isinstance(operand, int) or not isinstance(part.type, Integer):
                self.refuse(found.declarator, f"'{part.name}' must have a constant for its value")
            part.value = number_of(operand, part.type)
        self.units.pop()
        return variable


def domain_of(type_: CType) -> Domain:
    """What is known of a variable by its type; where that is much, what it holds is found after inlining."""
    return type_.domain if isinstance(type_, Integer) and type_.bits <= 8 else ANY
