"""What a CPU and a task did before an event: a contradiction is told with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pasidlab.observe.kinds import Kind
from pasidlab.observe.pages import CPU, KIND, PID, A, EventTable

SHOWN = 10  # events of each


def history(pieces: Callable[[], Iterator[EventTable]], before: int, event: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
    """The last events of the CPU and of the task, with their numbers."""
    kept: dict[int, tuple[int, ...]] = {}
    count = 0
    for piece in pieces():
        piece = piece[: max(before - count, 0)]
        of_cpu = np.flatnonzero(piece[:, CPU] == event[CPU])[-SHOWN:]
        of_task = np.flatnonzero((piece[:, PID] == event[PID]) | ((piece[:, KIND] == Kind.sched_switch) & (piece[:, A] == event[PID])))
        for row in np.union1d(of_cpu, of_task[-SHOWN:]):
            kept[count + int(row) + 1] = tuple(int(value) for value in piece[row])
        count += len(piece)
        if count >= before:
            break
    mine = [number for number, row in sorted(kept.items()) if row[CPU] == event[CPU]][-SHOWN:]
    its = [number for number, row in sorted(kept.items()) if event[PID] in (row[PID], row[A])][-SHOWN:]
    return [(number, kept[number]) for number in sorted({*mine, *its})]
