"""Counterexamples for ui.perfetto.dev: a process for each, a track for each CPU with its contexts and functions nested.

The file is JSON as in "Trace Event Format" (Google, 2016), which Perfetto's importer reads. A step lasts a microsecond. What a CPU was in
the middle of goes on while others take steps.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pasidlab.report.account import Account
from pasidlab.report.json import named
from pasidlab.trace.steps import Counterexample, Step
from pasidlab.version import VERSION

Event = dict[str, Any]

ENVIRONMENT = "environment"
"""The track of steps that no CPU takes."""


def results_perfetto(account: Account) -> Event:
    """All counterexamples of an account, as one document."""
    events: list[Event] = []
    pairs = [(result.design, found) for result in account.results for found in result.counterexamples]
    for number, (design, found) in enumerate(pairs, start=1):
        events += _events(account, number, f"{design} breaks {found.property}", found)
    about = {"tool": f"pasidlab {VERSION}", "command": shlex.join(account.command)}
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": about}


@dataclass
class _Track:
    """The slices of one CPU that are open, the outermost first."""

    process: int
    number: int
    open: list[str] = field(default_factory=list)

    def event(self, phase: str, time: int, **more: Any) -> Event:
        return {"ph": phase, "pid": self.process, "tid": self.number, "ts": time, **more}

    def reach(self, wanted: list[str], time: int) -> Iterator[Event]:
        """Close what is over and open what has begun, so that exactly ``wanted`` is open."""
        same = 0
        while same < min(len(wanted), len(self.open)) and wanted[same] == self.open[same]:
            same += 1
        for _ in self.open[same:]:
            yield self.event("E", time)
        for name in wanted[same:]:
            yield self.event("B", time, name=name)
        self.open = wanted


def _events(account: Account, process: int, name: str, found: Counterexample) -> Iterator[Event]:
    cpus = sorted({step.cpu for step in found.steps if step.cpu is not None})
    tracks: dict[int | None, _Track] = {cpu: _Track(process, cpu + 1) for cpu in cpus}
    tracks[None] = _Track(process, max(cpus, default=0) + 2)
    yield {"ph": "M", "pid": process, "tid": 0, "name": "process_name", "args": {"name": name}}
    for cpu, track in tracks.items():
        named = ENVIRONMENT if cpu is None else f"CPU {cpu}"
        yield {"ph": "M", "pid": process, "tid": track.number, "name": "thread_name", "args": {"name": named}}
    for time, step in enumerate(found.steps):
        track = tracks[step.cpu]
        yield from track.reach(_around(step), time)
        yield track.event("X", time, dur=1, name=_name(step), args=_told(account, time + 1, step))
    end = len(found.steps)
    for track in tracks.values():
        yield from track.reach([], end)
    last = tracks[found.steps[-1].cpu] if found.steps else tracks[None]
    told = {"sentence": found.sentence, "repeats after step": found.loop} if found.loop is not None else {"sentence": found.sentence}
    yield last.event("i", end, s="p", name=f"VIOLATED {found.property}", args=told)


def _around(step: Step) -> list[str]:
    """What the step is inside of: the task, the context, and the functions of its line."""
    if step.cpu is None:
        return []
    task = "idle" if step.task is None else f"T{step.task}"
    functions = [frame.function for frame in (step.lines[-1].frames if step.lines and step.context != "user" else ())]
    return [task, step.context, *functions]


def _name(step: Step) -> str:
    return step.main.source.strip() if step.main and step.context != "user" else step.words


def _told(account: Account, number: int, step: Step) -> dict[str, Any]:
    changes = {change.name: f"{change.old} -> {change.new}" for change in step.changes}
    place = {"place": f"{named(account, step.main.file)}:{step.main.line}"} if step.main else {}
    return {"step": number, **place, **changes}
