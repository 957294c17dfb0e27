"""The mutation score of the kernel model: ``python tests/model/mutation.py`` checks every mutant that ``mutation.json`` does not know.

Hours of one core. What is known is kept, so it can be stopped at any time; the order is random, so that a part of the way is a fair
sample. A mutant is caught by a property that the design keeps in the same part without it. Else it is caught where behaviour is gone: the
part no longer begins as it did, or a statement, not the changed one, is executed no more (``reached.py``). The parts where other mutants
of the function were caught come first, then the smallest. Survivors get a reason by hand: why the change makes no difference, or why it
is out of scope.

    python tests/model/mutation.py              go on
    python tests/model/mutation.py WORD ...     once more those whose name has one of the words
    python tests/model/mutation.py --score      the numbers
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from mutations import Mutation, mutations
from reached import DESIGNS, begins, executed, observed, within
from small_parts import SMALL

from pasidlab.checking.api import check
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import Reductions
from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.ir import Action, Model
from pasidlab.model.promises import NAMES
from pasidlab.model.scope import DEFAULT_PARTS
from pasidlab.search.result import Budget

TABLE = Path(__file__).with_name("mutation.json")
OPEN = "not tried in the large parts yet"
UNEXPLAINED = "unexplained"
SAME = "equivalent: the compiler makes the same code of it"
NOT_CALLED = "out of scope: no design of the trials calls it"
SEED = 2021
PARTS = {**SMALL, **DEFAULT_PARTS}
TRIALS = [
    *(("early-read", part) for part in SMALL),
    ("task-work", "signals"), ("task-work", "pushed"), ("task-work", "left"), ("eager-ipi", "borrowed"),
    ("unfixed", "threads"), ("unfixed", "tracer"), ("unfixed", "heirs"),
]  # fmt: skip
LAST_TRIALS = [("eager-ipi", "switched"), *(("early-read", part) for part in DEFAULT_PARTS)]
KEEPS_ALL = "early-read"
REACHED = "reached"
TIMES, MORE, SECONDS = 2, 100_000, 60
"""A mutant's search ends at so many times the states of the unchanged part, and so many more, and after so long."""
MODEL_ERROR, NOT_COMPILED = "model error", "does not compile"


@dataclass(frozen=True)
class Caught:
    """What caught a mutant: a property, REACHED, MODEL_ERROR or NOT_COMPILED, and where."""

    property: str
    part: str
    design: str

    def __str__(self) -> str:
        return f"{self.property}, {self.part}, {self.design}"


@dataclass(frozen=True)
class Baseline:
    """A design in a part without a change: its code, the properties it keeps, what it reaches, its states."""

    code: object
    kept: frozenset[str]
    reached: frozenset[str]
    states: int


@dataclass(frozen=True)
class Survives:
    """No trial caught a mutant. What the change made of the number of states, in all parts: a hint at the reason."""

    more: bool = False
    fewer: bool = False
    same: bool = False  # the code
    tried: bool = True

    @property
    def reason(self) -> str:
        """Why it survives, where that needs no reading; else empty."""
        if not self.tried:
            return NOT_CALLED
        return SAME if self.same else ""

    def __str__(self) -> str:
        return f"survives ({', '.join(w for w, said in (('more', self.more), ('fewer', self.fewer)) if said) or 'as many'} states)"


@cache
def baseline(design: str, part: str) -> Baseline:
    model = _model(design, part)
    found = check(observed(design), PARTS[part], jobs=1)
    kept = NAMES if design == KEEPS_ALL else [p.name for p in found.properties if p.holds]
    return Baseline(_code(model), frozenset(kept), begins(model) | executed(found), found.states)


@cache
def functions(design: str, part: str) -> frozenset[str]:
    """The functions that a design calls in a part."""
    return frozenset(s.function for action in _actions(_model(design, part)) for i in action.code for s in i.site.chain())


def _model(design: str, part: str) -> Model:
    """What ``check`` explores; it is lowered once, and kept."""
    return design_model(DESIGNS[design], PARTS[part], reductions=Reductions())


def _actions(model: Model) -> list[Action]:
    return [*model.actions, model.init, *(p.action for p in model.predicates)]


def _code(model: Model) -> object:
    return [(action.name, [(i.op, i.args) for i in action.code]) for action in _actions(model)]


