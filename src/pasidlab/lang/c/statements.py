"""C statements -> IR: one function at a time, through ``emit.Builder``."""

from __future__ import annotations

from collections.abc import Sequence

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.builtins import OPERATIONS
from pasidlab.lang.c.ctype import VOID, CType, Integer, Pointer
from pasidlab.lang.c.declarators import specifier, text_of
from pasidlab.lang.c.definite import check_values
from pasidlab.lang.c.parse import CFunction, arguments_of, child, parts_of, syntax_error
from pasidlab.lang.c.places import bare
from pasidlab.lang.c.rewrite import SCOPED_GUARD
from pasidlab.lang.c.scopes import Jumps, Loop, has_label, label_follows
from pasidlab.lang.c.surroundings import Surroundings
from pasidlab.lang.c.switches import Switches
from pasidlab.lang.c.templates import Template
from pasidlab.lang.c.values import NO_VALUE, Place, Value, Variable, number_of
from pasidlab.lang.c.variables import domain_of
from pasidlab.lang.c.vocabulary import Vocabulary
from pasidlab.lang.emit import Builder
from pasidlab.lang.ir import TERMINATORS, Function
from pasidlab.lang.names import Names
from pasidlab.lang.types import Domain, Ref, joined_domain


class CFunctionCompiler(Switches):
    """Compiles one C function."""

    operations = OPERATIONS
    result: Domain | None = None

    def __init__(
        self, function: CFunction, builder: Builder, names: Names, template: Template, vocabulary: Vocabulary, around: Surroundings
    ) -> None:  # fmt: skip
        super().__init__(function, builder, names, template, vocabulary, around)
        self.loops, self.guards, self.jumps, self.cases = [], [], Jumps(), {}
        self.once = not has_label(function.body)

    def compile(self, name: str, cpus: Sequence[bool]) -> Function:
        """The function as IR; ``cpus``: the parameters its callers pass a CPU for, where C has its number."""
        function = self.function
        if function.body.has_error:
            raise syntax_error(function.body, function.unit)
        locals_ = []
        for parameter, is_cpu in zip(function.params, cpus, strict=True):
            if not parameter.name:
                raise PasidlabError(f"{function.name}: a parameter has no name", position=function.position)
            if parameter.name in self.variables:
                raise PasidlabError(f"{function.name}: two parameters are named {parameter.name}", position=function.position)
            variable = self._declare(parameter.name, parameter.type)
            variable.cpu = is_cpu and parameter.name not in self.survey.computed
            self.builder.locals[variable.local] = self._parameter_domain(variable, is_cpu)
            locals_.append(variable.local)
            if is_cpu and not variable.cpu:
                self._number_parameter(variable)
            self.variables[parameter.name].fixed = parameter.constant
        self.statement(function.body)
        end = function.unit.position(function.node.end_byte - 1)
        self.builder.emit("return", 0, at=end)
        self.check_labels()
        valued = function.name if function.result != VOID else ""
        watched = {local: shown for local, shown in self.watched.items() if local in self.without_value or self.jumps.labels}
        check_values(self.builder.code, watched, self.begins, valued)
        result = self.result if function.result != VOID else None
        return Function(name, tuple(locals_), self.builder.locals, result, tuple(self.builder.code), function.position, function.one_step)

    def _parameter_domain(self, variable: Variable, is_cpu: bool) -> Domain:
        struct = self.vocabulary.structs.get(variable.view)
        if struct and isinstance(variable.type, Pointer):
            return Ref(struct, self.names.counts[struct])
        if is_cpu:
            return Ref("Cpu", self.cpus)
        return domain_of(variable.type)

    def _number_parameter(self, variable: Variable) -> None:
        """A parameter that C computes with: from here on its number."""
        assert isinstance(variable.type, Integer)
        at = self.function.position
        given = Value(variable.local, Ref("Cpu", self.cpus), variable.type)
        number = self.arithmetic.number(given, at)
        fresh = self._declare(variable.name, variable.type)
        self.builder.locals[fresh.local] = domain_of(variable.type)
        self.builder.emit("copy", fresh.local, number.operand, at=at)

    def statement(self, node: Node) -> None:
        """Compile a statement, unless nothing leads to it."""
        if node.type in ("comment", ";"):
            return
        if node.type in ("struct_specifier", "union_specifier", "enum_specifier", "type_definition"):
            specifier(node if node.type != "type_definition" else child(node, "type"), self)
            return
        if self.unreachable:
            if not has_label(node) and (node.type != "declaration" or not label_follows(node)):
                return
            self.builder.place(self.builder.label("never"), self.at(node))  # what it declares is seen from the label
        self.straight = self.once and node.parent == self.function.body and _does_one_thing(node)
        handler = getattr(self, f"_{node.type}", None)
        if node.type == "ERROR" or handler is None or not node.type.endswith(("statement", "declaration", "clause")):
            if node.type.startswith("preproc"):
                self.refuse(node, f"'{text_of(node).split(chr(10))[0][:40]}': a directive where none can stand")
            self.refuse(node, f"'{' '.join(text_of(node).split())[:50]}' is outside the C that can be checked")
        handler(node)

    def _compound_statement(self, node: Node) -> None:
        with self.scope():
            for item in node.named_children:
                self.statement(item)

    def _expression_statement(self, node: Node) -> None:
        for item in node.named_children:
            if item.type == "call_expression" and text_of(child(item, "function")).startswith("guard("):
                classes = child(child(item, "function"), "arguments").named_children
                if len(classes) != 1:
                    self.refuse(item, f"guard() of {len(classes)} classes", "guard(NAME)(ARGUMENT)")
                name = text_of(classes[0])
                if node.parent is not None and node.parent.type not in ("compound_statement", "case_statement", "labeled_statement"):
                    self.refuse(item, "guard() is a declaration: no branch or loop of its own", "braces around it, or scoped_guard()")
                self.guard(name, arguments_of(item), item, node.parent or node)
            elif item.type != "comment":
                self.value(item)

    def statement_expression(self, node: Node) -> Value:
        """``({ ... })``: its value is that of the last statement."""
        items = parts_of(node)
        with self.scope():
            for item in items[:-1]:
                self.statement(item)
            if not items:
                return NO_VALUE
            last = items[-1]
            if (product := self._product(last)) is not None:
                return product
            if last.type == "expression_statement" and last.named_children:
                return self.arithmetic.settled(self.value(last.named_children[0]), self.at(last))
            self.statement(last)
        return NO_VALUE

    # ---- control

    def _if_statement(self, node: Node) -> None:
        at = self.at(node)
        yes, no, done = (self.builder.label(hint) for hint in ("then", "else", "fi"))
        known = self.condition(child(node, "condition"), yes, no)
        then, other = child(node, "consequence"), node.child_by_field_name("alternative")
        if known is not False or has_label(then):
            self.builder.place(yes, at)
            self.statement(then)
            if not self.unreachable:
                self.builder.emit("jump", done, at=at)
        if known is not True or (other is not None and has_label(other)):
            self.builder.place(no, at)
            if other is not None:
                self.statement(other)
        self.builder.place(done, at)
        if self._dead_before_last() and not any(done in i.labels() for i in self.builder.code[:-1]):
            self.builder.code.pop()  # both sides end in a jump: nothing follows

    def _dead_before_last(self) -> bool:
        return len(self.builder.code) > 1 and self.builder.code[-2].op in TERMINATORS

    def _else_clause(self, node: Node) -> None:
        for item in node.named_children:
            self.statement(item)

    def _while_statement(self, node: Node) -> None:
        test = bare(child(node, "condition"))
        if test.type == "call_expression" and text_of(child(test, "function")) == SCOPED_GUARD:
            self._scoped_guard(test, child(node, "body"))
            return
        at = self.at(node)
        top, body, done = (self.builder.label(hint) for hint in ("while", "do", "done"))
        self.builder.place(top, at)
        self.condition(child(node, "condition"), body, done)
        self.builder.place(body, at)
        self._looped(child(node, "body"), top, done)
        if not self.unreachable:
            self.builder.emit("jump", top, at=at)
        self.builder.place(done, at)

    def _scoped_guard(self, test: Node, body: Node) -> None:
        """``scoped_guard(name, arguments) { ... }``: a loop that runs once (linux/cleanup.h)."""
        done = self.builder.label("done")
        if not arguments_of(test):
            self.refuse(test, "scoped_guard() without a class", "scoped_guard(NAME, ARGUMENT)")
        name, *arguments = arguments_of(test)
        outside = len(self.guards)
        with self.scope():
            self.guard(text_of(name), arguments, test, body)
            self.loops.append(Loop(done, done, outside))
            self.statement(body)
            self.loops.pop()
        if not self.unreachable:
            self.builder.emit("jump", done, at=self.at(test))
        self.builder.place(done, self.at(test))

    def _do_statement(self, node: Node) -> None:
        at = self.at(node)
        top, test, done = (self.builder.label(hint) for hint in ("do", "test", "done"))
        self.builder.place(top, at)
        self._looped(child(node, "body"), test, done)
        self.builder.place(test, at)
        self.condition(child(node, "condition"), top, done)
        self.builder.place(done, at)

    def _for_statement(self, node: Node) -> None:
        at = self.at(node)
        with self.scope():
            first = node.child_by_field_name("initializer")
            if first is not None:
                (self.statement if first.type == "declaration" else self.value)(first)
            top, body, step, done = (self.builder.label(hint) for hint in ("for", "do", "next", "done"))
            self.builder.place(top, at)
            test = node.child_by_field_name("condition")
            if test is not None:
                self.condition(test, body, done)
            self.builder.place(body, at)
            self._looped(child(node, "body"), step, done)
            self.builder.place(step, at)
            update = node.child_by_field_name("update")
            if update is not None:
                self.value(update)
            self.builder.emit("jump", top, at=at)
            self.builder.place(done, at)

    def _looped(self, body: Node, again: str, done: str) -> None:
        self.loops.append(Loop(again, done, len(self.guards)))
        self.statement(body)
        self.loops.pop()

    def _return_statement(self, node: Node) -> None:
        given = parts_of(node)
        type_ = self.function.result
        if not given and type_ != VOID:
            self.refuse(node, f"{self.function.name}() returns a {type_}, here nothing")
        value = self.value(given[0]) if given else NO_VALUE
        if not given or type_ == VOID:
            self.release(0)
            self.leave(NO_VALUE, node)
            return
        value = self._returned(number_of(0) if value.unknown else value, type_, node)
        if len(self.guards):
            value = self.arithmetic.settled(value, self.at(node))
        self.release(0)
        self.leave(value, node)

    def _returned(self, value: Value, type_: CType, node: Node) -> Value:
        at = self.at(node)
        if isinstance(type_, Integer):
            return self.arithmetic.convert(self.arithmetic.number(value, at), type_, at)
        if not isinstance(type_, Pointer):
            self.refuse(node, f"{self.function.name} returns a {type_}", "a pointer, or a number")
        value = self.as_pointer(value, type_, at)
        if value.place is not None or value.opaque:
            self.refuse(node, f"{self.function.name} returns a pointer to something outside the model", "return what it points to")
        return value

    def leave(self, value: Value, node: Node) -> None:
        """Back to the caller, with a value."""
        if value is not NO_VALUE:
            joined = joined_domain(self.result, value.domain)
            if joined is None:
                self.refuse(node, f"{self.function.name} returns different types of things")
            self.result = joined
        self.builder.emit("return", value.operand, at=self.at(node))

    def _attributed_statement(self, node: Node) -> None:
        for item in node.named_children:
            if item.type.endswith("statement"):
                self.statement(item)

    # ---- calls with what only the caller knows

    def inlined(self, function: CFunction, values: list[Value], node: Node) -> Value:
        """A call whose arguments lead to variables of the caller: the function becomes part of it."""
        with self.around.enter(function.name, self.at(node)):
            inner = _Inlined(self, function)
            return inner.run(values, node)


