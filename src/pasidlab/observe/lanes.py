"""A stretch of a recording as lanes, one for each CPU: who runs, whose registers the CPU has, and the events between."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pasidlab.errors import printable
from pasidlab.observe.kinds import CALLS, IS_FPU, Kind
from pasidlab.observe.pages import CPU, KIND, PID, TIME, A, EventTable
from pasidlab.observe.source import EventSource
from pasidlab.observe.stats import comm
from pasidlab.observe.telling import event_text

NOBODY = 0
"""Of the registers: no task's, or nobody knows."""
_GIVES = frozenset({Kind.x86_fpu_regs_activated})
_TAKES = frozenset({Kind.x86_fpu_dropped, Kind.kernel_fpu_begin_mask, Kind.sched_process_exec})
_MARKED = frozenset({
    *IS_FPU, *CALLS, Kind.signal_deliver, Kind.sched_process_fork, Kind.sched_process_exec, Kind.sched_process_exit, Kind.LOST,
})  # fmt: skip


@dataclass
class Stay:
    """From when to when something was so, in nanoseconds of the trace's clock. ``pid``: who ran, or whose registers they were."""

    pid: int
    begin: int
    end: int = 0


@dataclass(frozen=True)
class Mark:
    """An event."""

    time: int
    pid: int
    text: str


@dataclass
class Lane:
    """One CPU."""

    cpu: int
    runs: list[Stay] = field(default_factory=list)
    holds: list[Stay] = field(default_factory=list)
    """Whose registers were loaded last, and not given up since, as far as events tell."""
    marks: list[Mark] = field(default_factory=list)


@dataclass
class Lanes:
    """A stretch of a recording."""

    kernel: str
    begin: int
    end: int
    events: int
    left_out: bool
    """There were more events than were asked for."""
    names: dict[int, str]
    lanes: list[Lane]

    def name(self, pid: int) -> str:
        """A task, as a reader knows it."""
        return "idle" if pid == 0 else f"{printable(self.names.get(pid, '?'))} {pid}"


def lanes(source: EventSource, start: float, length: float | None, most: int) -> Lanes:
    """The events from ``start`` seconds after the first on, for ``length`` seconds (None: to the end), at most ``most`` of them."""
    names = {task.pid: task.comm for task in source.about.tasks}
    by_cpu: dict[int, Lane] = {}
    found = Lanes(printable(source.about.kernel), 0, 0, events=0, left_out=False, names=names, lanes=[])
    first: int | None = None
    for piece in source.in_order():
        first = int(piece[0, TIME]) if first is None else first
        low = first + int(start * 1e9)
        high = low + int(length * 1e9) if length is not None else int(piece[-1, TIME])
        _learn(names, piece)
        wanted = piece[(piece[:, TIME] >= low) & (piece[:, TIME] <= high)]
        if found.events + len(wanted) > most:
            found.left_out = True
            wanted = wanted[: most - found.events]
        if len(wanted):
            found.begin, found.end = found.begin or int(wanted[0, TIME]), int(wanted[-1, TIME])
            found.events += len(wanted)
            _add(by_cpu, ([int(value) for value in row] for row in wanted))
        if found.left_out or int(piece[-1, TIME]) > high:
            break
    for lane in by_cpu.values():
        for span in (*lane.runs[-1:], *lane.holds[-1:]):
            span.end = found.end
    found.lanes = [by_cpu[cpu] for cpu in sorted(by_cpu)]
    return found


def _learn(names: dict[int, str], piece: EventTable) -> None:
    for row in piece[(piece[:, KIND] == Kind.task_newtask) | (piece[:, KIND] == Kind.task_rename)]:
        names[int(row[A])] = comm(row)


def _add(by_cpu: dict[int, Lane], rows: Iterable[list[int]]) -> None:
    for row in rows:
        lane = by_cpu.setdefault(row[CPU], Lane(row[CPU]))
        time, kind, pid = row[TIME], Kind(row[KIND]), max(row[PID], 0)
        if not lane.runs:
            lane.runs.append(Stay(pid, time))
            lane.holds.append(Stay(NOBODY, time))
        if kind is Kind.sched_switch:
            _change(lane.runs, row[A], time)
        elif kind in _GIVES:
            _change(lane.holds, pid, time)
        elif kind in _TAKES or (kind is Kind.x86_fpu_regs_deactivated and lane.runs[-1].pid == pid):
            _change(lane.holds, NOBODY, time)
        if kind in _MARKED:
            lane.marks.append(Mark(time, pid, event_text(tuple(row))))


def _change(spans: list[Stay], pid: int, time: int) -> None:
    if spans[-1].pid != pid:
        spans[-1].end = time
        spans.append(Stay(pid, time))
