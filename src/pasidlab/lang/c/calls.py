"""Calls of C: a stub, a function of the file, an operation of the language, an entry of the vocabulary, a kernel function."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

from tree_sitter import Node

from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.c.conditions import c_constant
from pasidlab.lang.c.ctype import VOID, Integer, Pointer
from pasidlab.lang.c.declarators import text_of, type_hint
from pasidlab.lang.c.parse import CFunction, arguments_of, child, plain
from pasidlab.lang.c.places import Places, bare
from pasidlab.lang.c.templates import free_names
from pasidlab.lang.c.values import NO_VALUE, POISON, Place, Value, number_of
from pasidlab.lang.c.vocabulary import Argument, Meaning, Pattern
from pasidlab.lang.python.expressions import TypedOperand
from pasidlab.lang.types import ANY, BOOL, Domain, Ref

_ASSIGNS = re.compile(r"(?P<to>\w+)(?:\.(?P<member>\w+))? = (?P<value>[^;\n]+)(?:; (?P<rest>.+))?")
_ONLY_READ = frozenset({
    "atomic_read_acquire", "atomic_long_read_acquire", "atomic64_read_acquire", "test_bit", "min", "max", "min_t", "max_t", "abs", "clamp",
    "clamp_t", "ARRAY_SIZE", "__builtin_expect", "smp_processor_id", "raw_smp_processor_id",
})  # fmt: skip
"""Operations of the language that change nothing."""
_HELD = (
    "this_cpu.irqs_off or this_cpu.preempt_count != 0 or this_cpu.softirq_count != 0 or this_cpu.softirq_pc != 0 "
    "or this_cpu.hardirq_pc != 0"
)
_HELD_ON_RT = f"{_HELD} or (current is not None and current.migration_disabled != 0)"
"""lib/smp_processor_id.c, check_preemption_disabled() (CONFIG_DEBUG_PREEMPT): a task that may be moved must not ask where it is."""


class Calls(Places):
    """The part of a C function's compiler that decides what a call means."""

    operations: dict[str, Callable[[Calls, list[Node], Node], Value]]  # see ``builtins``

    def call(self, node: Node) -> Value:
        """A call: a stub, a function of the file, an entry of the vocabulary, or a function of the kernel around."""
        target = child(node, "function")
        if target.type == "identifier":
            return self.called(text_of(target), arguments_of(node), node)
        inner = bare(target)
        if inner.type == "identifier" and inner is not target and text_of(inner) not in self.variables:
            what = f"'{text_of(inner)}' is no type that is known here"
            raise PasidlabError(what, position=self.at(node), hint=type_hint(text_of(inner), self.units[-1].text))
        raise PasidlabError(f"'{plain(target)[:40]}': calls through pointers are outside the C that can be checked", position=self.at(node))

    def called(self, name: str, arguments: list[Node], node: Node) -> Value:
        """A call of that name, at that place."""
        if name in self.variables:
            raise PasidlabError(f"'{name}': calls through pointers are outside the C that can be checked", position=self.at(node))
        if name in self.stubs:
            for argument in arguments:
                self.value(argument)
            return self.stubbed(self.stubs[name], self.at(node))
        if name in self.around.defined:
            return self._call_defined(self.around.defined[name], arguments, node)
        name = self.vocabulary.preempt_rt.get(name, name) if self.around.preempt_rt else name
        if name in self.operations:
            return self.operations[name](self, arguments, node)
        return self.otherwise(name, arguments, node)

    def otherwise(self, name: str, arguments: list[Node], node: Node) -> Value:
        """A call that no operation of the language, and no function of the file, gives a meaning to."""
        for pattern, meaning in self.vocabulary.calls.get(name, ()):
            fits = len(pattern.args) == len(arguments) or (not meaning.text.startswith("%") and _variadic(pattern, arguments))
            if fits and all(self._possible(a, n) for a, n in zip(pattern.args, arguments, strict=False)):
                return self._by_pattern(pattern, meaning, arguments, node)
        place = self.percpu_place(node, held=True) if name in self.vocabulary.access else None
        if place is not None:
            return self._access_percpu(place, name, arguments, node)
        if self.vocabulary.is_ignored(name):
            self.effects_of(arguments)
            return NO_VALUE
        return self._call_kernel(name, arguments, node)

    def effects_of(self, arguments: Sequence[Node]) -> None:
        """What evaluating arguments does, where their values are not needed. What means nothing here, and does nothing, is left out."""
        noted = len(self.builder.fits)
        for argument in arguments:
            if self.has_effect(argument) or self.means_something(argument):
                self.value(argument)
        del self.builder.fits[noted:]

    def has_effect(self, node: Node) -> bool:
        """Whether evaluating an expression changes anything."""
        if node.type in ("assignment_expression", "update_expression"):
            return True
        if node.type == "sizeof_expression":
            return False
        if node.type == "call_expression":
            name = text_of(child(node, "function"))
            if name in self.around.defined or (name in self.operations and not name.endswith("_read") and name not in _ONLY_READ):
                return True
        return any(self.has_effect(inner) for inner in node.named_children)

    def _access_percpu(self, place: Place, name: str, arguments: list[Node], node: Node) -> Value:
        kind = self.vocabulary.access[name]
        if name.startswith("__") or (kind == "pointer" and not name.startswith("raw_")):
            self.must_stay(name, node)
        if kind == "write":
            if len(arguments) != 2:
                raise PasidlabError(f"{name} takes a variable and a value", position=self.at(node))
            self.store(place, self.value(arguments[1]), node)
            return NO_VALUE
        if kind.startswith("pointer") and not place.nothing and place.view != "?":
            return Value(1, BOOL, Pointer(place.type), "", place)
        return self.load(place, node)

    def must_stay(self, name: str, node: Node) -> None:
        """A call that means something only while the task cannot be moved to another CPU."""
        held = _HELD_ON_RT if self.around.preempt_rt else _HELD
        self.template.run(f"reached('sound_kernel'); check('sound_kernel', {held}, '{name}() in preemptible code')", {}, self.at(node))

    def _feature(self, node: Node) -> Value:
        name = plain(node)
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        if name not in self.vocabulary.features:
            self.unknown(name, "CPU feature", node)
            return POISON
        return number_of(int(self.vocabulary.features[name]))

    def _key(self, node: Node) -> Value:
        """A static key: its state is the configuration's, and a name without one may be given both ways (--stub)."""
        name = plain(node).removeprefix("&").strip("()")
        if name in self.stubs:
            return self.stubbed(self.stubs[name], self.at(node))
        if name not in self.vocabulary.keys:
            self.unknown(name, "static key", node)
            return POISON
        return number_of(int(self.vocabulary.keys[name]))

    # ---- entries of the vocabulary

    def _by_pattern(self, pattern: Pattern, meaning: Meaning, arguments: list[Node], node: Node) -> Value:
        if meaning.text == "%feature":
            return self._feature(arguments[0])
        if meaning.text == "%key":
            return self._key(arguments[0])
        assigns = _ASSIGNS.fullmatch(meaning.text)
        names = {a.name: n for a, n in zip(pattern.args, arguments, strict=False)}
        if assigns and assigns["to"] in names and (not assigns["member"] or self._kind_of(pattern, assigns["to"]) == "place"):
            return self._assigned(pattern, meaning, assigns, names, node)
        bound = self._match(pattern, arguments, meaning)
        for argument in arguments[len(pattern.args) :]:  # of a message, which is made only where the warning fires
            if self.has_effect(argument):
                self.refuse(argument, f"'{plain(argument)[:40]}' happens only where the warning fires", "a statement of its own")
        return POISON if bound is None else self.by_meaning(meaning, bound, self.at(node))

    def _kind_of(self, pattern: Pattern, name: str) -> str:
        return next(a.kind for a in pattern.args if a.name == name)

    def _assigned(self, pattern: Pattern, meaning: Meaning, assigns: re.Match[str], names: dict[str, Node], node: Node) -> Value:
        """``v = ...``, ``v.member = ...``: the argument is where the value goes, and has a type of its own."""
        target, at = names[assigns["to"]], self.at(node)
        place = self.pointed(target) if self._kind_of(pattern, assigns["to"]) == "place" else self.place(target)
        if assigns["member"]:
            place = self.member_place(place, assigns["member"], node)
        bound = self._match(pattern, list(names.values()), Meaning(assigns["value"]), evaluated=assigns["to"])
        if bound is None:
            return POISON
        self.store(place, self.typed(self.template.run(assigns["value"], bound, at, meaning.atomic), meaning.type), node)
        rest = assigns["rest"]
        if rest and (more := _ASSIGNS.fullmatch(rest)) is not None and more["to"] in names:
            return self._assigned(pattern, meaning, more, names, node)
        return self.typed(self.template.run(rest, {}, at), None) if rest else NO_VALUE

    def found_and_set(self, name: str, node: Node) -> Value:
        """What ``name(v)``, an entry of the form ``v = ...; ...``, gives its argument."""
        _, meaning = self.vocabulary.calls[name][0]
        assigns = _ASSIGNS.fullmatch(meaning.text)
        assert assigns is not None and assigns["rest"]
        given = self.typed(self.template.run(assigns["value"], {}, self.at(node)), meaning.type)
        value = self.arithmetic.settled(given, self.at(node))
        self.template.run(assigns["rest"], {}, self.at(node))
        return value

    def _match(self, pattern: Pattern, arguments: list[Node], meaning: Meaning, evaluated: str = "") -> dict[str, ast.expr] | None:
        """What the placeholders of a pattern stand for; None if one of them is unknown. Of the others only the effects remain.

        ``evaluated``: a placeholder whose argument has been evaluated.
        """
        used = free_names(meaning.text) if not meaning.nothing and not meaning.text.startswith("%") else frozenset()
        found: dict[str, ast.expr] = {}
        for argument, node in zip(pattern.args, arguments, strict=False):
            if argument.kind == "call" and argument.pattern is not None:
                inner = self._match(argument.pattern, arguments_of(node), meaning)
                if inner is None:
                    return None
                found |= inner
            elif argument.name in used:
                bound = self._bound(argument, node)
                if bound is None:
                    return None
                found[argument.name] = bound
            elif argument.kind == "any" and argument.name != evaluated:
                self.effects_of([node])
        return found

    def _bound(self, argument: Argument, node: Node) -> ast.expr | None:
        name = text_of(node) if node.type == "identifier" else ""
        if name not in self.variables and (name in self.around.defined or name in self.names.namespace.functions):
            return ast.Name(name)  # a function to be called
        if argument.kind == "place":
            place = self.pointed(node)
            if place.node is None:
                raise PasidlabError(f"'{plain(node)[:40]}' is no member that the model has", position=self.at(node))
            return place.node
        value = self.tested(node) if argument.is_condition else self.value(node)
        if value.unknown:
            return None
        wanted = None if value.is_cpu else value.domain
        return self.argument(value, BOOL if argument.is_condition else wanted, self.at(node))

    def _possible(self, argument: Argument, node: Node) -> bool:
        if argument.kind == "literal":
            return plain(node) == argument.name or (
                node.type in ("number_literal", "identifier") and self._same_constant(argument.name, node)
            )
        if argument.kind == "call":
            if node.type != "call_expression" or argument.pattern is None:
                return False
            same = text_of(child(node, "function")) == argument.pattern.name
            inner = arguments_of(node)
            return same and len(inner) == len(argument.pattern.args) and all(map(self._possible, argument.pattern.args, inner))
        return True

    def _same_constant(self, name: str, node: Node) -> bool:
        meaning = self.vocabulary.values.get(name)
        wanted = meaning.text if meaning else str(self.names.named(name))
        return node.type == "number_literal" and c_constant(text_of(node)) is not None and str(c_constant(text_of(node))) == wanted

    # ---- functions

    def _call_defined(self, function: CFunction, arguments: list[Node], node: Node) -> Value:
        if len(arguments) != len(function.params):
            what = f"{function.name} takes {counted(len(function.params), 'argument')}, {len(arguments)} given"
            raise PasidlabError(what, position=self.at(node))
        at = self.at(node)
        values = [self._passed(self.value(a), p.type, a) for a, p in zip(arguments, function.params, strict=True)]
        if any(v.unknown for v in values):
            return POISON
        if any(v.place is not None or v.opaque for v in values):
            return self.inlined(function, values, node)
        self.template.position = at
        given: list[TypedOperand] = [(v.operand, v.domain) for v in values]
        operand, domain = self.template.emit_call(function.name, given)
        if isinstance(operand, str) and not isinstance(domain, Ref) and domain.bits > 12:
            self.builder.locals[operand] = ANY
        if function.result == VOID:
            return NO_VALUE
        result = function.result
        if isinstance(result, Integer):
            return Value(operand, domain, result)
        return self.typed((operand, domain), result if isinstance(domain, Ref) else None).typed(result)

    def _passed(self, value: Value, type_: object, node: Node) -> Value:
        """An argument as the parameter has it."""
        at = self.at(node)
        if isinstance(type_, Integer):
            return self.arithmetic.convert(value, type_, at)
        if isinstance(type_, Pointer):
            return self.as_pointer(value, type_, at)
        raise PasidlabError("a struct is passed by value", position=at, hint="pass a pointer to it")

    def _call_kernel(self, name: str, arguments: list[Node], node: Node) -> Value:
        """A function of the model: by the vocabulary's entry for its C prototype, or under its own name."""
        helper = self._helper(name)
        if helper is not None:
            return self._call_defined(helper, arguments, node)
        entry = self.vocabulary.replacement(name, len(arguments))
        target, nodes = (name, arguments)
        if entry is not None:
            target = entry.model
            chosen = dict(zip(entry.params, arguments, strict=True))
            nodes = [chosen[a] for a in entry.model_args if a in chosen]
            self.effects_of([n for a, n in chosen.items() if a not in entry.model_args])
        source = self.names.namespace.functions.get(target)
        if source is None or len(source.node.args.args) != (len(entry.model_args) if entry else len(nodes)):
            self.unknown(name, "function", node)
            for argument in arguments:
                self.value(argument)
            return POISON
        return self._call_model(target, nodes, list(entry.model_args) if entry and len(nodes) < len(entry.model_args) else [], node)

    def _call_model(self, target: str, nodes: list[Node], given: list[str], node: Node) -> Value:
        """``given``: what the entry itself names for parameters C does not have, ``current`` for example."""
        source, at = self.names.namespace.functions[target], self.at(node)
        values = [self.value(n) for n in nodes]
        if any(v.unknown for v in values):
            return POISON
        wanted: list[Domain | None] = [
            self.names.annotation(a.annotation, source.file) if a.annotation else None for a in source.node.args.args
        ]
        bound: list[ast.expr] = [self.argument(v, w, at) for v, w in zip(values, wanted, strict=False)]
        if given:
            bound = [ast.Name(a) for a in given]
        self.template.position = at
        returns = self.template.results.get(target) is not None
        found = self.template.call(ast.Call(ast.Name(target), bound, []), want=returns)
        if not returns:
            return NO_VALUE
        entry = self.vocabulary.returns.get(target)
        return self.typed(found, entry)

    def _helper(self, name: str) -> CFunction | None:
        """A function of the same source that nothing else knows; it is compiled with the rest."""
        if name in self.names.namespace.functions or name in self.vocabulary.replacements:
            return None
        return self.around.use_helper(name)


Operation = Callable[[Calls, list[Node], Node], Value]
"""What a call of a name of the language does: with its arguments, at its place."""


def takes(x: Calls, arguments: list[Node], count: int, node: Node, name: str) -> list[Node]:
    """The arguments, if there are as many as wanted."""
    if len(arguments) != count:
        raise PasidlabError(f"{name} takes {counted(count, 'argument')}, {len(arguments)} given", position=x.at(node))
    return arguments


def _variadic(pattern: Pattern, arguments: list[Node]) -> bool:
    """WARN_ONCE(condition, format, ...): what comes after the named arguments is a message."""
    return bool(pattern.args) and pattern.args[-1].is_message and len(arguments) >= len(pattern.args)
