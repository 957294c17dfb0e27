"""Explores a design in one scope, and replays what the search found."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pasidlab.checking.findings import ModelError, PartResult, PropertyResult, in_order
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import Reductions
from pasidlab.designs import AnyScope, Design
from pasidlab.errors import PasidlabError, counted
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import LOOKED_AT, Function, Model
from pasidlab.lang.lowering.forget import forgetting_nothing
from pasidlab.search.exchange import ALONE, Exchange
from pasidlab.trace.replay import Replayer
from pasidlab.trace.steps import Counterexample
from pasidlab.version import VERSION

if TYPE_CHECKING:
    from pasidlab.interrupts import StopFlag
    from pasidlab.lang.back.native import CompiledModel
    from pasidlab.search.checkpoint import Checkpoint
    from pasidlab.search.result import Budget, Progress, SearchResult, StopReason, Walked
    from pasidlab.search.simulate import Walks

FunctionsForScope = Callable[[AnyScope], dict[str, Function]] | Mapping[str, Function]
OnDesignProgress = Callable[[str, str, "Progress | Walked"], None]  # design, part, how far it is
STATES_AFTER_VIOLATION = 3_000_000
STATES_AFTER_EARLIER_VIOLATION = 20_000_000  # of each part that follows one in which something is broken
SMALLER = {False: "fewer --tasks, --mms or events", True: "smaller sizes, fewer events"}


@dataclass(frozen=True)
class Built:
    """A model ready to be explored."""

    design: Design
    name: str
    scope: AnyScope
    model: Model
    native: CompiledModel


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
    broken: bool = False  # something is, in an earlier part
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

    def explore(self, built: Built) -> PartResult:
        """Explore one part: local steps first, and in full if that shows that something is wrong.

        Local steps first tell whether something is broken, but not in how few steps (``independence``).
        """
        if built.model.private is not None:
            watched = [bit for bit, name in enumerate(built.native.properties) if name in (*self.wanted, LOOKED_AT)]
            found = self._search(built, built.native, self._limits(), sum(1 << bit for bit in watched))
            if not found.error and found.violations.keys().isdisjoint(watched):
                return self._told(built, found)
            built = self.in_full(built, replace(built.model, private=None))
        return self._explore_in_full(built)

    def _explore_in_full(self, built: Built) -> PartResult:
        """Explore one part; exactly, if code looks at contents the model forgets.

        While nobody looks at them, a model that forgets has the verdicts and lengths of the exact one (``forget``).
        """
        limits = self._limits()
        model, native = built.model, built.native
        watch = 1 << native.properties.index(LOOKED_AT) if model.forget else 0
        found = self._search(built, native, limits, watch)
        if watch and (found.violations.get(native.properties.index(LOOKED_AT)) or found.error):
            built = self.in_full(built, forgetting_nothing(built.model))
            found = self._search(built, built.native, limits, 0)
        return self._told(built, found)

    def _search(self, built: Built, native: CompiledModel, limits: Budget, stop_on: int) -> SearchResult:
        from pasidlab.search.breadth_first import search

        if not self.whole:
            limits = replace(limits, enough=sum(1 << built.design.property_names.index(name) for name in self.wanted))
        same = self.peers.gather(_digest(native))
        if len(set(same)) > 1:
            raise PasidlabError("the ranks do not have the same model", hint="the same pasidlab, Python and files on all hosts")
        found = search(
            native, jobs=self.jobs, budget=limits, progress=self._reporter(built), interrupted=self.interrupted, stop_on=stop_on,
            checkpoint=self._checkpoint(built, native, (stop_on, limits.enough)), peers=self.peers,
        )  # fmt: skip
        if found.reason == "max_memory" and found.depth_completed < 0:
            first = counted(len(native.initial), "state")
            what = f"{built.design.name}: the memory limit does not even hold the first level of this scope ({first})"
            raise PasidlabError(what, hint="a larger --max-memory, or fewer --cpus, --tasks or --mms")
        return found

    def _checkpoint(self, built: Built, native: CompiledModel, ends: tuple[int, int]) -> Checkpoint | None:
        """Where a search is kept: a folder for each design, part and compiled model of it."""
        from pasidlab.search.checkpoint import Checkpoint

        if self.checkpoint is None:
            return None
        identity = hashlib.sha256(f"{ends}\0{_digest(native)}".encode()).hexdigest()
        name = "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", part)[:40] for part in (built.design.name, built.name))
        return Checkpoint(self.checkpoint / f"{name}-{identity[:12]}", identity)

    def in_full(self, built: Built, model: Model) -> Built:
        """The part, compiled for another model of it."""
        from pasidlab.lang.back.native import compile_model

        return replace(built, model=model, native=compile_model(model, covered=built.design.sources, symmetric=self.reductions.symmetry))

    def _told(self, built: Built, found: SearchResult) -> PartResult:
        """What a search found, replayed by the interpreter in the exact model."""
        from pasidlab.checking.coverage import covered_lines

        model, native = built.model, built.native
        replayer = Replayer(Interpreter(model, symmetric=self.reductions.symmetry), built.design.shown)
        error, broken = _model_error(found, replayer, built.design.sources), _counterexamples(found, replayer, built.design, self.wanted)
        promised = next((name for name in model.pending if name in self.wanted), "")
        waiting = Waited(None, "settled")
        if promised:  # in one process: it needs the graph of all states
            waiting = self.peers.once(lambda: replace(self, peers=ALONE)._waiting(built, found, broken, promised))
        broken += [waiting.counterexample] if waiting.counterexample else []
        if model.forget:
            remembers = Replayer(Interpreter(forgetting_nothing(model)), built.design.shown)
            broken = [_remembered(remembers, c) for c in broken]
        asked_for = [c for c in broken if error is None or len(c.steps) <= error.steps]
        proved = found.reason == "complete" and error is None
        executed, present = covered_lines(native, found.counters)
        open_ = {promised} if waiting.reason != "settled" else set()
        properties = tuple(
            property_result(built.design, name, found.reached, asked_for, proved=proved and name not in open_) for name in self.wanted
        )
        return PartResult(
            built.name, built.scope, _reason(found.reason, waiting), states=found.states, transitions=found.transitions, depth=found.depth,
            depth_completed=found.depth_completed, seconds=found.seconds, bytes_per_state=found.bytes_per_state,
            properties=properties,
            counterexamples=in_order(asked_for, self.wanted), error=error, executed=executed, present=present,
            notes=(*model.notes, *_spilled(found), *_shared(found)), local_first=model.private is not None,
        )  # fmt: skip

    def _waiting(self, built: Built, found: SearchResult, broken: list[Counterexample], name: str) -> Waited:
        """Whether a request waits for ever: proved without a look at the graph, or looked for in the graph of states themselves."""
        from pasidlab.checking.liveness import KERNEL, OWN, nobody_waits, surely_served, waits_for_ever
        from pasidlab.checking.waiting import TooLarge
        from pasidlab.lang.back.native import compile_model

        own = built.design.own is not None  # then nothing says that a task in user mode is served
        if any(c.property == name for c in broken) or nobody_waits(found) or (not own and surely_served(found, built.native, built.model)):
            return Waited(None, "settled")
        if found.reason != "complete" and not found.again:
            return Waited(None, found.reason)
        native = compile_model(built.model, labelled=True)
        again = self._search(built, native, self._limits(), 0)
        replayer = Replayer(Interpreter(built.model), built.design.shown)
        try:
            lasso = waits_for_ever(again, native, replayer, name, OWN if own else KERNEL, self.look)
        except TooLarge:
            return Waited(None, "max_states")
        except OutOfTime:
            return Waited(None, "timeout")
        except KeyboardInterrupt:
            return Waited(None, "interrupted")
        return Waited(lasso, "settled" if lasso or again.reason == "complete" else again.reason)

    def look(self) -> None:
        """Raises OutOfTime or KeyboardInterrupt if the work is to end."""
        if self.interrupted and self.interrupted.is_set():
            raise KeyboardInterrupt
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime

    def time_left(self) -> float | None:
        """Seconds until the whole check is to end; None: there is no such time."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    def _limits(self) -> Budget:
        from pasidlab.search.result import Budget

        limits = self.budget or Budget()
        if self.deadline is not None:
            limits = replace(limits, timeout=self.time_left())
        if limits.after_violation is None and self.whole:
            limits = replace(limits, after_violation=STATES_AFTER_VIOLATION)
            if self.broken and limits.max_states is None:
                limits = replace(limits, max_states=STATES_AFTER_EARLIER_VIOLATION)
        return limits

    def _reporter(self, built: Built) -> Callable[[Progress], None] | None:
        report = self.progress
        return (lambda now: report(built.design.name, built.name, now)) if report else None


