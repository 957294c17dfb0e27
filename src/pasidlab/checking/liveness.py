"""``served`` as liveness: no request waits for ever, whether its task faults again and again, goes round in the kernel, or sleeps.

What is assumed of a run (fairness): a context that can take its next step again and again takes it; a choice that is made again and again
goes each way; so a task that may run is run some time. Interrupts and events of the environment come as they like. Steps that are no event
happen some time: an IPI that was sent arrives. A task stopped by a tracer does not wait for what was promised.

``surely_served`` is a proof without the graph. Every activation of kernel code comes to its end (``activations``). Nobody who waits
sleeps, no request is made twice in vain, and no limit of the scope ends the requests. Then a task that waits is run, comes back to user
mode, and is served. ``nobody_waits`` is another such proof: a search that saw every state saw nobody wait. ``waits_for_ever`` looks for a
fair circle in the graph of states; it is not found only if there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pasidlab.checking.fairness import fair_sets
from pasidlab.checking.waiting import Waiting, waiting_states
from pasidlab.lang.back.native import PENDING_ELEMENT, CompiledModel
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.ir import ASLEEP, Action, Model, Operand
from pasidlab.lang.lowering.activations import endless
from pasidlab.lang.lowering.contexts import counter_field
from pasidlab.lang.names import LIMITS
from pasidlab.lang.types import Ref
from pasidlab.model.sources import MODEL_FILES, PREEMPT_RT_FILES
from pasidlab.search.components import ShortestWays
from pasidlab.search.graph import depth_of, path_to
from pasidlab.search.result import Packed, SearchResult
from pasidlab.search.store import Numbers
from pasidlab.trace.replay import Replayer
from pasidlab.trace.steps import Counterexample


@dataclass(frozen=True)
class Sentences:
    """What is said of who waits for ever: making its request again and again, or not."""

    again: str
    never: str


KERNEL = Sentences(
    "the task executes one instruction again and again, faults every time, and never gets any further",
    "the task's instruction faulted, and the kernel never lets it try again",
)
OWN = Sentences("it asks again and again, and what it waits for never comes", "it waits for ever")
KERNEL_FILES = frozenset(map(str, (*MODEL_FILES, *PREEMPT_RT_FILES, ARRIVALS)))
MOST_STEPS = 60_000_000
MOST_ROUNDS = 200  # in which a circle is made fair


def nobody_waits(found: SearchResult) -> bool:
    """Whether a complete search has met no state in which somebody waits. A circle in which somebody waits would have one.

    Local steps first leave no such state out: what waits is a predicate for their condition 3 (``independence``).
    """
    return found.reason == "complete" and not found.pending


def surely_served(found: SearchResult, native: CompiledModel, model: Model) -> bool:
    """Whether a complete search has shown that nobody waits for ever, without a look at the graph."""
    asleep = ASLEEP in native.properties and native.properties.index(ASLEEP) in found.violations
    if found.reason != "complete" or found.again or asleep:
        return False
    if any(_is_limited(action) for action in model.actions if any(i.op == "repeat" for i in action.code)):
        return False
    programs = [action for action in model.actions if action.resumes]
    return not any(endless(action, counter_field(action.name), KERNEL_FILES) for action in programs)


def _is_limited(action: Action) -> bool:
    """Whether a step can be taken only as long as an event of the scope has not happened too often."""
    counts: set[Operand] = set()
    for instr in action.code:
        if instr.op == "require" and instr.args[0] in counts:
            return True
        if instr.dst and (str(instr.args[1]).startswith(f"{LIMITS}.") or not counts.isdisjoint(instr.operands())):
            counts.add(instr.dst)
    return False


def waits_for_ever(
    found: SearchResult, native: CompiledModel, replayer: Replayer, name: str, sentences: Sentences, look: Callable[[], None]
) -> Counterexample | None:
    """A fair circle in which an element (a task) waits for what the property ``name`` promises.

    None if there is no such circle. Its way from the beginning is a shortest one.

    ``found`` must come from a search of a labelled model, without symmetry: a circle of classes need not be one of states. A circle is
    real even if the search was not complete. Raises TooLarge, and what ``look`` raises.
    """
    best: _Lasso | None = None
    waits = replayer.interpreter.model.pending[name].params[0][1]
    assert isinstance(waits, Ref)
    for element in range(1, waits.count + 1):
        if found.reason == "complete" and not found.pending >> (PENDING_ELEMENT + element) & 1:
            continue
        graph = waiting_states(found, native, replayer.interpreter.model, element, MOST_STEPS, look)
        for members in fair_sets(graph.steps, graph.runs, look):
            lasso = _lasso(found, _Circle(graph, members))
            if best is None or lasso.length < best.length:
                best = lasso
    return _told(found, replayer, best, name, sentences) if best else None


@dataclass(frozen=True)
class _Lasso:
    """A shortest way to ``start``, which takes so many steps, and from there a fair way around: the states after it."""

    circle: _Circle
    start: int
    depth: int
    around: list[int]

    @property
    def length(self) -> int:
        """Steps in all."""
        return self.depth + len(self.around)


def _lasso(found: SearchResult, circle: _Circle) -> _Lasso:
    """The shortest into a set and around in it."""
    depth, _, start = min((depth_of(found, circle.packed(state)), circle.packed(state), state) for state in circle.starts())
    return _Lasso(circle, start, depth, circle.around(start))


def _told(found: SearchResult, replayer: Replayer, lasso: _Lasso, name: str, sentences: Sentences) -> Counterexample:
    """The lasso as a counterexample."""
    circle, around = lasso.circle, lasso.around
    path: list[Packed] = [*path_to(found, circle.packed(lasso.start)), *(circle.packed(state) for state in around)]
    loop = len(path) - 1 - len(around)
    sentence = sentences.again if circle.repeated(lasso.start, around) else sentences.never
    whole = replayer.path(name, sentence, path)
    return replayer.finished(Counterexample(name, sentence, whole.initial, whole.steps, loop=loop))


class _Circle:
    """A fair set of states, and the shortest ways in it."""

    def __init__(self, graph: Waiting, members: Numbers) -> None:
        self.graph = graph
        self.members = members
        place = np.full(graph.steps.count, -1, dtype=np.int64)
        place[members] = np.arange(len(members))
        mine = place[graph.steps.sources] >= 0
        self.sources = place[graph.steps.sources[mine]]
        targets = graph.steps.targets[mine]
        self.targets = np.where(targets >= 0, place[np.maximum(targets, 0)], -1)
        self.classes, self.repeats = graph.steps.classes[mine], graph.repeats[mine]
        inside = self.targets >= 0
        self.ways = ShortestWays(self.sources[inside], self.targets[inside], len(members))

    def packed(self, state: int) -> Packed:
        """A state's words."""
        return tuple(int(word) for word in self.graph.states[self.members[state]])

    def starts(self) -> list[int]:
        """Where to begin: where the request is repeated, if anywhere, else anywhere."""
        inside = self.targets >= 0
        repeating = np.unique(self.sources[inside & self.repeats])
        return [int(n) for n in (repeating if len(repeating) else np.arange(len(self.members)))]

    def repeated(self, start: int, around: list[int]) -> bool:
        """Whether the request is made again on the way around."""
        ways = set(zip([start, *around], around, strict=False))
        return any((s, t) in ways for s, t in zip(self.sources[self.repeats].tolist(), self.targets[self.repeats].tolist(), strict=True))

    def around(self, start: int) -> list[int]:
        """The states after ``start`` on a way back to it that takes every class of steps it can take. Empty: nothing happens any more."""
        inside = np.flatnonzero(self.targets >= 0)
        mine = inside[self.sources[inside] == start]
        if not len(mine):
            return []
        first = next((e for e in mine if self.repeats[e]), mine[0])
        way = [int(self.targets[first])]
        way += self.ways.way(way[-1], start)
        taken = set() if first is None else {int(self.classes[first])}
        for _ in range(MOST_ROUNDS):
            states = [start, *way]
            taken |= self._classes_on(states)
            missing = self._enabled(states) - taken
            if not missing:
                return way
            edges = [e for e in inside if int(self.classes[e]) in missing]
            edge = next((e for e in edges if int(self.sources[e]) in set(states)), edges[0])
            source, target = int(self.sources[edge]), int(self.targets[edge])
            if source in states:
                way = way[: len(states) - 1 - states[::-1].index(source)]
            else:  # somebody could take such a step on the way, and does elsewhere
                way += self.ways.way(start, source)
            way = [*way, target, *self.ways.way(target, start)]
            taken.add(int(self.classes[edge]))
            taken &= self._classes_on([start, *way]) | {int(self.classes[edge])}
        return way

    def _classes_on(self, states: list[int]) -> set[int]:
        """The classes of some step along a way."""
        ways = set(pairwise(states))
        on = np.isin(self.sources, states) & (self.targets >= 0)
        return {int(c) for s, t, c in zip(self.sources[on], self.targets[on], self.classes[on], strict=True) if (int(s), int(t)) in ways}

    def _enabled(self, states: list[int]) -> set[int]:
        """The classes somebody is obliged to take a step of, in some of the states."""
        return {int(c) for c in np.unique(self.classes[np.isin(self.sources, states)]) if c >= 0}
