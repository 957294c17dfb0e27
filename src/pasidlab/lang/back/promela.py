"""A lowered model as Promela, the language of SPIN: one state of SPIN for each state of the model, one transition for each step.

One process for each CPU takes the steps of that CPU, one the steps of nobody in particular; ``watch`` looks at the promises in
every state. Each case of an action is a ``d_step`` whose first statement says when it can be taken. What a step needs on the way
is in ``hidden`` variables, which are no part of a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pasidlab.errors import PasidlabError
from pasidlab.lang.back.cases import Case, cases
from pasidlab.lang.back.layout import State
from pasidlab.lang.back.numbers import Expression32
from pasidlab.lang.back.places import Variables, declarable
from pasidlab.lang.back.steps import ERROR, StepSurroundings, StepText
from pasidlab.lang.interpreter import CHOICE_DEPTH, Interpreter
from pasidlab.lang.ir import CPU, Action, Model, Predicate

_MOST_LINES = 500  # of one d_step, in which SPIN 6.5 takes 2048 places to jump to
_NEXT = "\n           "  # between statements
Numbered = list[tuple[int, Case]]

_HEAD = """\
/* {name}, as pasidlab lowers it: every access to state is a step, nothing is simplified, merged or left out.

   Everything, with each promise that is broken noted once ("violated N"):
       spin -a -o2 FILE; cc -O2 -DSAFETY -DNOREDUCE -DPRINTF -o pan pan.c; ./pan -c0 -E -m10000000
   A counterexample to promise N:
       spin -a -o2 -DONLY=N FILE; cc -O2 -DSAFETY -DNOREDUCE -DREACH -o pan pan.c; ./pan -E -i; spin -t -p FILE
   References number elements from 1, 0 is none. Promise 0 is broken where the model itself is wrong. */
#ifdef ONLY
#define BREAKS(p) assert(p != ONLY)
#else
hidden byte noted[256];
#define BREAKS(p) if :: noted[p] -> skip :: else -> noted[p] = 1; printf("violated %d\\n", p) fi
#endif
#define cpu (_pid + 1)"""


@dataclass(frozen=True)
class Export:
    """A model in Promela; ``properties`` are the names by the number SPIN reports for each.

    SPIN's transitions are the model's and ``watchers`` for each state: those change nothing. If the model has ``begins``, SPIN's first
    state comes before the model's first. These are the transitions out of it.
    """

    text: str
    watchers: int
    begins: int
    properties: tuple[str, ...]


def promela(model: Model) -> Export:
    """The whole model with its promises. PasidlabError where 32 bits do not do."""
    if any(f.observer for f in model.fields):
        raise PasidlabError(f"{model.name} has fields that are no part of its state: Promela has none")
    writer = _PromelaWriter(model)
    text = writer.text()
    return Export(text, writer.watchers, writer.begins, ("a model error", *(p.name for p in model.properties)))