class OutOfTime(Exception):
    """The time for the whole check is over."""


@dataclass(frozen=True)
class Waited:
    """What the look for requests that wait for ever came to: one, or why the question is open ("settled": it is not)."""

    counterexample: Counterexample | None
    reason: StopReason | Literal["settled"]


def _digest(native: CompiledModel) -> str:
    """Of all that the course of a search depends on."""
    return hashlib.sha256(f"{VERSION}\0{native.code.text}".encode()).hexdigest()


def _shared(found: SearchResult) -> list[str]:
    """A note on the processes that searched."""
    share = f"{found.exchange:.0%} of the time in exchange of {found.sent / 1e6:,.0f} MB"
    return [f"{found.peers.size} ranks, {share}"] if found.peers.size > 1 else []


def _spilled(found: SearchResult) -> list[str]:
    """A note on what was not in memory."""
    return [f"{found.disk_bytes / 1e9:.2f} GB of states were kept on disk"] if found.disk_bytes else []


def _reason(search: StopReason, waiting: Waited) -> StopReason:
    """Why a part is not settled, if it is not: its search, or what came after it."""
    return search if search != "complete" or waiting.reason == "settled" else waiting.reason


def _remembered(remembers: Replayer, found: Counterexample) -> Counterexample:
    """The counterexample in the exact model: it shows there, since nobody has looked at what is forgotten."""
    same = remembers.remade(found.recipe())
    if same is None:
        raise AssertionError(f"nobody looked at what was forgotten, but {found.property} is not broken without forgetting")
    return same


