"""The events of all CPUs in the order of time, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pasidlab.observe.pages import COLUMNS, TIME, Events, decoded
from pasidlab.observe.recording import Recording

_NOTHING: Events = np.zeros((0, COLUMNS), np.int64)


def merged(recording: Recording, most: int = 1 << 20) -> Iterator[Events]:
    """Pieces of all events: each piece is in order, and no event of a piece is later than those of the next.

    ``most``: bytes of pages of one CPU that are in memory at a time.
    """
    sources = {cpu: decoded(recording, cpu, most) for cpu in recording.cpus()}
    waiting: dict[int, Events] = dict.fromkeys(sources, _NOTHING)
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
            yield piece[np.argsort(piece[:, TIME], kind="stable")]