def caught(mutation: Mutation, design: str, part: str) -> Caught | Survives:
    """What catches a mutant of the kernel around a design in a part, or what the part says of it."""
    known, read, text = baseline(design, part), source.read_text, mutation.text()
    with patch.object(source, "read_text", lambda path: text if path == mutation.path else read(path)):
        try:
            if _code(_model(design, part)) == known.code:
                return Survives(same=True)
            most = TIMES * known.states + MORE
            first = Budget(after_violation=1 if len(known.kept) == len(NAMES) else most, max_states=most, timeout=SECONDS)
            found = check(observed(design), PARTS[part], jobs=1, budget=first)
            reached = begins(_model(design, part)) | executed(found)
        except PasidlabError as error:
            return Caught(MODEL_ERROR if " after " in str(error) else NOT_COMPILED, part, design)
    broken = [c.property for c in found.counterexamples if c.property in known.kept]
    if broken or found.error:
        return Caught(broken[0] if broken else MODEL_ERROR, part, design)
    if found.whole and known.reached - reached - within(mutation.path, mutation.lines()):
        return Caught(REACHED, part, design)
    return Survives(more=found.states > known.states, fewer=found.states < known.states)


def verdict(mutation: Mutation, trials: list[tuple[str, str]]) -> Caught | Survives:
    """The first trial that catches a mutant. Where its function has no part in the model, there is no trial."""
    survived: list[Survives] = []
    for design, part in trials:
        if mutation.function in functions(design, part):
            by = caught(mutation, design, part)
            if isinstance(by, Caught):
                return by
            survived.append(by)
    more, fewer = any(by.more for by in survived), any(by.fewer for by in survived)
    return Survives(more, fewer, all(by.same for by in survived), bool(survived))


class Table:
    """What is known of the mutants: those caught and by what, survivors and why."""

    def __init__(self, everything: list[Mutation]) -> None:
        stored = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
        self.names = [mutation.name for mutation in everything]
        self.caught: dict[str, str] = self._present(stored.get("caught", {}))
        self.survivors: dict[str, str] = self._present(stored.get("survivors", {}))

    def _present(self, found: dict[str, str]) -> dict[str, str]:
        return {name: found[name] for name in self.names if name in found}

    def knows(self, mutation: Mutation) -> bool:
        """Whether the mutant was tried."""
        return mutation.name in self.caught or mutation.name in self.survivors

    def likely_first(self, mutation: Mutation) -> list[tuple[str, str]]:
        """The trials, those first that caught most other mutants of the function; then most of the file."""
        file, function = mutation.name.split(": ")[:2]
        by_function, by_file = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for name, what in self.caught.items():
            trial = tuple(what.split(", ")[:0:-1])
            by_file[trial] += name.startswith(f"{file}: ")
            by_function[trial] += name.startswith(f"{file}: {function}: ")
        return sorted(TRIALS, key=lambda trial: (-by_function[trial], -by_file[trial]))

    def note(self, mutation: Mutation, by: Caught | Survives, otherwise: str) -> None:
        """Write down what a trial gave; a survivor keeps the reason it has."""
        self.caught.pop(mutation.name, None)
        reason = self.survivors.pop(mutation.name, OPEN)
        if isinstance(by, Caught):
            self.caught[mutation.name] = str(by)
        else:
            self.survivors[mutation.name] = by.reason or otherwise if reason in (OPEN, UNEXPLAINED) else reason
        stored = {"caught": self._present(self.caught), "survivors": self._present(self.survivors)}
        partial = TABLE.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        partial.replace(TABLE)

    def score(self) -> str:
        """How many were caught, by what, and how many survivors have no reason yet."""
        by = Counter(what.split(", ")[0] for what in self.caught.values())
        tried, left = len(self.caught) + len(self.survivors), len(self.survivors)
        open_ones = sum(why in (OPEN, UNEXPLAINED) for why in self.survivors.values())
        first = f"{tried} of {len(self.names)} mutants tried: {len(self.caught)} caught, {left} not, {open_ones} of these without a reason"
        return "\n".join([first, *(f"{count:5} {what}" for what, count in by.most_common())])


def main(words: list[str]) -> None:
    gc.disable()  # a fifth of the time: lowering makes many small objects
    everything = mutations()
    table = Table(everything)
    order = [] if words == ["--score"] else Random(SEED).sample(everything, len(everything))
    for mutation in order:
        if any(word in mutation.name for word in words) if words else not table.knows(mutation):
            _try(mutation, table.likely_first(mutation), OPEN, table)
    for mutation in order:
        if table.survivors.get(mutation.name) == OPEN:
            _try(mutation, LAST_TRIALS, UNEXPLAINED, table)
    print(table.score())


def _try(mutation: Mutation, trials: list[tuple[str, str]], otherwise: str, table: Table) -> None:
    start, by = time.perf_counter(), verdict(mutation, trials)
    table.note(mutation, by, otherwise)
    gc.collect()
    print(f"{time.perf_counter() - start:.0f} s {mutation}: {by}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
