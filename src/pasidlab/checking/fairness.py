"""Fair circles in a graph whose edges belong to classes: sets of states that a fair run may stay in for ever.

Strong fairness: a class of steps that can be taken again and again is taken again and again. Look at the classes with a step in some state
of a strongly connected set. The set is fair if each of them is taken on an edge inside. Where it is not, the states with such a step
cannot be visited for ever; they are left out and the rest is looked at again (Streett emptiness).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pasidlab.search.components import components
from pasidlab.search.store import Numbers

MOST_ALONE = 100  # sets of one state that are reported


@dataclass(frozen=True)
class Steps:
    """The steps out of ``count`` states: source, target (-1: out of the graph), class (-1: nothing obliges anybody to take it)."""

    count: int
    sources: Numbers
    targets: Numbers
    classes: Numbers


def fair_sets(steps: Steps, runs: npt.NDArray[np.bool_], look: Callable[[], None]) -> list[Numbers]:
    """The fair sets, each as the numbers of its states. ``look`` may raise to end the work.

    A state alone is such a set if nobody is obliged to take a step in it. ``runs``: the states in which the element that waits has a
    CPU. It has one again and again, so a set without such a state is not fair.
    """
    alive = np.ones(steps.count, dtype=bool)
    found: list[Numbers] = []
    obliged = np.zeros(steps.count, dtype=bool)
    obliged[steps.sources[steps.classes >= 0]] = True
    found += [np.array([state]) for state in np.flatnonzero(~obliged & runs)[:MOST_ALONE]]
    while alive.any():
        look()
        label = _labels(steps, alive)
        inside = alive[steps.sources] & (steps.targets >= 0)
        inside[inside] = alive[steps.targets[inside]] & (label[steps.sources[inside]] == label[steps.targets[inside]])
        circular = np.zeros(label.max() + 1, dtype=bool)
        circular[label[steps.sources[inside]]] = True
        alive &= circular[label]
        run = np.zeros(len(circular), dtype=bool)
        run[label[alive & runs]] = True
        alive &= run[label]
        bad = _neglected(steps, alive, label, inside & alive[steps.sources])
        broken = np.zeros(len(circular), dtype=bool)
        broken[label[bad]] = True
        fair = alive & ~broken[label]
        if fair.any():
            order = np.argsort(label[fair], kind="stable")
            states = np.flatnonzero(fair)[order]
            found += np.split(states, np.flatnonzero(np.diff(label[states])) + 1)
        alive &= broken[label]
        alive[bad] = False
    return found


def _labels(steps: Steps, alive: npt.NDArray[np.bool_]) -> Numbers:
    """The strongly connected set of each state, by number, in the graph of the states that are alive."""
    edges = alive[steps.sources] & (steps.targets >= 0)
    edges[edges] = alive[steps.targets[edges]]
    return components(steps.sources[edges], steps.targets[edges], steps.count)


def _neglected(steps: Steps, alive: npt.NDArray[np.bool_], label: Numbers, inside: npt.NDArray[np.bool_]) -> Numbers:
    """The states that have a step of a class which their set never takes."""
    enabled = alive[steps.sources] & (steps.classes >= 0)
    width = int(steps.classes.max(initial=0)) + 1
    keys = label[steps.sources[enabled]] * width + steps.classes[enabled]
    taken_edges = inside & enabled
    taken = np.unique(label[steps.sources[taken_edges]] * width + steps.classes[taken_edges])
    neglected = ~np.isin(keys, taken)
    return np.unique(steps.sources[enabled][neglected])
