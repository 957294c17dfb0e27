"""The events of all CPUs in the order of time, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pasidlab.observe.pages import COLUMNS, TIME, EventTable, decoded
from pasidlab.observe.recording import Paged
from pasidlab.search.memory import compiled

_NOTHING: EventTable = np.zeros((0, COLUMNS), np.int64)


@compiled("void(int64[:,::1], int64[::1], int64[:,::1])")
def _in_order(rows: EventTable, bounds: NDArray[np.int64], out: EventTable) -> None:
    """The rows in order of time; those from ``bounds[n]`` to ``bounds[n + 1]`` are. Of equal times the lower ``n`` comes first."""
    at = bounds[:-1].copy()
    for row in range(len(out)):
        first = -1
        for n in range(len(at)):
            if at[n] < bounds[n + 1] and (first < 0 or rows[at[n], TIME] < rows[at[first], TIME]):
                first = n
        out[row] = rows[at[first]]
        at[first] += 1


def apart(recording: Paged, most: int = 1 << 20) -> Iterator[EventTable]:
    """Pieces of all events, CPU by CPU."""
    for cpu in recording.cpus():
        yield from (piece for piece in decoded(recording, cpu, most) if len(piece))


def merged(recording: Paged, most: int = 1 << 20) -> Iterator[EventTable]:
    """Pieces of all events: each piece is in order, and no event of a piece is later than those of the next.

    ``most``: bytes of pages of one CPU that are in memory at a time.
    """
    sources = {cpu: decoded(recording, cpu, most) for cpu in recording.cpus()}
    waiting: dict[int, EventTable] = dict.fromkeys(sources, _NOTHING)
    while sources or any(len(events) for events in waiting.values()):
        for cpu in [cpu for cpu in sources if not len(waiting[cpu])]:
            more = next(sources[cpu], None)
            if more is None:
                del sources[cpu]
            else:
                waiting[cpu] = more
        if any(not len(waiting[cpu]) for cpu in sources):
            continue  # a piece without a known event
        # What comes later on a CPU that has more is not earlier than the last event of it that is here.
        horizon = min((int(waiting[cpu][-1, TIME]) for cpu in sources), default=np.iinfo(np.int64).max)
        ready = []
        for cpu, events in waiting.items():
            count = int(np.searchsorted(events[:, TIME], horizon, side="right"))
            ready.append(events[:count])
            waiting[cpu] = events[count:]
        piece = np.concatenate(ready) if ready else _NOTHING
        if len(piece):
            out = np.empty_like(piece)
            _in_order(piece, np.cumsum([0, *map(len, ready)]), out)
            yield out
