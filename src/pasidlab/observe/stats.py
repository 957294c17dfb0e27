"""What a recording shows of lazy restores, counted: switches, saves and restores, in all and by task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pasidlab.errors import PasidlabError, printable
from pasidlab.observe.automaton import Hidden
from pasidlab.observe.kinds import IRQS_OFF, Kind
from pasidlab.observe.pages import CPU, FLAGS, KIND, PID, A, C, D, EventTable
from pasidlab.observe.source import EventSource
from pasidlab.observe.verify import verify


@dataclass
class TaskCounts:
    """One task's numbers. ``runs``: how often it was given a CPU."""

    runs: int = 0
    saves: int = 0
    restores: int = 0
    activations: int = 0

    @property
    def avoided(self) -> int:
        """Runs that ended before the registers were needed, or found them still there."""
        return max(self.runs - self.restores, 0)


@dataclass
class Stats:
    """The numbers of one recording."""

    kernel: str
    events: int = 0
    lost: int = 0
    seconds: float = 0.0
    kinds: dict[str, int] = field(default_factory=dict)
    tasks: dict[int, TaskCounts] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    kernel_tasks: set[int] = field(default_factory=set)
    hidden: dict[Hidden, int] = field(default_factory=dict)
    """Steps without an event (``verify``); those up to the first contradiction, if there is one."""

    @property
    def still_there(self) -> int:
        """Loads on the way to user mode that were skipped: the registers still held the task's image."""
        return sum(times for hidden, times in self.hidden.items() if hidden.function == "fpregs_restore_userregs")

    @property
    def kernel_uses(self) -> dict[str, int]:
        """How often the kernel took registers that were a task's, by what the task was doing."""
        found = {hidden.during: times for hidden, times in self.hidden.items() if hidden.function == "kernel_fpu_begin"}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def total(self) -> TaskCounts:
        """All tasks that have xstate of their own."""
        mine = [row for pid, row in self.tasks.items() if pid not in self.kernel_tasks]
        return TaskCounts(*(sum(getattr(row, name) for row in mine) for name in ("runs", "saves", "restores", "activations")))

    def to_json(self) -> dict[str, Any]:
        """The document that ``--json`` prints."""
        return {
            "kernel": self.kernel, "events": self.events, "lost": self.lost, "seconds": self.seconds, "kinds": self.kinds,
            "total": _row(self.total), "still_there": self.still_there, "kernel_uses": self.kernel_uses, "tasks": [
                {"pid": pid, "comm": self.names.get(pid, ""), "kernel": pid in self.kernel_tasks, **_row(row)}
                for pid, row in sorted(self.tasks.items())
            ],
        }  # fmt: skip

    def text(self, most: int) -> str:
        """A page for a reader, with the ``most`` tasks that had a CPU most often."""
        total = self.total
        rate = f"{100 * total.avoided / total.runs:.1f} %" if total.runs else "none"
        lines = [
            f"Linux {printable(self.kernel)}: {self.events:,} events in {self.seconds:.1f} s"
            + (f", {self.lost:,} lost" if self.lost else ""),
            f"user tasks were given a CPU {total.runs:,} times; registers were loaded {total.restores:,} times on the way to user mode",
            f"restores avoided: {total.avoided:,} ({rate})",
            f"on the way to user mode the registers were still there {self.still_there:,} times",
            f"saves at a switch: {total.saves:,}; registers made current in other ways (signal, fork, KVM): {total.activations:,}",
            "the kernel used the FPU, and took registers that were a task's: "
            + (", ".join(f"{times:,} in {during}()" for during, times in self.kernel_uses.items()) or "never"),
            "",
            f"{'task':<24}{'runs':>12}{'saves':>12}{'restores':>12}{'avoided':>12}",
        ]
        rows = sorted(((pid, row) for pid, row in self.tasks.items() if pid not in self.kernel_tasks), key=lambda found: -found[1].runs)
        for pid, row in rows[:most]:
            name = f"{printable(self.names.get(pid, '?'))} {pid}"
            lines.append(f"{name:<24}{row.runs:>12,}{row.saves:>12,}{row.restores:>12,}{row.avoided:>12,}")
        if len(rows) > most:
            lines.append(f"... and {len(rows) - most:,} more (--most)")
        return "\n".join(lines)


