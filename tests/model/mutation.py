"""The mutation score of the kernel model: ``python tests/model/mutation.py`` checks every mutant that ``mutation.json`` does not know.

Hours of one core. What is known is kept, so it can be stopped at any time; the order is random, so that a part of the way is a fair
sample. A mutant is caught by a property that the design keeps in the same part without it. Else it is caught where behaviour is gone: the
part no longer begins as it did, or a statement, not the changed one, is executed no more (``reached.py``). The parts where other mutants
of the function were caught come first, then the smallest. Some are caught because a design that is known to be bad is found bad no more
(``known_bad.py``). Survivors get a reason by hand: why the change makes no difference, or why it is out of scope.

    python tests/model/mutation.py                              go on
    python tests/model/mutation.py WORD ...                     once more those whose name has one of the words
    python tests/model/mutation.py --in DESIGN PART WORD ...    those, there alone; what is caught elsewhere stays so
    python tests/model/mutation.py --caught                     what is caught, once more: first where it was
    python tests/model/mutation.py --score                      the numbers

DESIGN may be one of ``known_bad.py``. It has a PART of its own: ``own``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from callers import CALLERS, MORE_PARTS
from known_bad import KNOWN_BAD
from mutations import Mutation, mutations
from reached import DESIGNS as AROUND
from reached import begins, executed, observed, within
from small_parts import SMALL

from pasidlab.checking.api import check
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import ALL, Reductions
from pasidlab.errors import PasidlabError
from pasidlab.lang import source
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.ir import Action, Model
from pasidlab.model.promises import NAMES
from pasidlab.model.scope import DEFAULT_PARTS
from pasidlab.search.result import Budget

TABLE = Path(__file__).with_name("mutation.json")
UNEXPLAINED = "unexplained"
SAME = "equivalent: the compiler makes the same code of it"
NOT_CALLED = "out of scope: no design of the trials calls it"
SEED = 2021
DESIGNS = {**AROUND, **CALLERS}
PARTS = {**SMALL, **MORE_PARTS, **{f"default {name}": part for name, part in DEFAULT_PARTS.items()}}
TRIALS = [
    *(("early-read", part) for part in SMALL),
    ("task-work", "signals"), ("task-work", "pushed"), ("task-work", "left"), ("eager-ipi", "borrowed"),
    ("unfixed", "threads"), ("unfixed", "tracer"), ("unfixed", "heirs"),
]  # fmt: skip
LAST_TRIALS = [
    ("task-work", "clones"), ("late-either", "clones"), ("late-either-refs", "clones"),
    ("frames", "signals"), ("loads", "interrupts"), ("loads", "signals"), ("loads", "switching"), ("images", "signals"),
    ("locks", "meeting"), ("locks", "pushed"), ("early-read", "resting"), ("early-read", "faults"),
    ("unfixed", "interrupts"), ("unfixed", "kvm"),
]  # fmt: skip
"""For what only some designs call or use."""
OWN = "own"
"""The part of a design of ``known_bad.py``."""
KEEPS_ALL = "early-read"
REACHED, MISSED = "reached", "missed"
TIMES, MORE, SECONDS = 2, 100_000, 60
"""A mutant's search ends at so many times the states of the unchanged part, and so many more, and after so long."""
MODEL_ERROR, NOT_COMPILED = "model error", "does not compile"
UNMERGED = Reductions(merging=False, local_first=False)
"""What both rely on are arrivals as they are in ``arrivals.py``. Where others are declared the compiler uses neither."""


@dataclass(frozen=True)
class Caught:
    """What caught a mutant: a property, REACHED, MISSED, MODEL_ERROR or NOT_COMPILED, and where."""

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
def baseline(design: str, part: str, reductions: Reductions) -> Baseline:
    model = _model(design, part, reductions)
    found = check(observed(DESIGNS[design]), PARTS[part], jobs=1, reductions=reductions)
    kept = NAMES if design == KEEPS_ALL else [p.name for p in found.properties if p.holds]
    return Baseline(_code(model), frozenset(kept), begins(model) | executed(found), found.states)


@cache
def functions(design: str, part: str) -> frozenset[str]:
    """The functions that a design calls in a part."""
    return frozenset(s.function for action in _actions(_model(design, part, ALL)) for i in action.code for s in i.site.chain())


def _model(design: str, part: str, reductions: Reductions) -> Model:
    """What ``check`` explores; it is lowered once, and kept."""
    bad = KNOWN_BAD.get(design)
    return design_model(bad.design if bad else DESIGNS[design], bad.scope if bad else PARTS[part], reductions=reductions)


def _actions(model: Model) -> list[Action]:
    return [*model.actions, model.init, *(p.action for p in model.predicates)]


def _code(model: Model) -> object:
    return [(action.name, [(i.op, i.args) for i in action.code]) for action in _actions(model)]


