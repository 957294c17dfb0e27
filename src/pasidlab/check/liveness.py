"""``served`` as liveness: a task that keeps executing ENQCMD and never gets through, although every CPU gets its turns.

In the stored graph: a strongly connected set of states in all of which one task waits at an ENQCMD that faulted, with a step in
which it faults again, fair in the weak sense: each CPU takes a step in it, or in some state of it has nothing it must do.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pasidlab.check.graph import Subgraph, depth_of, path_to, pending_subgraph
from pasidlab.check.result import Packed, SearchResult
from pasidlab.check.trace import Counterexample, Replayer
from pasidlab.lang.interpreter import Outcome
from pasidlab.lang.native import PENDING_ELEMENT

SENTENCE = "the task executes its ENQCMD again and again, faults every time, and never gets through"
MOST_STATES_OF_A_COMPONENT = 50_000

Numbers = npt.NDArray[np.int64]


def faults_for_ever(found: SearchResult, replayer: Replayer, name: str, elements: int) -> list[Counterexample]:
    """A fair cycle for one of the elements (tasks) that may wait; none if no repeated fault was ever seen.

    ``found`` must come from a search without symmetry: a cycle of classes need not be a cycle of one task.
    """
    if not found.again:
        return []
    best: Counterexample | None = None
    for element in range(1, elements + 1):
        graph = pending_subgraph(found, PENDING_ELEMENT + element)
        for members in _components(graph):
            lasso = _lasso(found, replayer, graph, members, name, element)
            if lasso and (best is None or len(lasso.steps) < len(best.steps)):
                best = lasso
    return [best] if best else []


def _components(graph: Subgraph) -> list[Numbers]:
    """Strongly connected sets with at least one edge inside."""
    count = len(graph.states)
    if count == 0:
        return []
    matrix = csr_array((np.ones(len(graph.sources), dtype=np.int8), (graph.sources, graph.targets)), shape=(count, count))
    _, label = connected_components(matrix, directed=True, connection="strong")
    inside = label[graph.sources] == label[graph.targets]
    return [np.flatnonzero(label == number) for number in np.unique(label[graph.sources[inside]])]


def _lasso(found: SearchResult, replayer: Replayer, graph: Subgraph, members: Numbers, name: str, element: int) -> Counterexample | None:
    """Shortest way to a repeated fault in the set, and from there around; None if there is none or the set is unfair."""
    if len(members) > MOST_STATES_OF_A_COMPONENT:
        members = members[:MOST_STATES_OF_A_COMPONENT]
    packed = {tuple(int(w) for w in graph.states[m]) for m in members}
    faults, fair = _repeated_faults(replayer, packed, name, element)
    if not faults or not fair:
        return None
    source, target = min(faults, key=lambda edge: (depth_of(found, edge[0]), edge))
    around = _shortest_path(replayer, packed, target, source)
    if around is None:
        return None
    path: list[Packed] = [*path_to(found, source), target, *around[1:]]
    loop = len(path) - 1 - len(around)
    whole = replayer.path(name, SENTENCE, path)
    return replayer.finished(Counterexample(name, SENTENCE, whole.initial, whole.steps, loop=loop))


def _repeated_faults(replayer: Replayer, packed: set[Packed], name: str, element: int) -> tuple[list[tuple[Packed, Packed]], bool]:
    """Edges inside the set on which the element faults again; whether the set is fair to every CPU."""
    layout, edges = replayer.interpreter.layout, []
    content: set[int] = set()
    cpus = {a.params[0][1].count for a in replayer.interpreter.model.actions if a.cpu_param and hasattr(a.params[0][1], "count")}
    everyone = set(range(1, max(cpus, default=0) + 1))
    for words in packed:
        state = layout.unpack(words)
        outcomes = replayer.interpreter.successors(state)
        must = {o.params[0] for o in outcomes if _obliged(replayer, o)}
        content |= everyone - must
        for outcome in outcomes:
            if outcome.state is None or (target := layout.pack(outcome.state)) not in packed:
                continue
            if _obliged(replayer, outcome):
                content.add(outcome.params[0])
            if f"again:{name}" in outcome.reached and replayer.value(state, "Cpu.current", outcome.params[0] - 1) == element:
                edges.append((words, target))
    return edges, content >= everyone


def _obliged(replayer: Replayer, outcome: Outcome) -> bool:
    """A step its CPU must take sooner or later: of kernel code, not of the program or of the environment."""
    return outcome.action in ("task", "schedule", "softirq", "hardirq")


def _shortest_path(replayer: Replayer, packed: set[Packed], start: Packed, end: Packed) -> list[Packed] | None:
    """Breadth first inside the set."""
    layout = replayer.interpreter.layout
    before: dict[Packed, Packed | None] = {start: None}
    queue = deque([start])
    while queue:
        words = queue.popleft()
        if words == end:
            return _unwind(before, words)
        for outcome in replayer.interpreter.successors(layout.unpack(words)):
            if outcome.state is not None and (target := layout.pack(outcome.state)) in packed and target not in before:
                before[target] = words
                queue.append(target)
    return None


def _unwind(before: dict[Packed, Packed | None], words: Packed) -> list[Packed]:
    path: list[Packed] = []
    step: Packed | None = words
    while step is not None:
        path.append(step)
        step = before[step]
    return path[::-1]
