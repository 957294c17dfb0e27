"""C statements -> IR: one function at a time, through ``emit.Builder``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.calls import arguments_of
from pasidlab.lang.c.expressions import LITERALS, Expressions
from pasidlab.lang.c.parse import CType, base_type, child, declared, syntax_error, text_of
from pasidlab.lang.c.values import NO_VALUE, OPAQUE, UNKNOWN, Place, Value, Variable
from pasidlab.lang.ir import TERMINATORS, Function
from pasidlab.lang.types import ANY, BOOL, NULL, Domain, Int, Ref, join

_SIMPLE = {"<": 0, "<=": 1, "!=": 0}


class FunctionCompiler(Expressions):
    """Compiles one C function."""

    loops: list[tuple[str | None, str, int]]  # where continue and break go, and how many guards are outside
    guards: list[tuple[str, list[Node], Node]]  # what is called at the end of the scopes around: function, arguments, place
    labels: dict[str, str]
    declared: dict[str, int]  # how often each name was
    result: Domain | None = None

    def compile(self, name: str, params: list[Domain]) -> Function:
        """The function as IR; ``params`` are the domains its callers pass."""
        function = self.function
        if function.body.has_error:
            raise syntax_error(function.body, function.unit)
        self.loops, self.guards, self.labels, self.declared = [], [], {}, {}
        locals_ = []
        for parameter, domain in zip(function.params, params, strict=True):
            if not parameter.name:
                raise PasidlabError(f"{function.name}: a parameter has no name", position=function.position)
            variable = self._declare(parameter.name, parameter.type)
            self.builder.locals[variable.local] = self._parameter_domain(variable, domain)
            locals_.append(variable.local)
        self.statement(function.body)
        end = function.unit.position(function.node.end_byte - 1)
        self.builder.emit("return", 0, at=end)
        result = self.result if not function.result.void or function.result.pointers else None
        self._check_labels()
        return Function(name, tuple(locals_), self.builder.locals, result, tuple(self.builder.code), function.position, function.one_step)

    def _parameter_domain(self, variable: Variable, given: Domain) -> Domain:
        struct = self.vocabulary.structs.get(variable.view)
        if struct and variable.type.pointers:
            return Ref(struct, self.names.counts[struct])
        if variable.cpu:
            return Ref("Cpu", self.names.counts["Cpu"])
        return BOOL if variable.type.boolean else given

    def _check_labels(self) -> None:
        placed = {str(i.args[0]) for i in self.builder.code if i.op == "label"}
        for name, label in self.labels.items():
            if label not in placed:
                raise PasidlabError(f"{self.function.name}: goto {name}, but there is no such label", position=self.function.position)

    def _declare(self, name: str, type_: CType) -> Variable:
        view = (
            type_.struct
            if type_.struct in self.vocabulary.structs
            else OPAQUE + (type_.struct or name)
            if type_.struct or type_.array
            else ""
        )
        cpu = not type_.pointers and not view and self.vocabulary.variables.get(name) == "Cpu"
        same = self.declared.get(name, 0)
        self.declared[name] = same + 1
        variable = Variable(name, type_, f"{name}'{same or ''}", view, cpu=cpu)
        self.variables[name] = variable
        return variable

    @property
    def unreachable(self) -> bool:
        """Whether control cannot get to the next statement."""
        return bool(self.builder.code) and self.builder.code[-1].op in TERMINATORS

    @contextmanager
    def _scope(self) -> Iterator[None]:
        outer, guards = dict(self.variables), len(self.guards)
        yield
        if not self.unreachable:
            self._release(guards)
        del self.guards[guards:]
        self.variables = outer

    def _release(self, outside: int) -> None:
        """Leave the scopes of all guards but the first ``outside``."""
        for name, arguments, node in reversed(self.guards[outside:]):
            self.called(name, arguments, node)

    def statement(self, node: Node) -> None:
        """Compile a statement, unless nothing leads to it."""
        if self.unreachable and not _has_label(node):
            return
        handler = getattr(self, f"_{node.type}", None)
        if node.type in ("comment", ";"):
            return
        if node.type == "ERROR" or handler is None or not node.type.endswith(("statement", "declaration", "clause")):
            if node.type.startswith("preproc"):
                self.refuse(node, f"'{text_of(node).split(chr(10))[0][:40]}': a directive where none can stand")
            self.refuse(node, f"'{' '.join(text_of(node).split())[:50]}' is outside the C that can be checked")
        handler(node)

    def _compound_statement(self, node: Node) -> None:
        with self._scope():
            for item in node.named_children:
                self.statement(item)

    def _expression_statement(self, node: Node) -> None:
        for item in node.named_children:
            if item.type == "call_expression" and text_of(child(item, "function")).startswith("guard("):
                self._guard(item)
            elif item.type != "comment":
                self.value(item)

    def _guard(self, node: Node) -> None:
        """``guard(name)(arguments);`` of linux/cleanup.h."""
        (name, *_) = [text_of(n) for n in arguments_of(child(node, "function"))] or [""]
        if name not in self.vocabulary.guards:
            known = ", ".join(self.vocabulary.guards)
            self.refuse(node, f"guard({name}) is none the model knows", f"{known}; or call the functions at both ends of the scope")
        take, give = self.vocabulary.guards[name]
        self.called(take, arguments_of(node), node)
        self.guards.append((give, arguments_of(node), node))

    def statement_expression(self, node: Node) -> Value:
        """``({ ... })``: its value is that of the last statement."""
        items = [n for n in node.named_children if n.type != "comment"]
        with self._scope():
            for item in items[:-1]:
                self.statement(item)
            if not items:
                return NO_VALUE
            if items[-1].type == "expression_statement" and items[-1].named_children:
                return self.value(items[-1].named_children[0])
            self.statement(items[-1])
        return NO_VALUE

    def _declaration(self, node: Node) -> None:
        base = base_type(node.child_by_field_name("type"))
        if any(text_of(c) == "extern" for c in node.children):
            return
        for declarator in node.children_by_field_name("declarator"):
            given = declarator.child_by_field_name("value") if declarator.type == "init_declarator" else None
            name, type_, function = declared(base, declarator)
            if function is not None or not name:
                continue
            if any(text_of(c) == "static" for c in node.children):
                self.refuse(node, f"'{name}': static locals are outside the C that can be checked", "state lives in struct fields")
            value = self._initial(given, type_)
            variable = self._declare(name, type_)
            if value is not None:
                self.assign(variable, value, declarator)
            elif not variable.view.startswith(OPAQUE):
                domain = NULL if type_.pointers or variable.cpu else BOOL if type_.boolean else Int(0, 0)
                self.builder.assign(variable.local, 0, domain, self.at(node))
                if variable.cpu:
                    self.builder.locals[variable.local] = Ref("Cpu", self.names.counts["Cpu"])

    def _initial(self, node: Node | None, type_: CType) -> Value | None:
        if node is None:
            return None
        if type_.array or node.type in LITERALS:
            return Value(0, NULL, OPAQUE)
        return self.value(node)

    def _if_statement(self, node: Node) -> None:
        at = self.at(node)
        yes, no, done = (self.builder.label(hint) for hint in ("then", "else", "fi"))
        known = self.condition(child(node, "condition"), yes, no)
        then, other = child(node, "consequence"), node.child_by_field_name("alternative")
        if known is not False or _has_label(then):
            self.builder.place(yes, at)
            self.statement(then)
            if not self.unreachable:
                self.builder.emit("jump", done, at=at)
        if known is not True or (other is not None and _has_label(other)):
            self.builder.place(no, at)
            if other is not None:
                self.statement(other)
        self.builder.place(done, at)
        if not any(done in i.labels() for i in self.builder.code[:-1]) and self._dead_before_last():
            self.builder.code.pop()  # both sides end in a jump: nothing follows

    def _dead_before_last(self) -> bool:
        return len(self.builder.code) > 1 and self.builder.code[-2].op in TERMINATORS

    def _else_clause(self, node: Node) -> None:
        for item in node.named_children:
            self.statement(item)

    def _while_statement(self, node: Node) -> None:
        at = self.at(node)
        top, body, done = (self.builder.label(hint) for hint in ("while", "do", "done"))
        self.builder.place(top, at)
        self._forget_ranges(node)
        self.condition(child(node, "condition"), body, done)
        self.builder.place(body, at)
        self._looped(child(node, "body"), top, done)
        if not self.unreachable:
            self.builder.emit("jump", top, at=at)
        self.builder.place(done, at)

    def _do_statement(self, node: Node) -> None:
        at = self.at(node)
        top, test, done = (self.builder.label(hint) for hint in ("do", "test", "done"))
        self.builder.place(top, at)
        self._forget_ranges(node)
        self._looped(child(node, "body"), test, done)
        self.builder.place(test, at)
        self.condition(child(node, "condition"), top, done)
        self.builder.place(done, at)

    def _for_statement(self, node: Node) -> None:
        at = self.at(node)
        with self._scope():
            first = node.child_by_field_name("initializer")
            if first is not None:
                (self.statement if first.type == "declaration" else self.value)(first)
            top, body, step, done = (self.builder.label(hint) for hint in ("for", "do", "next", "done"))
            self._forget_ranges(node)
            self._set_range(node)
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
        self.loops.append((again, done, len(self.guards)))
        self.statement(body)
        self.loops.pop()

    def _forget_ranges(self, loop: Node) -> None:
        """Integers that change in a loop may hold anything there, as far as is known before it."""
        for name in _changed(loop):
            variable = self.variables.get(name)
            if variable and not variable.view and not variable.cpu and not variable.type.boolean and not variable.range:
                local = self.builder.locals.get(variable.local)
                if isinstance(local, Int):
                    variable.range = ANY

    def _set_range(self, node: Node) -> None:
        """``for (i = A; i < B; i++)`` with constants: what i may hold."""
        test, update = node.child_by_field_name("condition"), node.child_by_field_name("update")
        if test is None or update is None or test.type != "binary_expression" or update.type != "update_expression":
            return
        variable = self.variables.get(text_of(child(test, "left")))
        operator, last = text_of(child(test, "operator")), child(test, "right")
        if variable is None or operator not in _SIMPLE or "++" not in text_of(update) or last.type not in ("number_literal", "identifier"):
            return
        start = next((i.args[1] for i in reversed(self.builder.code) if i.op == "copy" and i.args[0] == variable.local), None)
        limit = self.value(last)
        if isinstance(start, int) and isinstance(limit.operand, int):
            variable.range = Int(start, max(start, limit.operand + _SIMPLE[operator]))
            self.builder.locals[variable.local] = variable.range

    def _break_statement(self, node: Node) -> None:
        if not self.loops:
            self.refuse(node, "break outside a loop")
        _, done, guards = self.loops[-1]
        self._release(guards)
        self.builder.emit("jump", done, at=self.at(node))

    def _continue_statement(self, node: Node) -> None:
        target, guards = next(((again, guards) for again, _, guards in reversed(self.loops) if again), (None, 0))
        if target is None:
            self.refuse(node, "continue outside a loop")
        self._release(guards)
        self.builder.emit("jump", target, at=self.at(node))

    def _label(self, name: str) -> str:
        if name not in self.labels:
            self.labels[name] = self.builder.label(f"{name}_")
        return self.labels[name]

    def _goto_statement(self, node: Node) -> None:
        if self.guards:
            self.refuse(node, "goto in the scope of a guard", "return, or call the functions at both ends of the scope")
        self.builder.emit("jump", self._label(text_of(child(node, "label"))), at=self.at(node))

    def _labeled_statement(self, node: Node) -> None:
        self.builder.place(self._label(text_of(child(node, "label"))), self.at(node))
        for item in node.named_children[1:]:
            self.statement(item)

    def _switch_statement(self, node: Node) -> None:
        at = self.at(node)
        value = self.value(child(node, "condition"))
        done = self.builder.label("done")
        cases = [c for c in child(node, "body").named_children if c.type == "case_statement"]
        labels = [self.builder.label("case") for _ in cases]
        default = done
        for case, label in zip(cases, labels, strict=True):
            wanted = case.child_by_field_name("value")
            if wanted is None:
                default = label
                continue
            following = self.builder.label("else")
            same = self.compare("==", value, self.value(wanted), case)
            self.builder.branch(same.operand, label, following, self.at(case))
            self.builder.place(following, self.at(case))
        self.builder.emit("jump", default, at=at)
        self.loops.append((None, done, len(self.guards)))
        with self._scope():
            for case, label in zip(cases, labels, strict=True):
                self.builder.place(label, self.at(case))
                wanted = case.child_by_field_name("value")
                for item in case.named_children:
                    if wanted is None or item.start_byte != wanted.start_byte:
                        self.statement(item)
        self.loops.pop()
        if not self.unreachable:
            self.builder.emit("jump", done, at=at)
        self.builder.place(done, at)

    def _return_statement(self, node: Node) -> None:
        at = self.at(node)
        given = [n for n in node.named_children if n.type != "comment"]
        value = self.value(given[0]) if given else NO_VALUE
        self._release(0)
        type_ = self.function.result
        if not given or (type_.void and not type_.pointers):
            self.builder.emit("return", 0, at=at)
            return
        if value.view == UNKNOWN:
            value = NO_VALUE
        if type_.pointers and type_.struct in self.vocabulary.structs and not isinstance(value.domain, Ref):
            value = Value(0, NULL)
        value = self.converted(value, type_, node) if not type_.pointers else value
        joined = join(self.result, value.domain)
        if joined is None:
            self.refuse(node, f"{self.function.name} returns different types of things")
        self.result = joined
        self.builder.emit("return", value.operand, at=at)

    def _attributed_statement(self, node: Node) -> None:
        for item in node.named_children:
            if item.type.endswith("statement"):
                self.statement(item)


def _has_label(node: Node) -> bool:
    work = [node]
    while work:
        one = work.pop()
        if one.type in ("labeled_statement", "case_statement"):
            return True
        work += one.named_children
    return False


def _changed(loop: Node) -> set[str]:
    """Variables a loop assigns."""
    found, work = set(), [loop]
    while work:
        one = work.pop()
        if one.type == "update_expression":
            found.add(text_of(child(one, "argument")))
        elif one.type == "assignment_expression":
            found.add(text_of(child(one, "left")))
        work += one.named_children
    return found


__all__ = ["FunctionCompiler", "Place"]
