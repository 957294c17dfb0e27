"""The searches of a design in one scope: local steps first, in full, and in the model that remembers enough."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import Reductions
from pasidlab.designs import AnyScope, Design
from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.ir import Function, Model, looks_at
from pasidlab.lang.lowering.forget import remembering
from pasidlab.search.exchange import ALONE, Exchange
from pasidlab.version import VERSION

if TYPE_CHECKING:
    from pasidlab.interrupts import StopFlag
    from pasidlab.lang.back.native import CompiledModel
    from pasidlab.search.checkpoint import Checkpoint
    from pasidlab.search.result import Budget, Progress, SearchResult, Walked
    from pasidlab.search.simulate import Walks

FunctionsForScope = Callable[[AnyScope], dict[str, Function]] | Mapping[str, Function]
OnDesignProgress = Callable[[str, str, "Progress | Walked"], None]  # design, part, how far it is
STATES_AFTER_VIOLATION = {True: 10_000_000, False: 3_000_000}  # of a part, with local steps first or in full, ...
STATES_AFTER_EARLIER_VIOLATION = 20_000_000  # ... of one that follows a part in which something is broken ...
STATES_TO_THE_SHORTEST = 5_000_000  # ... and of the full graph, for shortest counterexamples
SMALLER = {False: "fewer --tasks, --mms or events", True: "smaller sizes, fewer events"}


class OutOfTime(Exception):
    """The time for the whole check is over."""


@dataclass(frozen=True)
class Built:
    """A model ready to be explored."""

    design: Design
    name: str
    scope: AnyScope
    model: Model
    native: CompiledModel
    seconds: float = 0.0  # of the searches that led to this model

    def bit(self, name: str) -> int:
        """The bit of a property in what a search finds."""
        return self.native.properties.index(name)

    def recompiled(self, model: Model, *, symmetric: bool = False, labelled: bool = False, after: SearchResult | None = None) -> Built:
        """The part in another model of it, which a search has led to."""
        from pasidlab.lang.back.native import compile_model

        local = model.private is not None
        native = compile_model(model, covered=self.design.sources, symmetric=symmetric, labelled=labelled, local_first=local)
        return replace(self, model=model, native=native, seconds=self.seconds + (after.seconds if after else 0.0))


@dataclass(frozen=True)
class Searched:
    """A search of one part, in the model it was made in."""

    built: Built
    found: SearchResult
    kept: bool = True  # its states are still there

    def broken(self, names: Iterable[str]) -> set[str]:
        """The properties of those names that the search found broken."""
        return {name for name in names if self.built.bit(name) in self.found.violations}

    @property
    def seconds(self) -> float:
        """Of this search and those that led to it."""
        return self.built.seconds + self.found.seconds


@dataclass(frozen=True)
class Run:
    """What was asked of all explorations of one call."""

    wanted: tuple[str, ...]
    jobs: int
    budget: Budget | None
    progress: OnDesignProgress | None
    functions: FunctionsForScope | None
    reductions: Reductions
    interrupted: StopFlag | None = None  # None: Ctrl-C itself
    deadline: float | None = None  # of time.monotonic(): when the whole check is to end
    known: Mapping[str, int] = field(default_factory=dict)  # what is broken in earlier parts -> in how many steps
    whole: bool = True  # all properties are asked for
    walks: Walks | None = None  # instead of a search
    checkpoint: Path | None = None  # folder that searches are kept in, to go on from
    peers: Exchange = ALONE  # the processes that share the states of each search

    def build(self, design: Design, name: str, scope: AnyScope) -> Built:
        """The model of a design in a scope, compiled."""
        from pasidlab.lang.back.native import compile_model
        from pasidlab.search.result import MOST_WORDS

        made = self.functions(scope) if callable(self.functions) else dict(self.functions or {})
        model = design_model(design, scope, reductions=self.reductions, functions=made)
        walks = self.walks is not None
        native = compile_model(model, covered=design.sources, symmetric=self.reductions.symmetry, labelled=walks, local_first=not walks)
        if native.words > MOST_WORDS and not walks:
            what = f"a state of {design.name} in this scope takes {native.words} words of 64 bits, {MOST_WORDS} are the most"
            raise PasidlabError(what, hint=f"a smaller scope: {SMALLER[design.own is not None]}")
        return Built(design, name, scope, model, native)

    def shortest(self, first: Searched) -> tuple[Searched, Searched | None]:
        """The search for shortest counterexamples for what local steps first have found broken, if there is anything to look for.

        Memory that is limited is not taken twice: the states of the first search go.
        """
        most = {name: self.known[name] - 1 if name in self.known else None for name in first.broken(self.wanted)}
        if not most or first.found.reason in ("interrupted", "timeout"):
            return first, None
        full, limits = self.full(first), self._limits(first.built.model)
        if limits.max_memory or limits.spill:
            first = replace(first, found=first.found.without_states(), kept=False)
        if self._thrifty and (self.budget is None or self.budget.max_states is None):
            limits = replace(limits, max_states=STATES_TO_THE_SHORTEST)
        enough = {full.bit(name): steps for name, steps in most.items()}
        return first, self.remembering(full, replace(limits, after_violation=None, enough=enough))

    def again(self, first: Searched, name: str) -> Searched:
        """A search with its states: if they have gone, it is made once more, up to where a property is broken."""
        if first.kept:
            return first
        run = replace(self, interrupted=None, deadline=None, checkpoint=None)
        return run.remembering(first.built, replace(run._limits(first.built.model), enough={first.built.bit(name): None}))

    def graph(self, built: Built) -> Searched:
        """The full graph of a part, of which each step is known by name."""
        full = built.recompiled(replace(built.model, private=None), labelled=True)
        return self.remembering(full, labelled=True)

    def full(self, first: Searched) -> Built:
        """The part as the first search had it, without local steps first."""
        return first.built.recompiled(replace(first.built.model, private=None), symmetric=self.reductions.symmetry, after=first.found)

    def remembering(self, built: Built, limits: Budget | None = None, *, labelled: bool = False) -> Searched:
        """Explore one part, in the model that remembers whatever contents code looks at.

        While nobody looks at them, a model that forgets has the verdicts and lengths of the exact one (``forget``).
        """
        while True:
            watched = {path: built.bit(looks_at(path)) for path in built.model.forgotten}
            found = self._search(built, limits or self._limits(built.model), sum(1 << bit for bit in watched.values()))
            fields = [path for path, bit in watched.items() if bit in found.violations or found.error]
            if not fields:
                return Searched(built, found)
            if found.reason in ("interrupted", "timeout"):  # there is no time for another search
                looked = [found.violations[bit].steps for bit in watched.values() if bit in found.violations]
                return Searched(built, found.nearer_than(min(looked)) if looked else found)
            symmetric = self.reductions.symmetry and not labelled
            built = built.recompiled(remembering(built.model, fields), symmetric=symmetric, labelled=labelled, after=found)

    def _search(self, built: Built, limits: Budget, stop_on: int) -> SearchResult:
        from pasidlab.search.breadth_first import search

        native = built.native
        if not self.whole and not limits.enough:
            limits = replace(limits, enough=dict.fromkeys(map(built.bit, self.wanted)))
        same = self.peers.gather(_digest(native))
        if len(set(same)) > 1:
            raise PasidlabError("the ranks do not have the same model", hint="the same pasidlab, Python and files on all hosts")
        ends = (stop_on, *sorted(limits.enough.items()))
        found = search(
            native, jobs=self.jobs, budget=limits, progress=self._reporter(built), interrupted=self.interrupted, stop_on=stop_on,
            checkpoint=self._checkpoint(built, ends), peers=self.peers,
        )  # fmt: skip
        if found.reason == "max_memory" and found.depth_completed < 0:
            first = counted(len(native.initial), "state")
            what = f"{built.design.name}: the memory limit does not even hold the first level of this scope ({first})"
            raise PasidlabError(what, hint="a larger --max-memory, or fewer --cpus, --tasks or --mms")
        return found

    def _checkpoint(self, built: Built, ends: tuple[object, ...]) -> Checkpoint | None:
        """Where a search is kept: a folder for each design, part and compiled model of it."""
        from pasidlab.search.checkpoint import Checkpoint

        if self.checkpoint is None:
            return None
        identity = hashlib.sha256(f"{ends}\0{_digest(built.native)}".encode()).hexdigest()
        name = "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", part)[:40] for part in (built.design.name, built.name))
        return Checkpoint(self.checkpoint / f"{name}-{identity[:12]}", identity)

    def look(self) -> None:
        """Raises OutOfTime or KeyboardInterrupt if the work is to end."""
        if self.interrupted and self.interrupted.is_set():
            raise KeyboardInterrupt
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime

    def time_left(self) -> float | None:
        """Seconds until the whole check is to end; None: there is no such time."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    def _limits(self, model: Model) -> Budget:
        from pasidlab.search.result import Budget

        limits = self.budget or Budget()
        if self.deadline is not None:
            limits = replace(limits, timeout=self.time_left())
        if self._thrifty:
            limits = replace(limits, after_violation=STATES_AFTER_VIOLATION[model.private is not None])
            if self.known and limits.max_states is None:
                limits = replace(limits, max_states=STATES_AFTER_EARLIER_VIOLATION)
        return limits

    @property
    def _thrifty(self) -> bool:
        """Whether a search ends some time after something is broken: nobody asked for one property, or said when to end."""
        return self.whole and (self.budget is None or self.budget.after_violation is None)

    def _reporter(self, built: Built) -> Callable[[Progress], None] | None:
        report = self.progress
        return (lambda now: report(built.design.name, built.name, now)) if report else None


def _digest(native: CompiledModel) -> str:
    """Of all that the course of a search depends on."""
    return hashlib.sha256(f"{VERSION}\0{native.code.text}".encode()).hexdigest()
