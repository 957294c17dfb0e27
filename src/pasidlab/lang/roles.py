"""The roles decorators give to functions: which there are, what each must be told, and whether a model has what it needs."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from pasidlab.errors import PasidlabError
from pasidlab.lang.ir import Action, Entry, Instr, Property
from pasidlab.lang.lowering.contexts import AT_ENTRY
from pasidlab.lang.names import Names, nearest
from pasidlab.lang.source import SourceFunction

ROLES = ("rule", "user", "entry", "context", "exit_to_user", "initial", "forget", "never", "stuck", "pending")
PREDICATES = ("never", "stuck", "pending")
TEXTS = {"never": 2, "stuck": 2, "pending": 1, "entry": 1, "context": 1}
"""How many texts a role's decorator takes; the others take none."""
KINDS = {"entry": ("syscall", "exception", "fork"), "context": tuple(k for k in AT_ENTRY if k in ("schedule", "softirq", "hardirq", "ipi"))}
SINGLE = ("exit_to_user", "initial", "forget")
NEED_CPU = ("user", "entry", "context", "exit_to_user")
EVENTS = ("event", "follows")
"""Options that name an event: without it there is no such step."""
PARAMETER_BITS = 12


def entries_of(names: Names) -> list[Entry]:
    """The declared behaviours whose event is in the scope, in order of their source.

    A rule that is ``obliged`` only where a predicate is true is two: the step as such, and the step ``where`` it is true.
    """
    found = []
    for function in names.namespace.functions.values():
        for decorator in function.node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            role = ast.unparse(call.func if call else decorator)
            if role == "instruction":
                continue
            texts, options = _written(function, role, decorator)
            if not all(names.event(event, function.position) for key, event in options.items() if key in EVENTS):
                continue
            _complete(function, role, texts, names)
            params = tuple((a.arg, names.annotation(a.annotation, function.file)) for a in function.node.args.args if a.annotation)
            if sum(domain.bits for _, domain in params) > PARAMETER_BITS:
                raise _wrong(function, f"the parameters of {role} {function.name} have too many values", "Annotated[int, Range(low, high)]")
            options |= {"kind": texts[0] if texts else "", "sentence": texts[1] if len(texts) > 1 else ""}
            found.append(Entry(role, function.name, function.name, params, options))
            if "obliged" in options:
                _answers(function, options["obliged"], names)
                found.append(Entry(role, function.name, function.name, params, {**options, "where": options["obliged"]}))
    return found


def one_of_each(entries: Iterable[Entry], names: Names) -> None:
    """Raise PasidlabError at a second function of a role that only one can have. Interrupts may have several handlers: any may run."""
    found: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        kind = entry.options["kind"]
        if entry.role in SINGLE or (entry.role, kind) == ("context", "schedule"):
            first = found.setdefault((entry.role, kind), entry)
            if first is not entry:
                what = f"@{entry.role} of {entry.function}: {first.function}() is that already"
                raise _wrong(names.namespace.functions[entry.function], what, f"name it {first.function} to replace that, or call it there")


def no_choice(behaviours: Iterable[tuple[Entry, Iterable[Instr]]]) -> None:
    """Raise PasidlabError where a function that must always have one outcome chooses, or may have none."""
    for entry, code in behaviours:
        for instr in code:
            if instr.op in ("choose", "require", "wait", "take"):
                what = f"@{entry.role} of {entry.function} must have one outcome in every state"
                raise PasidlabError(what, position=instr.site.position, hint="use if instead of require; choose nothing in it")


def _wrong(function: SourceFunction, what: str, hint: str = "") -> PasidlabError:
    return PasidlabError(what, position=function.position, hint=hint)


def _written(function: SourceFunction, role: str, decorator: ast.expr) -> tuple[list[str], dict[str, str]]:
    """The texts and options of a decorator."""
    if role not in ROLES:
        raise _wrong(function, f"unknown decorator '@{role}' of {function.name}", nearest(role, [*ROLES, "instruction"]))
    if not isinstance(decorator, ast.Call):
        return [], {}
    texts, options = [_text(a) for a in decorator.args], {k.arg or "": _text(k.value) for k in decorator.keywords}
    if None in texts or None in options.values() or not options.keys() <= {*EVENTS, *(["obliged"] if role == "rule" else [])}:
        also = ", obliged='...'" if role == "rule" else ""
        raise _wrong(function, f"@{role} of {function.name} takes texts in quotes, and event='...' or follows='...'{also}")
    return [t for t in texts if t is not None], {k: v for k, v in options.items() if v is not None}


def _answers(function: SourceFunction, predicate: str, names: Names) -> None:
    """Raise PasidlabError unless the model has a predicate without parameters by that name."""
    known = names.namespace.functions
    asked = known.get(predicate)
    if asked is None:
        hint = nearest(predicate, known) or f"define '{predicate}() -> bool'"
        raise _wrong(function, f"@rule of {function.name} is obliged where '{predicate}' is true, which the model does not have", hint)
    if asked.node.args.args or asked.node.returns is None or ast.unparse(asked.node.returns) != "bool":
        what = f"{predicate} says where {function.name} is obliged: it takes no parameters, and answers yes or no"
        raise _wrong(asked, what, f"write 'def {predicate}() -> bool'")


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _complete(function: SourceFunction, role: str, texts: list[str], names: Names) -> None:
    """Whether a decorator says what its role needs, and the model has it."""
    wanted = TEXTS.get(role, 0)
    if len(texts) != wanted:
        raise _wrong(function, f"@{role} of {function.name} takes {wanted} texts, {len(texts)} given")
    if role in KINDS and texts[0] not in KINDS[role]:
        raise _wrong(function, f"@{role} of {function.name}: there is no '{texts[0]}'", f"one of {', '.join(KINDS[role])}")
    if role in NEED_CPU and "Cpu.hardirq_pc" not in names.fields:
        raise _wrong(function, f"@{role} of {function.name} in a model without contexts", "declare 'class Cpu(CpuContext)'")
    if role == "pending" and not function.node.args.args:
        raise _wrong(function, f"@pending of {function.name} needs the element that waits as its parameter")
    if role in ("initial", "forget") and function.node.args.args:
        raise _wrong(function, f"@{role} of {function.name} takes no parameters", "use pick(Struct) or choose(low, high)")
    returns = function.node.returns
    if role in PREDICATES and (returns is None or ast.unparse(returns) != "bool"):
        raise _wrong(function, f"@{role} of {function.name} answers yes or no", "write '-> bool' at its definition")


def known_properties(properties: Iterable[Property], entries: Iterable[Entry], names: Names, actions: Iterable[Action]) -> None:
    """Raise PasidlabError at the first use of a property the model does not have."""
    known = {p.name for p in properties}
    used = [(e.options["kind"], names.namespace.functions[e.function].position) for e in entries if e.role in PREDICATES]
    named = [i for action in actions for i in action.code if i.op in ("check", "reach", "repeat")]
    used += [(str(i.args[0]), i.site.position) for i in named]
    for name, position in used:
        if name not in known:
            raise PasidlabError(f"unknown property '{name}'", position=position, hint=nearest(name, known))
