"""A lowered model as a module of TLA+ with its configuration for TLC: one state of TLC for each state of the model.

Each action is an operator that gives the set of its outcomes. ``Next`` takes those after which a state follows. A promise is an invariant:
no predicate of the promise is true in the state, and no step from there breaks it.

Liveness is not exported. Each class of steps of ``checking/waiting.py`` needs a formula SF, 36 in the smallest scope, and TLC's work
doubles with each (docs/evidence.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pasidlab.errors import PasidlabError
from pasidlab.lang.back.places import Variables
from pasidlab.lang.back.tla_actions import TlaAction
from pasidlab.lang.back.tla_names import TlaNames
from pasidlab.lang.back.tla_numbers import DEFINITIONS, literal, the_set
from pasidlab.lang.back.tla_steps import MODEL_ERROR
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Action, Model
from pasidlab.lang.types import Field

_MOST_INITIAL = 4096  # initial states, which are written out one by one
_WIDTH = 120
_ONE_STEP = "\\* only what one step can break: who waits for ever breaks no invariant; pasidlab check looks for that"

_HEAD = """\
---- MODULE {module} ----
(* {name}, as pasidlab lowers it: every access to state is a step, nothing is simplified, merged or left out.

   {module}.cfg tells TLC what to look for:
       java -Xss256m -cp tla2tools.jar tlc2.TLC -deadlock {module}
   References number elements from 1, 0 is none. An outcome of a step has go: a state follows; broken: promises broken on the way. *)
EXTENDS Integers
{numbers}
Stop(broke) == {{[go |-> FALSE, broken |-> broke]}}
Off(broke) == IF broke = {{}} THEN {{}} ELSE Stop(broke)"""


@dataclass(frozen=True)
class TlaModule:
    """A model in TLA+. ``invariants`` has for each promise the name of its invariant; the model's own faults are the first."""

    name: str
    text: str
    configuration: str
    invariants: dict[str, str]


def tla(model: Model, module: str = "") -> TlaModule:
    """The whole model with its promises. PasidlabError where 32 bits do not do, or ``module`` is no name of TLA+."""
    if any(f.observer for f in model.fields):
        raise PasidlabError(f"{model.name} has fields that are no part of its state: TLA+ has none")
    module = module or re.sub(r"\W", "_", model.name, flags=re.ASCII)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", module):
        raise PasidlabError(f"'{module}' is no name of a TLA+ module", hint="letters, digits and _, a letter first: -o Early.tla")
    return _TlaWriter(model, module).whole()