def _row(row: TaskCounts) -> dict[str, int]:
    return {"runs": row.runs, "saves": row.saves, "restores": row.restores, "activations": row.activations, "avoided": row.avoided}


def stats(source: EventSource) -> Stats:
    """The numbers of a recording. PasidlabError if it cannot be read, or its events lack the flags that tell loads apart."""
    about = source.about
    if not about.flags & IRQS_OFF:
        what = "the text leaves out the events' flags, which tell loads on the way to user mode from others"
        raise PasidlabError(what, hint="trace.dat has them, and so has the file trace of tracefs")
    found = Stats(about.kernel)
    found.names = {task.pid: task.comm for task in about.tasks}
    found.kernel_tasks = {0} | {task.pid for task in about.tasks if task.kernel}
    found.seconds = source.seconds
    switched: dict[int, int] = {}
    for piece in source.in_order():
        _add(found, piece, switched)
    found.hidden = verify(source).hidden
    return found


def _add(found: Stats, piece: EventTable, switched: dict[int, int]) -> None:
    """Count a piece. ``switched``: by CPU, the task whose sched_switch was the CPU's last event."""
    kinds = piece[:, KIND]
    for kind, count in zip(*np.unique(kinds, return_counts=True), strict=True):
        name = Kind(int(kind)).name
        found.kinds[name] = found.kinds.get(name, 0) + int(count)
    lost = kinds == Kind.LOST
    found.lost += int(np.maximum(piece[lost, A], 1).sum())
    found.events += len(piece) - int(lost.sum())
    for row in piece[np.isin(kinds, (Kind.task_newtask, Kind.task_rename))]:
        found.names[int(row[A])] = comm(row)
        if row[KIND] == Kind.task_newtask and int(row[PID]) in found.kernel_tasks:
            found.kernel_tasks.add(int(row[A]))
    _count(found, "runs", piece[kinds == Kind.sched_switch, A])
    activated = kinds == Kind.x86_fpu_regs_activated
    restored = activated & (piece[:, FLAGS] & IRQS_OFF != 0)
    _count(found, "restores", piece[restored, PID])
    _count(found, "activations", piece[activated & ~restored, PID])
    _count(found, "saves", _saved(piece, switched))


def _saved(piece: EventTable, switched: dict[int, int]) -> EventTable:
    """The tasks saved at a switch: that event is the next on its CPU after sched_switch. (At an exit it stands elsewhere.)"""
    saved = []
    for cpu in np.unique(piece[:, CPU]):
        mine = piece[piece[:, CPU] == cpu]
        before = np.concatenate(([switched.get(int(cpu), -1)], np.where(mine[:, KIND] == Kind.sched_switch, mine[:, PID], -1)))
        switched[int(cpu)] = int(before[-1])
        saved.append(mine[(mine[:, KIND] == Kind.x86_fpu_regs_deactivated) & (before[:-1] == mine[:, PID]), PID])
    return np.concatenate(saved) if saved else np.zeros(0, np.int64)


def _count(found: Stats, name: str, pids: EventTable) -> None:
    for pid, count in zip(*np.unique(pids, return_counts=True), strict=True):
        row = found.tasks.setdefault(int(pid), TaskCounts())
        setattr(row, name, getattr(row, name) + int(count))


def comm(row: EventTable) -> str:
    """The 16 bytes of a task's name, as ``task_newtask`` and ``task_rename`` carry them."""
    text = int(row[C]).to_bytes(8, "little", signed=True) + int(row[D]).to_bytes(8, "little", signed=True)
    return text.split(b"\0")[0].decode("utf-8", "backslashreplace")
