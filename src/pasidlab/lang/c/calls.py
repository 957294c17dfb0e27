"""Calls of C: a stub, a function of the file, an entry of the vocabulary, or a function of the kernel around."""

from __future__ import annotations

import ast

from tree_sitter import Node

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.parse import CFunction, child, plain, text_of
from pasidlab.lang.c.places import Places
from pasidlab.lang.c.templates import as_domain, free_names
from pasidlab.lang.c.values import NO_VALUE, POISON, UNKNOWN, Place, Value
from pasidlab.lang.c.vocabulary import Argument, Meaning, Pattern
from pasidlab.lang.types import BOOL, Ref


class Calls(Places):
    """The part of a C function's compiler that decides what a call means."""

    def call(self, node: Node) -> Value:
        """A call: a stub, a function of the file, an entry of the vocabulary, or a function of the kernel around."""
        target = child(node, "function")
        if target.type != "identifier":
            raise PasidlabError(
                f"'{plain(target)[:40]}': calls through pointers are outside the C that can be checked", position=self.at(node)
            )
        return self.called(text_of(target), arguments_of(node), node)

    def called(self, name: str, arguments: list[Node], node: Node) -> Value:
        """A call of that name, at that place."""
        if name in self.stubs:
            for argument in arguments:
                self.value(argument)
            return self.stubbed(self.stubs[name], self.at(node))
        if name in self.defined:
            return self._call_defined(self.defined[name], arguments, node)
        for pattern, meaning in self.vocabulary.calls.get(name, ()):
            if len(pattern.args) == len(arguments) or (meaning.text != "%feature" and _variadic(pattern, arguments)):
                matched = self._match(pattern, arguments, meaning)
                if matched is not None:
                    return self._feature(arguments[0]) if meaning.text == "%feature" else self.by_meaning(meaning, matched, self.at(node))
        place = self._percpu_place(node) if name in self.vocabulary.access else None
        if place is not None:
            return self._access_percpu(place, self.vocabulary.access[name], arguments, node)
        if self.vocabulary.is_ignored(name):
            return NO_VALUE
        return self._call_kernel(name, arguments, node)

    def _access_percpu(self, place: Place, kind: str, arguments: list[Node], node: Node) -> Value:
        if kind == "write":
            if len(arguments) != 2:
                raise PasidlabError(f"{text_of(child(node, 'function'))} takes a variable and a value", position=self.at(node))
            self.store(place, self.value(arguments[1]), node)
            return NO_VALUE
        return self.load(place, node)

    def _feature(self, node: Node) -> Value:
        name = plain(node)
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        if name not in self.vocabulary.features:
            self.unknown(name, "CPU feature", node)
            return POISON
        return Value(int(self.vocabulary.features[name]), BOOL)

    def _match(self, pattern: Pattern, arguments: list[Node], meaning: Meaning) -> dict[str, ast.expr] | None:
        """What the placeholders of a pattern stand for; None if it does not match. Unused arguments are not evaluated."""
        if not all(self._possible(a, n) for a, n in zip(pattern.args, arguments, strict=False)):
            return None
        used = free_names(meaning.text) if not meaning.nothing and not meaning.text.startswith("%") else frozenset()
        found: dict[str, ast.expr] = {}
        for argument, node in zip(pattern.args, arguments, strict=False):
            if argument.kind == "call" and argument.pattern is not None:
                inner = self._match(argument.pattern, child(node, "arguments").named_children, meaning)
                if inner is None:
                    return None
                found |= inner
            elif argument.name in used:
                found[argument.name] = self._bound(argument, node, meaning)
        return found

    def _bound(self, argument: Argument, node: Node, meaning: Meaning) -> ast.expr:
        if node.type == "identifier" and (text_of(node) in self.defined or text_of(node) in self.names.namespace.functions):
            return ast.Name(text_of(node))  # a function to be called
        assigned = meaning.text.startswith(f"{argument.name} = ")
        if argument.kind == "place" or assigned:
            place = self._pointed(node) if argument.kind == "place" else self.place(node)
            if place.variable is not None:
                self.builder.locals.setdefault(place.variable.local, None)
                return ast.Name(place.variable.local)
            if place.node is None:
                return self.template.bind((0, BOOL))
            return place.node
        value = self.value(node)
        if argument.name == "c":
            value = self.truth(value, self.at(node))
        return self.template.bind((value.operand, value.domain))

    def _possible(self, argument: Argument, node: Node) -> bool:
        if argument.kind == "literal":
            return plain(node) == argument.name or (
                node.type in ("number_literal", "identifier") and self._same_constant(argument.name, node)
            )
        if argument.kind == "call":
            return (
                node.type == "call_expression"
                and argument.pattern is not None
                and text_of(child(node, "function")) == argument.pattern.name
            )
        return True

    def _same_constant(self, name: str, node: Node) -> bool:
        from pasidlab.lang.c.conditions import number

        meaning = self.vocabulary.values.get(name)
        wanted = meaning.text if meaning else str(self.names.named(name))
        return node.type == "number_literal" and number(text_of(node)) is not None and str(number(text_of(node))) == wanted

    def _call_defined(self, function: CFunction, arguments: list[Node], node: Node) -> Value:
        if len(arguments) != len(function.params):
            raise PasidlabError(f"{function.name} takes {len(function.params)} arguments, {len(arguments)} given", position=self.at(node))
        values = [self.value(a) for a in arguments]
        if any(v.view == UNKNOWN for v in values):
            return POISON
        cpu = Ref("Cpu", self.names.counts["Cpu"])
        given = [
            as_domain((v.operand, v.domain), cpu) if p.name in self.vocabulary.variables else (v.operand, v.domain)
            for p, v in zip(function.params, values, strict=True)
        ]
        self.template.position = self.at(node)
        operand, domain = self.template.emit_call(self.template.c_functions[function.name], given)
        view = function.result.struct if function.result.struct in self.vocabulary.structs else ""
        return Value(operand, domain, view)

    def _call_kernel(self, name: str, arguments: list[Node], node: Node) -> Value:
        """A function of the model: by the vocabulary's entry for its C prototype, or under its own name."""
        helper = self.helper(name)
        if helper is not None:
            return self._call_defined(helper, arguments, node)
        entry = self.vocabulary.replacement(name, len(arguments))
        target, nodes = (name, arguments)
        if entry is not None:
            target = entry.model
            chosen = dict(zip(entry.params, arguments, strict=True))
            nodes = [chosen[a] for a in entry.model_args if a in chosen]
        source = self.names.namespace.functions.get(target)
        if source is None or len(source.node.args.args) != (len(entry.model_args) if entry else len(nodes)):
            self.unknown(name, "function", node)
            for argument in arguments:
                self.value(argument)
            return POISON
        values = [self.value(n) for n in nodes]
        if any(v.view == UNKNOWN for v in values):
            return POISON
        bound = [self.template.bind((v.operand, v.domain)) for v in values]
        if entry is not None and len(nodes) < len(entry.model_args):
            bound = [ast.Name(a) for a in entry.model_args]  # the entry names them itself: "current"
        self.template.position = self.at(node)
        text = ast.Call(ast.Name(target), bound, [])
        operand, domain = self.template.call(text, want=self.template.results.get(target) is not None)
        return Value(operand, domain)


def arguments_of(call: Node) -> list[Node]:
    """What a call passes on."""
    return [n for n in child(call, "arguments").named_children if n.type != "comment"]


def _variadic(pattern: Pattern, arguments: list[Node]) -> bool:
    """WARN_ONCE(condition, format, ...): what comes after the named arguments is a message."""
    return bool(pattern.args) and pattern.args[-1].name == "text" and len(arguments) >= len(pattern.args)