class _TlaWriter:
    """The text of one model."""

    def __init__(self, model: Model, module: str) -> None:
        self.model, self.module, self.names = model, module, TlaNames()
        self.names.fresh(module)
        self.places = Variables(model.fields)
        self.places.names = {path: self.names.fresh(name) for path, name in self.places.names.items()}
        promises = [p.name for p in model.properties]
        self.invariants = {MODEL_ERROR: self.names.fresh("model_is_right")} | {name: self.names.fresh(name) for name in promises}
        self.stuck = self.names.fresh("no_step_can_be_taken")
        steps = [(action, self.names.fresh(action.name)) for action in model.actions]
        self.actions = [(action, name, self._ways(action, name)) for action, name in steps]
        asked = [(p, self.names.fresh(f"breaks_{p.property}")) for p in model.predicates]
        self.predicates = [(p, TlaAction(p.action, name, self.places, self.names, predicate=True)) for p, name in asked]

    def _ways(self, action: Action, name: str) -> TlaAction:
        return TlaAction(action, self.names.fresh(f"{name}_outcomes"), self.places, self.names)

    def whole(self) -> TlaModule:
        """The module and its configuration."""
        blocks = [
            _HEAD.format(module=self.module, name=self.model.name, numbers=DEFINITIONS),
            "\n".join(_wrapped("VARIABLES ", ", ", [self.places.names[path] for path in self.places.fields])),
            "\n".join(["vars ==", *_wrapped("  << ", ", ", [self.places.names[path] for path in self.places.fields]), "  >>"]),
            "\n".join(["TypeOK ==", *(f"  /\\ {self._typed(f)}" for f in self.model.fields)]),
            "\n".join(self._initial()),
            *(f"\\* {name}\n" + "\n".join(text.definitions()) + "\n" + self._taken(name, text) for _, name, text in self.actions),
            "\n".join(["Next ==", *(f"  \\/ {self._bound('E', text, action)}{name}{_given(text)}" for action, name, text in self.actions)]),
            "Spec == Init /\\ [][Next]_vars",
            "\n".join(["\\* no step that somebody is obliged to take", *self._stuck()]),
            *(f"\\* {p.property}: {p.sentence}\n" + "\n".join(text.definitions()) for p, text in self.predicates),
        ]
        blocks += ["\n".join(self._promise(promise, name)) for promise, name in self.invariants.items()]
        text = "\n\n".join([*blocks, "===="]) + "\n"
        kept = "\n".join(f"    {name}" for name in ("TypeOK", *self.invariants.values()))
        return TlaModule(self.module, text, f"SPECIFICATION Spec\nINVARIANTS\n{kept}\n", self.invariants)

    def _typed(self, f: Field) -> str:
        values = the_set(f.domain, none=True)
        return f"{self.places.names[f.path]} \\in {values if f.count == 1 else f'[1..{f.count} -> {values}]'}"

    def _initial(self) -> Iterator[str]:
        states = Interpreter(self.model).initial_states()
        if len(states) > _MOST_INITIAL:
            raise PasidlabError(f"{self.model.name} has {len(states):,} initial states, at most {_MOST_INITIAL:,} are written out")
        yield "Init =="
        for state in states:
            yield "  \\/ " + "\n     ".join(f"/\\ {equation}" for equation in self._equations(state))

    def _equations(self, state: Sequence[int]) -> Iterator[str]:
        at = 0
        for f in self.model.fields:
            values = [literal(value).text for value in state[at : at + f.count]]
            yield f"{self.places.names[f.path]} = {values[0] if f.count == 1 else '<<' + ', '.join(values) + '>>'}"
            at += f.count

    def _taken(self, name: str, text: TlaAction) -> str:
        """The action itself: a state follows."""
        stored = [self.places.names[path] for path in text.stored]
        others = [self.places.names[path] for path in self.places.fields if path not in set(text.stored)]
        lines = [f"{name}{_given(text)} == \\E o \\in {text.name}{_given(text)} :", "  /\\ o.go"]
        lines += [f"  /\\ {field}' = o.{field}" for field in stored]
        return "\n".join([*lines, *(_wrapped("  /\\ UNCHANGED << ", ", ", others, " >>") if others else [])])

    def _bound(self, quantifier: str, text: TlaAction, action: Action) -> str:
        """The quantifier over an action's parameters; empty if it has none."""
        domains = [the_set(domain, none=False) for _, domain in action.params]
        bounds = [f"{value.text} \\in {values}" for value, values in zip(text.known.values(), domains, strict=True)]
        return f"\\{quantifier} {', '.join(bounds)} : " if bounds else ""

    def _stuck(self) -> Iterator[str]:
        yield f"{self.stuck} =="
        for action, _, text in (some for some in self.actions if some[0].obliged):
            yield f"  /\\ {self._bound('A', text, action)}\\A o \\in {text.name}{_given(text)} : ~o.go"

    def _promise(self, promise: str, name: str) -> Iterator[str]:
        """The invariant of a promise."""
        sentence = next((p.sentence for p in self.model.properties if p.name == promise), "no step and no promise asks what has no answer")
        yield f"\\* {promise}: {sentence}"
        if promise in self.model.pending:
            yield _ONE_STEP
        yield f"{name} ==\n  /\\ TRUE"
        every = [(action, text) for action, _, text in self.actions] + [(p.action, text) for p, text in self.predicates]
        for action, text in every:
            if promise not in text.may_break:
                continue
            yield f'  /\\ {self._bound("A", text, action)}\\A o \\in {text.name}{_given(text)} : "{promise}" \\notin o.broken'
        for p, text in self.predicates:
            if p.property == promise:
                only = f"{self.stuck} => " if p.stuck else ""
                yield f"  /\\ {only}{self._bound('A', text, p.action)}\\A o \\in {text.name}{_given(text)} : ~o.go"


def _given(text: TlaAction) -> str:
    """The parameters of an action, as they are handed on."""
    return f"({', '.join(value.text for value in text.known.values())})" if text.known else ""


def _wrapped(first: str, between: str, words: Sequence[str], last: str = "") -> list[str]:
    """Words in lines, each below the first word."""
    lines, line = [], first
    for n, word in enumerate(words):
        piece = word + (between if n < len(words) - 1 else last)
        if len(line) + len(piece) > _WIDTH and line.strip():
            lines.append(line.rstrip())
            line = " " * len(first)
        line += piece
    return [*lines, line.rstrip()]
