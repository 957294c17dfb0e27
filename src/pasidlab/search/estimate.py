"""How much of an exploration is left, guessed from the trend of its levels: they grow, then shrink, like a hill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

_LEAST = 8  # levels before a guess is worth anything
_WINDOW = 24  # the last levels tell the trend
_MOST = 1000  # levels no guess goes beyond


@dataclass(frozen=True)
class Remaining:
    """A guess: levels and states to come."""

    levels: int
    states: int


def remaining(sizes: Sequence[int]) -> Remaining | None:
    """What follows completed levels of these sizes: a parabola through the logarithms of the last ones. None: no end is in sight."""
    if len(sizes) < _LEAST:
        return None
    recent = [log(max(size, 1)) for size in sizes[-_WINDOW:]]
    a, b, _ = np.polyfit(np.arange(len(recent)), recent, 2).tolist()
    if a >= -1e-6:
        return None
    slope, logarithm = 2 * a * (len(recent) - 1) + b, recent[-1]
    states = levels = 0
    while logarithm > 0 and levels < _MOST:
        slope += 2 * a
        logarithm += slope - a
        levels += 1
        states += int(np.exp(min(max(logarithm, 0.0), 50.0)))
    return Remaining(levels, states)
