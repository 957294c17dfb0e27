"""A stretch of a recording for a reader: a page with a lane for each CPU, and tracks for ui.perfetto.dev."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from pasidlab.observe.lanes import NOBODY, Lane, Lanes, Stay
from pasidlab.report.stepping import environment
from pasidlab.version import VERSION

_WIDTH = 3000
_LANE, _BAR = 92, 22  # pixels
_LETTER = 7.4  # pixels of a letter, about
_COLOURS = 12
_NAMED = 12
"""Tasks that the key names: those that run longest."""


def lanes_page(found: Lanes, file: str, command: Sequence[str]) -> str:
    """The page, UTF-8: it needs nothing but itself."""
    colours = _colours(found)
    drawn = [_drawn(found, lane, number, colours) for number, lane in enumerate(found.lanes)]
    key = [{"colour": colour, "name": found.name(pid)} for pid, colour in list(colours.items())[:_NAMED]]
    return environment().get_template("recorded.html").render(
        found=found, file=file, lanes=drawn, width=_WIDTH, height=_LANE * len(drawn) + 24, ticks=list(_ticks(found)), version=VERSION,
        milliseconds=(found.end - found.begin) / 1e6, command=shlex.join(command), bar=_BAR,
        key=key, others=len(colours) - len(key),
    )  # fmt: skip


def lanes_perfetto(found: Lanes) -> dict[str, Any]:
    """Trace Event Format, which Perfetto reads: a process for each CPU, a track for who runs, one for whose registers are there."""
    events: list[dict[str, Any]] = []
    for lane in found.lanes:
        for number, name in ((1, "runs"), (2, "registers of"), (3, "events")):
            events.append({"ph": "M", "name": "thread_name", "pid": lane.cpu + 1, "tid": number, "args": {"name": name}})
        events.append({"ph": "M", "name": "process_name", "pid": lane.cpu + 1, "args": {"name": f"CPU {lane.cpu}"}})
        for number, spans in ((1, lane.runs), (2, lane.holds)):
            events += [_slice(found, lane.cpu, number, span) for span in spans if number == 1 or span.pid != NOBODY]
        for mark in lane.marks:
            args = {"task": found.name(mark.pid)}
            at = (mark.time - found.begin) / 1000
            events.append({"ph": "i", "s": "t", "name": mark.text, "pid": lane.cpu + 1, "tid": 3, "ts": at, "args": args})
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"tool": f"pasidlab {VERSION}", "kernel": found.kernel}}


def _slice(found: Lanes, cpu: int, number: int, span: Stay) -> dict[str, Any]:
    begin, length = (span.begin - found.begin) / 1000, (span.end - span.begin) / 1000
    return {"ph": "X", "name": found.name(span.pid), "pid": cpu + 1, "tid": number, "ts": begin, "dur": length}


def _colours(found: Lanes) -> dict[int, int]:
    """A colour for each task: PID -> 0 to 11. Those that run longest come first, so that their colours differ."""
    time: dict[int, int] = {}
    for lane in found.lanes:
        for span in (*lane.runs, *lane.holds):
            if span.pid not in (0, NOBODY):
                time[span.pid] = time.get(span.pid, 0) + span.end - span.begin
    longest = sorted(time, key=lambda pid: (-time[pid], pid))
    return {pid: rank % _COLOURS for rank, pid in enumerate(longest)}


def _drawn(found: Lanes, lane: Lane, number: int, colours: dict[int, int]) -> dict[str, Any]:
    """What the template draws of one CPU, in pixels."""
    scale = _WIDTH / max(found.end - found.begin, 1)
    top = number * _LANE + 24
    runs = [_bar(found, span, scale, colours) for span in lane.runs if span.pid != 0]
    holds = [_bar(found, span, scale, colours) for span in lane.holds if span.pid != NOBODY]
    marks = []
    for mark in lane.marks:
        since = mark.time - found.begin
        text = f"{found.name(mark.pid)}: {mark.text}"
        marks.append({"x": round(since * scale, 1), "at": f"{since / 1e6:.3f}", "text": text})
    return {"cpu": lane.cpu, "top": top, "runs": runs, "holds": holds, "marks": marks}


def _bar(found: Lanes, span: Stay, scale: float, colours: dict[int, int]) -> dict[str, Any]:
    """A bar with as much of its task's name as has room: all, the PID, or nothing."""
    name, width = found.name(span.pid), max((span.end - span.begin) * scale, 0.6)
    when = f"{(span.begin - found.begin) / 1e6:.3f} to {(span.end - found.begin) / 1e6:.3f} ms"
    return {
        "x": round((span.begin - found.begin) * scale, 1), "width": round(width, 1), "colour": colours[span.pid],
        "title": f"{name}, {when}", "name": next((text for text in (name, str(span.pid)) if len(text) * _LETTER + 8 < width), ""),
    }  # fmt: skip


def _ticks(found: Lanes) -> Iterator[dict[str, Any]]:
    for part in range(11):
        at = (found.end - found.begin) * part / 10
        yield {"x": _WIDTH * part / 10, "text": f"{at / 1e6:.2f} ms"}