def caught(mutation: Mutation, design: str, part: str) -> Caught | Survives:
    """What catches a mutant of the kernel around a design in a part, or what the part says of it."""
    reductions = UNMERGED if mutation.path == ARRIVALS else ALL
    if part == OWN:
        return missed(mutation, design, reductions)
    known = baseline(design, part, reductions)
    try:
        with in_place(mutation):
            if _code(_model(design, part, reductions)) == known.code:
                return Survives(same=True)
            most = TIMES * known.states + MORE
            first = Budget(after_violation=1 if len(known.kept) == len(NAMES) else most, max_states=most, timeout=SECONDS)
            found = check(observed(DESIGNS[design]), PARTS[part], jobs=1, budget=first, reductions=reductions)
            reached = begins(_model(design, part, reductions)) | executed(found)
    except PasidlabError as error:
        return Caught(MODEL_ERROR if " after " in str(error) else NOT_COMPILED, part, design)
    broken = [c.property for c in found.counterexamples if c.property in known.kept]
    if broken or found.error:
        return Caught(broken[0] if broken else MODEL_ERROR, part, design)
    if found.whole and known.reached - reached - within(mutation.path, mutation.lines()):
        return Caught(REACHED, part, design)
    return Survives(more=found.states > known.states, fewer=found.states < known.states)


def missed(mutation: Mutation, design: str, reductions: Reductions) -> Caught | Survives:
    """Whether a design that is known to be bad breaks its promise no more."""
    bad = KNOWN_BAD[design]
    with in_place(mutation):
        found = check(bad.design, bad.scope, properties=[bad.broken], jobs=1, reductions=reductions)
    return Survives() if found.counterexamples or not found.whole else Caught(MISSED, OWN, design)


@contextmanager
def in_place(mutation: Mutation) -> Iterator[None]:
    """Whoever reads the file of the mutation meanwhile reads the mutant."""
    read, text = source.read_text, mutation.text()
    with patch.object(source, "read_text", lambda path: text if path == mutation.path else read(path)):
        yield


def verdict(mutation: Mutation, trials: list[tuple[str, str]]) -> Caught | Survives:
    """The first trial that catches a mutant."""
    survived: list[Survives] = []
    for design, part in trials:
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
        """The trials: where it was caught, where most other mutants of the function were, and then most of the file."""
        file, function = mutation.name.split(": ")[:2]
        by_function, by_file = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for name, what in self.caught.items():
            trial = tuple(what.split(", ")[:0:-1])
            by_file[trial] += name.startswith(f"{file}: ")
            by_function[trial] += name.startswith(f"{file}: {function}: ")
        before = self.caught.get(mutation.name, "").split(", ")[:0:-1]
        likely = sorted(TRIALS, key=lambda trial: (-by_function[trial], -by_file[trial]))
        return list(dict.fromkeys([*([(before[0], before[1])] if before else []), *likely, *LAST_TRIALS]))

    def note(self, mutation: Mutation, by: Caught | Survives, given: str = "") -> None:
        """Write down what the trials gave; a survivor keeps the reason it has."""
        self.caught.pop(mutation.name, None)
        reason = self.survivors.pop(mutation.name, UNEXPLAINED)
        if isinstance(by, Caught):
            self.caught[mutation.name] = str(by)
        else:
            shown = given or by.reason or UNEXPLAINED
            self.survivors[mutation.name] = shown if reason == UNEXPLAINED or (reason in (SAME, NOT_CALLED) and not given) else reason
        stored = {"caught": self._present(self.caught), "survivors": self._present(self.survivors)}
        partial = TABLE.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        partial.replace(TABLE)

    def score(self) -> str:
        """How many were caught, by what, and how many survivors have no reason yet."""
        by = Counter(what.split(", ")[0] for what in self.caught.values())
        tried, left = len(self.caught) + len(self.survivors), len(self.survivors)
        open_ones = sum(why == UNEXPLAINED for why in self.survivors.values())
        first = f"{tried} of {len(self.names)} mutants tried: {len(self.caught)} caught, {left} not, {open_ones} of these without a reason"
        return "\n".join([first, *(f"{count:5} {what}" for what, count in by.most_common())])


def main(words: list[str]) -> None:
    gc.disable()  # a fifth of the time: lowering makes many small objects
    everything = mutations()
    table = Table(everything)
    there, words = ([(words[1], words[2])], words[3:]) if words[:1] == ["--in"] else ([], words)
    for mutation in Random(SEED).sample(everything, len(everything)):
        if not _asked(mutation, words, table):
            continue
        if not there:
            _try(mutation, [trial for trial in table.likely_first(mutation) if mutation.function in functions(*trial)], table)
        elif mutation.name not in table.caught:
            _try(mutation, there, table, given=UNEXPLAINED)
    print(table.score())


def _asked(mutation: Mutation, words: list[str], table: Table) -> bool:
    """Whether the command's words are about a mutant."""
    if words == ["--score"]:
        return False
    if words == ["--caught"]:
        return mutation.name in table.caught
    return any(word in mutation.name for word in words) if words else not table.knows(mutation)


def _try(mutation: Mutation, trials: list[tuple[str, str]], table: Table, given: str = "") -> None:
    """Try a mutant and write down the outcome. ``given``: the reason of a survivor without one; empty: what shows in the trials."""
    start, by = time.perf_counter(), verdict(mutation, trials)
    table.note(mutation, by, given)
    gc.collect()
    print(f"{time.perf_counter() - start:.0f} s {mutation}: {by}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