class _PromelaWriter:
    """The text of one model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.places = Variables(model.fields)
        self.around = StepSurroundings(self.places, {p.name: n for n, p in enumerate(model.properties, start=ERROR + 1)})
        states = Interpreter(model).initial_states()
        self.initial = self._by_field(states[0]) if len(states) == 1 else None
        self.late = self.initial is None or not all(map(declarable, self.initial))
        """The initial states are reached by a first step of SPIN's own."""
        self.begins = 0
        self.cpus = max((f.count for f in model.fields if f.struct == "Cpu"), default=1)
        self.watchers = 0
        self.temporaries = 0
        self.numbered = 0
        self.obliged: set[int] = set()
        """The cases that somebody is obliged to take."""

    def _by_field(self, state: State) -> list[State]:
        values, at = [], 0
        for f in self.model.fields:
            values.append(state[at : at + f.count])
            at += f.count
        return values

    def text(self) -> str:
        """All of it."""
        cpu = Expression32("cpu", 1, self.cpus)
        own: Numbered = []
        others: Numbered = []
        for action in self.model.actions:
            mine = self._numbered(cases(action, self.places, cpu if _has_cpu(action) else None))
            (own if _has_cpu(action) else others).extend(mine)
            self.obliged |= {number for number, _ in mine if action.obliged}
        first = self._numbered(cases(self.model.init, self.places) if self.late else ())
        self.begins = len(first)
        begun = "begun && " if self.late else ""
        processes = [
            self._process(f"active [{self.cpus}] proctype on_cpu()", [(n, c, f"{begun}can_{n}(cpu)", "") for n, c in own]),
            self._process("active proctype around()", [(n, c, f"{begun}can_{n}", "") for n, c in others]),
            self._process("active proctype begin()", [(n, c, f"!begun && can_{n}", "begun = 1; ") for n, c in first]),
            self._watch(begun, own, others),
        ]
        guards = [f"#define can_{n}(cpu) ({case.guard})" for n, case in own]
        guards += [f"#define can_{n} ({case.guard})" for n, case in [*others, *first]]
        blocks = [_HEAD.format(name=self.model.name), *self._declarations(), "\n".join(guards), *filter(None, processes)]
        return "\n\n".join(blocks) + "\n"

    def _numbered(self, some: Iterable[Case]) -> Numbered:
        found = [(number, case) for number, case in enumerate(some, start=self.numbered + 1)]
        self.numbered += len(found)
        return found

    def _declarations(self) -> Iterator[str]:
        names = [f"#define P_{name} {number}" for name, number in self.around.properties.items()]
        yield "\n".join(["/* the promises */", *names])
        fields = self.places.declarations(None if self.late else self.initial)
        yield "\n".join(["/* the state */", *fields, *(["bit begun;"] if self.late else [])])
        hidden = ", ".join(f"t{n}" for n in range(max(self.temporaries, 1)))
        yield f"/* what a step needs on its way */\nhidden int {hidden};\nhidden int choice[{CHOICE_DEPTH}], chosen, rounds, result;"

    def _process(self, head: str, alternatives: Sequence[tuple[int, Case, str, str]]) -> str:
        """A process that takes any step it can, for ever; nothing if there are none."""
        lines = [f"{head} {{", "    do"]
        for number, case, guard, before in alternatives:
            statements = _NEXT.join(self._statements(number, case, self.around))
            lines.append(f"    :: d_step {{ {guard} ->  /* {case.title} */{_NEXT}{before}{statements} }}")
        return "\n".join([*lines, "    od", "}"]) if alternatives else ""

    def _statements(self, number: int, case: Case, around: StepSurroundings) -> list[str]:
        step = StepText(number, case.code, case.known, case.choices, around)
        statements = step.statements()
        self.temporaries = max(self.temporaries, step.temporaries)
        return statements

    def _watch(self, begun: str, own: Numbered, others: Numbered) -> str:
        """The process that looks at every state and changes none: as many predicates in each step as SPIN lets a ``d_step`` have."""
        moves = [f"can_{n}({cpu})" for cpu in range(1, self.cpus + 1) for n, _ in own if n in self.obliged]
        moves += [f"can_{n}" for n, _ in others if n in self.obliged]
        groups: list[list[str]] = []
        for predicate in self.model.predicates:
            for number, case in self._numbered(cases(predicate.action, self.places)):
                lines = self._asked(number, case, predicate, " || ".join(moves) or "false")
                if not groups or len(groups[-1]) + len(lines) > _MOST_LINES:
                    groups.append([])
                groups[-1] += lines
        self.watchers = len(groups)
        steps = [f"    :: d_step {{ {begun}true ->{_NEXT}{_NEXT.join(group)}{_NEXT}skip }}" for group in groups]
        return "\n".join(["#ifndef LIVENESS", "active proctype watch() {", "    do", *steps, "    :: false", "    od", "}", "#endif"])

    def _asked(self, number: int, case: Case, predicate: Predicate, moves: str) -> list[str]:
        """A promise is broken where its predicate is true; one about the end only where nobody is obliged to take a step."""
        return [
            f"result = 0;  /* {case.title}: {predicate.sentence} */",
            *([f"if :: {moves} -> goto done{number} :: else -> skip fi;"] if predicate.stuck else []),
            *self._statements(number, case, replace(self.around, predicate=True))[:-1],
            f"done{number}: if :: (result != 0) -> BREAKS(P_{predicate.property}) :: else -> skip fi;",
        ]


def _has_cpu(action: Action) -> bool:
    return any(name == CPU for name, _ in action.params)