def _counterexamples(found: SearchResult, replayer: Replayer, design: Design, wanted: Sequence[str]) -> list[Counterexample]:
    """Those of the properties asked for. A search with local steps first has none: it was made again in full."""
    from pasidlab.search.graph import path_to

    result = []
    for bit, name in enumerate(design.property_names):
        if name in wanted and (violation := found.violations.get(bit)):
            path = path_to(found, violation.state, violation.depth)
            result.append(replayer.counterexample(name, path, violation.by_step))
    return result


def _model_error(found: SearchResult, replayer: Replayer, sources: Sequence[str]) -> ModelError | None:
    """The model error nearest to the beginning."""
    from pasidlab.search.graph import path_to

    return None if found.error is None else model_error(replayer, path_to(found, found.error.state, found.error.depth), sources)


def model_error(replayer: Replayer, path: Sequence[tuple[int, ...]], sources: Sequence[str]) -> ModelError:
    """The model error at the end of a path, at the line of the design that leads there."""
    way, failure = replayer.error(path)
    site = next((s for s in failure.site.chain() if s.position.file in sources), failure.site)
    return ModelError(failure.sentence, site, way, failure.kind)


def property_result(design: Design, name: str, reached: int, broken: Sequence[Counterexample], *, proved: bool) -> PropertyResult:
    """One property of a design. ``reached`` is a mask of what was put to the test."""
    bit = design.property_names.index(name)
    sentence = design.properties[bit].sentence
    mine = next((c for c in broken if c.property == name), None)
    if mine is not None:
        return PropertyResult(name, False, True, len(mine.steps), sentence)
    return PropertyResult(name, True if proved else None, bool(reached >> bit & 1), sentence=sentence)