class _Inlined(CFunctionCompiler):
    """A function compiled into its caller."""

    def __init__(self, caller: CFunctionCompiler, function: CFunction) -> None:
        super().__init__(function, caller.builder, caller.names, caller.template, caller.vocabulary, caller.around)
        if function.body.has_error:
            raise syntax_error(function.body, function.unit)
        self.declared, self.watched, self.without_value, self.begins = caller.declared, caller.watched, caller.without_value, caller.begins
        self.end = self.builder.label("returned")
        self.once = self.once and caller.straight
        self.into: Variable | None = self.new_variable(f"{function.name}()", function.result) if function.result != VOID else None

    def run(self, values: list[Value], node: Node) -> Value:
        """The call's value."""
        for parameter, value in zip(self.function.params, values, strict=True):
            variable = self._declare(parameter.name, parameter.type)
            variable.cpu = value.is_cpu and parameter.name not in self.survey.computed
            if variable.cpu:
                self.builder.locals[variable.local] = value.domain
            if value.place is not None:
                variable.place = value.place
            elif value.opaque:
                variable.view = value.view
            else:
                self.assign(variable, value, self.function.body)
            variable.fixed = parameter.constant
        if self.into is not None:
            self._begins(self.into, False, self.function.body)
        self.statement(self.function.body)
        self.check_labels()
        self.builder.place(self.end, self.at(self.function.body))
        return self.load(Place(self.into.type, self.into, view=self.into.view), self.function.body) if self.into is not None else NO_VALUE

    def leave(self, value: Value, node: Node) -> None:
        """To the end of the call. What follows in the function happens on some ways alone, and the caller goes on."""
        self.once = False
        if self.into is not None and value is not NO_VALUE:
            self.assign(self.into, value, node)
        self.builder.emit("jump", self.end, at=self.at(node))


_ON_SOME_WAYS = ("assignment_expression", "update_expression", "call_expression", "conditional_expression", "compound_statement")


def _does_one_thing(node: Node) -> bool:
    """Whether a statement is one assignment or one call, which happens whenever the statement does."""
    inner = node.named_children[0] if node.type == "expression_statement" and node.named_children else None
    if inner is None or inner.type not in ("assignment_expression", "call_expression"):
        return False
    work = list(inner.named_children)
    while work:
        one = work.pop()
        if one.type in _ON_SOME_WAYS or (one.type == "binary_expression" and text_of(child(one, "operator")) in ("&&", "||")):
            return False
        work += one.named_children
    return True
