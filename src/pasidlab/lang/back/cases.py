"""The actions of a model as cases: one for each program counter, each value of the parameters, each way to choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pasidlab.lang.back.guards import ways
from pasidlab.lang.back.numbers import Expression32, literal
from pasidlab.lang.back.places import Variables
from pasidlab.lang.interpreter import param_values
from pasidlab.lang.ir import CPU, Action, Instr
from pasidlab.lang.lowering.flow import Code, without_unreachable
from pasidlab.lang.types import Ref

_STRAIGHT = frozenset({"label", "branch", "jump", "switch", "choose", "return", "end"})


@dataclass(frozen=True)
class Case:
    """One alternative of a model: code that is a step of its own, and when it can be taken."""

    title: str
    code: tuple[Instr, ...]
    known: Mapping[str, Expression32]  # parameters
    choices: tuple[int, ...]
    guard: str


def cases(action: Action, places: Variables, cpu: Expression32 | None = None) -> Iterator[Case]:
    """Every case of an action. ``cpu`` stands for the executing CPU; without it, that is a parameter like any other."""
    seen: set[tuple[int, ...]] = set()
    for values in param_values(action):
        known = {name: literal(value) for (name, _), value in zip(action.params, values, strict=True)}
        if cpu is not None and CPU in known:
            known[CPU] = cpu
        others = tuple(value for (name, _), value in zip(action.params, values, strict=True) if cpu is None or name != CPU)
        if others in seen:
            continue
        seen.add(others)
        for counter, code in _entered(list(action.code)):
            for choices, conditions in sorted(ways(code, known, places).items()):
                yield Case(_title(action, known, counter, choices), tuple(code), known, choices, _any(conditions))


def _any(conditions: list[str]) -> str:
    """A condition that holds where any of the conditions does."""
    if "true" in conditions:
        return "true"
    unique = list(dict.fromkeys(conditions))
    return unique[0] if len(unique) == 1 else " || ".join(f"({condition})" for condition in unique)


def _entered(code: Code) -> Iterator[tuple[int | None, Code]]:
    """The code of a program by the value of its counter, which it switches on first; other code as it is."""
    at = next((n for n, instr in enumerate(code) if instr.op in _STRAIGHT), len(code))
    if at == len(code) or code[at].op != "switch":
        yield None, without_unreachable(code, set())
        return
    switch = code[at]
    for counter, label in enumerate(switch.labels()):
        site = switch.site
        here = [Instr("eq", ("%here", switch.args[0], counter), site), Instr("require", ("%here",), site), Instr("jump", (label,), site)]
        yield counter, without_unreachable([*code[:at], *here, *code[at + 1 :]], set())


def _title(action: Action, known: Mapping[str, Expression32], counter: int | None, choices: tuple[int, ...]) -> str:
    words = [action.name]
    for name, domain in action.params:
        if known[name].known:
            words.append(f"{name}={known[name].low - isinstance(domain, Ref)}")
    if counter is not None and counter < len(action.resumes):
        site = action.resumes[counter]
        place = site.position.file.rsplit("/", 1)[-1]
        words.append(f"{counter}: {site.function} {place}:{site.position.line}")
    if choices:
        words.append("chooses " + ", ".join(map(str, choices)))
    return " ".join(words)
