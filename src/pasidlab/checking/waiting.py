"""The stored graph, as far as an element waits for what a liveness property promises, and whose steps lead where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pasidlab.checking.fairness import Steps
from pasidlab.lang.back.layout import Layout
from pasidlab.lang.back.llvm_text import LABEL_BITS
from pasidlab.lang.back.native import PENDING_ELEMENT, CompiledModel
from pasidlab.lang.ir import Action, Model
from pasidlab.lang.lowering.contexts import ON_CPU, counter_field
from pasidlab.lang.types import Ref
from pasidlab.search import partition
from pasidlab.search.graph import Expander, Expansion
from pasidlab.search.result import SearchResult
from pasidlab.search.store import Numbers, States


class TooLarge(Exception):
    """There are more steps than are worth looking at."""


@dataclass(frozen=True)
class Waiting:
    """The states in which one element waits, and every step out of them."""

    states: States
    steps: Steps
    repeats: npt.NDArray[np.bool_]  # of each step: the request was made again, in vain
    runs: npt.NDArray[np.bool_]  # of each state: the element has a CPU


def waiting_states(found: SearchResult, native: CompiledModel, model: Model, element: int, most: int, look: Callable[[], None]) -> Waiting:
    """The graph of the states that wait for ``element``. Raises TooLarge beyond ``most`` steps; ``look`` may raise as well."""
    expander, store = Expander(native), found.store
    obligations = _StepClasses(model, native, element)
    bit = np.uint64(PENDING_ELEMENT + element)
    kept: list[States] = []
    numbers: list[Numbers] = []
    parts: list[tuple[Numbers, Numbers, Numbers, npt.NDArray[np.bool_]]] = []
    states = steps = 0
    for p in range(partition.PARTITIONS):
        for done in expander.expand(store.run(p, 0, int(store.parts[p, partition.COUNT]))):
            look()
            mine = (done.pending >> bit & np.uint64(1)).astype(bool)
            if not mine.any():
                continue
            rows = np.repeat(mine, done.counts)
            sources = np.repeat(np.cumsum(mine) - 1, done.counts)[rows] + states
            classes, repeats = obligations.of(done, rows)
            parts.append((sources, store.numbers(done.successors[rows]), classes, repeats))
            kept.append(done.sources[mine])
            numbers.append(store.numbers(kept[-1]))
            states, steps = states + int(mine.sum()), steps + len(sources)
            if steps > most:
                raise TooLarge
    if not kept:
        nothing = np.empty(0, dtype=np.int64)
        none = np.empty(0, dtype=bool)
        return Waiting(np.empty((0, store.words), dtype=np.uint64), Steps(0, nothing, nothing, nothing), none, none)
    place = np.full(max(int(n.max(initial=-1)) for n in [*numbers, *(part[1] for part in parts)]) + 2, -1, dtype=np.int64)
    place[np.concatenate(numbers)] = np.arange(states)
    targets = place[np.concatenate([part[1] for part in parts])]  # of number -1, the last: -1
    graph = Steps(states, np.concatenate([part[0] for part in parts]), targets, obligations.dense([part[2] for part in parts]))
    every = np.concatenate(kept)
    return Waiting(every, graph, np.concatenate([part[3] for part in parts]), obligations.runs(every))


class _StepClasses:
    """To which class of steps each step belongs, in a model with one @pending property.

    Programs always go on. A class is a program at a counter, with what its choices came to. A task's class is the same on every CPU; other
    contexts have one for each CPU. The waiting element, in user mode, makes its request again. Rules are obliged as their declaration
    says.
    """

    def __init__(self, model: Model, native: CompiledModel, element: int) -> None:
        self.layout = Layout(model.fields)
        self.element = element
        waits = next(iter(model.pending.values())).params[0][1]
        self.is_task = isinstance(waits, Ref) and waits.struct == "Task"
        self.steps = [(model.actions[number], number, params) for number, params in native.steps]
        self.request = [any(i.op == "repeat" for i in action.code) for action, _, _ in self.steps]

    def of(self, done: Expansion, rows: npt.NDArray[np.bool_]) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """The class of each step in ``rows`` (-1: none), as a large number; and whether the waiting element repeats its request."""
        labels = done.labels[rows]
        states = np.repeat(done.sources, done.counts, axis=0)[rows]
        number, choices = labels & ((1 << LABEL_BITS) - 1), labels >> LABEL_BITS
        classes, repeats = np.full(len(labels), -1, dtype=np.int64), np.zeros(len(labels), dtype=bool)
        for label, (action, index, params) in enumerate(self.steps):
            here = number == label
            if here.any() and (action.obliged or self.request[label]):
                classes[here] = self._class(action, index, params, label, states[here], choices[here])
                repeats[here] = self.request[label] & (classes[here] >= 0)
        return classes, repeats

    def _class(self, action: Action, index: int, params: tuple[int, ...], label: int, states: States, choices: Numbers) -> Numbers:
        if not action.resumes and not self.request[label]:
            return np.full(len(states), label, dtype=np.int64)  # a rule, with its parameters
        owner = np.full(len(states), params[0], dtype=np.int64)
        counter = np.zeros(len(states), dtype=np.int64)
        if action.name == "task" or self.request[label]:
            owner = self._field("Cpu.current", owner, states)
        if action.resumes:
            counter = self._field(counter_field(action.name), owner, states)
        key = ((((choices << 16) | counter) << 4) | owner) << 8 | index
        return key if not self.request[label] else np.where((owner == self.element) & self.is_task, key, -1)

    def _field(self, path: str, element: Numbers, states: States) -> Numbers:
        """What a field of an element (from 1) holds in each state."""
        values: Numbers = np.zeros(len(states), dtype=np.int64)
        for plane in self.layout.places[path].planes:
            shift = (plane.shift + (np.maximum(element, 1) - 1) * plane.width).astype(np.uint64)
            values |= (states[:, plane.word] >> shift & np.uint64(plane.mask)).astype(np.int64) << plane.low
        return values

    def runs(self, states: States) -> npt.NDArray[np.bool_]:
        """In which states the waiting element has a CPU; where the model does not know, in all."""
        if not self.is_task or ON_CPU not in self.layout.places:
            return np.ones(len(states), dtype=bool)
        has_cpu: npt.NDArray[np.bool_] = self._field(ON_CPU, np.full(len(states), self.element, dtype=np.int64), states) != 0
        return has_cpu

    def dense(self, parts: list[Numbers]) -> Numbers:
        """The classes as small numbers; -1 stays."""
        every = np.concatenate(parts)
        names, numbers = np.unique(every, return_inverse=True)
        return (numbers - int(len(names) > 0 and names[0] == -1)).astype(np.int64)
