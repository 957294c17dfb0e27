"""Text that ftrace, trace-cmd or perf printed, as events: parsed once, and kept in a file without a name.

Text tells less than pages of the ring buffer. Nobody lists the tasks that were there; some programs leave out the flags; an event that
never came may not have been asked for.
"""

from __future__ import annotations

import errno
import gzip
import io
import re
import sys
import tempfile
import weakref
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import numpy as np

from pasidlab.errors import PasidlabError, Position
from pasidlab.observe.kinds import BH_OFF, CALLED, EVENTS, FUNCTION, IA32_PASID, IRQS_OFF, Kind
from pasidlab.observe.pages import COLUMNS, CPU, FLAGS, KIND, PID, TIME, EventTable
from pasidlab.observe.recording import About
from pasidlab.observe.schema import MOST_TIME
from pasidlab.observe.textlines import CALL, FIELDS, LINES, NO_EVENT, PERF, SYSCALL, EventRow, fields_of_text

GZIP = b"\x1f\x8b"
"""RFC 1952, 2.3.1."""
_RELEASE = re.compile(r"^# os release : (\S+)")
"""``perf script --header``."""
_PERF_EVENT = re.compile(r"^# event : name = (\w+):(\w+),")
_LOST = re.compile(r"^CPU:(\d+) \[(?:LOST (\d+) EVENTS|(?:(\d+) )?EVENTS DROPPED)\]")
"""kernel/trace/trace.c: print_trace_line(), v6.12; trace-cmd report."""
_PERF_LOST = re.compile(r".{0,200}?\[(\d{1,4})\].*PERF_RECORD_LOST(?:_SAMPLES)?\D*(\d+)")
"""perf_event__fprintf_lost(), tools/perf/util/event.c, v6.12; `perf script` shows it with --show-lost-events alone."""
_STARTED = re.compile(r"^#{3,} ?CPU (\d+) buffer started")
"""test_cpu_buff_start(): what the other CPUs showed before has no counterpart of this one."""
_CHUNK = 1 << 16  # events
_MOST_LINE = 1 << 16  # bytes


@dataclass(frozen=True)
class Told:
    """What the user says of a text. ``kernel``: the release, as ``uname -r`` prints it. ``recorded``: events that were asked for."""

    kernel: str = ""
    recorded: tuple[str, ...] = ()

    def covers(self, path: str) -> bool:
        """Whether an event, ``system/event``, was asked for."""
        system, name = path.split("/")
        return any(one in (system, f"{system}:*", f"{system}:{name}", name, path) for one in self.recorded)

    def must_be_known(self) -> None:
        """PasidlabError for a name that is no event of ours, and no system of one."""
        for one in self.recorded:
            paths = [*(event.path for event in EVENTS), *(f"{FUNCTION.system}/{name}" for name in CALLED)]
            if not any(Told(recorded=(one,)).covers(path) for path in paths):
                known = ", ".join(sorted({path.split("/")[0] for path in paths}))
                raise PasidlabError(f"--recorded {one}: no event that is looked at", hint=f"a system ({known}) or SYSTEM:EVENT")


class SupportsLines(Protocol):
    """A file of lines."""

    def readline(self, size: int, /) -> bytes:
        """A line, or ``size`` bytes of a longer one; nothing at the end."""


class EventText:
    """The events of a text, in its order."""

    def __init__(self, name: str, lines: SupportsLines, told: Told) -> None:
        self.name = name
        self.kernel = told.kernel
        self.asked_for: set[str] = set()
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._spool.close)
        self._first: dict[int, int] = {}
        self._last: dict[int, tuple[int, str]] = {}
        self._of_perf = False
        self._before: dict[int, EventRow] = {}  # by CPU, its last event
        self._twice = 0
        self._form = LINES[0]
        self._forgotten = 0
        self._functions: set[str] = set()
        self._kinds: set[int] = set()
        self._flags = 0
        self._flagged = self._unflagged = False
        self._waiting: list[EventRow] = []
        try:
            self._parse(lines)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            where = tempfile.gettempdir()
            raise PasidlabError(f"no room in {where} for the events of {name}", hint="set TMPDIR to a folder with room") from None
        self.about = self._about(told)

    @staticmethod
    def standard_input(told: Told) -> EventText:
        """The text on standard input."""
        if sys.stdin is None or sys.stdin.closed:
            raise PasidlabError("standard input is closed", hint="name a file")
        with _unpacked(sys.stdin.buffer) as lines:
            return EventText("standard input", lines, told)

    @property
    def _begin(self) -> int:
        """When the last CPU began to be recorded: perf switches the events of each CPU on for itself."""
        return max(self._first.values(), default=0) if self._of_perf else 0

    @property
    def _end(self) -> int:
        """When the first CPU was recorded no longer."""
        return min((time for time, _ in self._last.values()), default=0) if self._of_perf else MOST_TIME

    def pieces(self) -> Iterator[EventTable]:
        """The events, a bounded number at a time."""
        for rows in self._rows():
            found = rows[(rows[:, TIME] >= self._begin) & (rows[:, TIME] <= self._end)]
            if self._unflagged:
                found[:, FLAGS] = 0
            if len(found):
                yield found

    def _rows(self) -> Iterator[EventTable]:
        self._spool.seek(0)
        while data := self._spool.read(_CHUNK * COLUMNS * 8):
            yield np.frombuffer(data, np.int64).reshape(-1, COLUMNS)

    def _about(self, told: Told) -> About:
        if not self._kinds - {Kind.LOST}:
            raise PasidlabError(f"{self.name} has no event of ftrace, trace-cmd or perf that is looked at")
        if len(self._last) and self._end <= self._begin:
            raise PasidlabError(f"{self.name}: perf did not record all CPUs at the same time", hint="record for longer")
        if not self.kernel:
            raise PasidlabError(f"{self.name} does not say which kernel it is of", hint="--kernel RELEASE, as uname -r prints it")
        there = [e.path for e in EVENTS if e.kind in self._kinds or e.path in self.asked_for or told.covers(e.path)]
        missing = tuple(event.path for event in EVENTS if event.path not in there)
        flags = self._flags if self._flagged and not self._unflagged else 0
        cpus = tuple(sorted(self._last))
        formats = dict.fromkeys(there, "")
        called = self._functions | {name for name in CALLED if told.covers(f"{FUNCTION.system}/{name}")}
        functions = {f"{n:x}": name for n, name in enumerate(sorted(called))}  # a text has no addresses
        notes = tuple(self._notes(flags, functions.values()))
        return About(
            self.kernel, "x86_64", cpus, clock="", page_bytes=4096, header_page="", formats=formats, missing=missing, tasks=(),
            functions=functions, flags=flags, notes=notes,
        )  # fmt: skip

    def _notes(self, flags: int, functions: Collection[str]) -> Iterator[str]:
        untold = [name for bit, name in ((IRQS_OFF, "interrupts"), (BH_OFF, "softirqs")) if not flags & bit]
        if functions and (uncalled := sorted(CALLED.keys() - set(functions))):
            yield f"not traced, or never called (--recorded ftrace:FUNCTION): {', '.join(uncalled)}"
        if untold:
            yield f"the text does not tell whether {' and '.join(untold)} are off"
        if self._of_perf:
            outside = sum(int(((rows[:, TIME] < self._begin) | (rows[:, TIME] > self._end)).sum()) for rows in self._rows())
            yield f"while perf switched its events on and off, CPU by CPU: {outside:,} events, not judged"
            if Kind.LOST not in self._kinds:
                yield "no event tells of lost ones; `perf script` does so with --show-lost-events alone"
        if self._forgotten:
            yield f"before the last CPU's buffer began, or the task of an event was known: {self._forgotten:,} events, not judged"
        if self._twice:
            yield f"perf tells the same event twice, at the same time of the same CPU: {self._twice:,} times, each taken for one"

    def _parse(self, lines: SupportsLines) -> None:
        for number, line in enumerate(_read(lines), 1):
            text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            found = self._form.match(text) or next((match for one in LINES if (match := one.match(text))), None)
            if found:
                self._form = found.re  # the next line most likely looks alike
                self._event(number, found, text)
            elif called := CALL.match(text):
                self._call(number, called)
            elif entered := SYSCALL.match(text):
                self._system_call(number, entered)
            elif _STARTED.match(text):
                self._forget()
            elif lost := _LOST.match(text) or _PERF_LOST.match(text):
                self._lost(int(lost[1]), sum(int(count) for count in lost.groups()[1:] if count))
            elif not self._head(text) and not NO_EVENT.match(text):
                what = f"no recording, and no line of ftrace, trace-cmd report or perf script: {text[:60]!r}"
                hint = "observe verify reads recordings of `pasidlab observe record`, trace.dat, and text of these programs"
                raise PasidlabError(what, position=Position(self.name, number, 1), hint=hint)
        self._write()

    def _head(self, text: str) -> bool:
        if release := _RELEASE.match(text):
            self.kernel = self.kernel or release[1]
        elif event := _PERF_EVENT.match(text):
            self.asked_for.add(f"{event[1]}/{event[2]}")
        return text.startswith("#")

    def _event(self, number: int, found: re.Match[str], text: str) -> None:
        kind = FIELDS.get(found["event"])
        if kind is None:
            return  # another event than those that are looked at
        values = fields_of_text(kind, found["rest"])
        at = Position(self.name, number, found.start("rest") + 1)
        if values is None:
            hint = "print it as the kernel's print fmt has it; raw fields are not read"
            raise PasidlabError(f"no {kind.name}: {found['rest'][:60]!r}", position=at, hint=hint)
        if kind is Kind.write_msr and values[0] != IA32_PASID:
            return
        self._show(number, kind, found, values)

    def _call(self, number: int, found: re.Match[str]) -> None:
        """The function tracer's line."""
        name = found["call"]
        self._functions.add(name)
        if name in CALLED:
            self._show(number, CALLED[name], found, (0, 0, 0, 0))

    def _system_call(self, number: int, found: re.Match[str]) -> None:
        """ftrace's line of a system call, which does not name the event."""
        kind = FIELDS.get(f"sys_enter_{found['name']}") if found["enter"] else None
        if kind is not None:
            self._show(number, kind, found, (0, 0, 0, 0))

    def _show(self, number: int, kind: Kind, found: re.Match[str], values: tuple[int, int, int, int]) -> None:
        cpu, time = int(found["cpu"]), _nanoseconds(found["time"])
        if time < self._last.get(cpu, (0, ""))[0]:
            what = f"the clock of CPU {cpu} goes back, from {self._last[cpu][1]} to {found['time']}"
            raise PasidlabError(what, position=Position(self.name, number, 1), hint="the lines must be in the order of time")
        self._first.setdefault(cpu, time)
        self._last[cpu] = time, found["time"]
        self._of_perf = self._of_perf or found.re is PERF
        pid, flags = self._pid(int(found["pid"]), kind, cpu, values), self._flags_of(found.groupdict().get("flags"))
        row = (time, cpu, int(kind), pid, flags, *values)
        if self._of_perf and self._before.get(cpu) == row:
            self._twice += 1  # perf reads a stretch of a ring buffer again, now and then
            return
        self._before[cpu] = row
        self._note(row)

    def _pid(self, pid: int, kind: Kind, cpu: int, values: tuple[int, ...]) -> int:
        """The task of an event. perf tells -1 of a task that is gone but for its last switch (perf_event_pid_type(), v6.12)."""
        if pid < 0:
            before = self._before.get(cpu)
            known = before[PID] if before else -1
            pid = values[2] if kind is Kind.sched_switch else known
        if pid < 0:
            self._forget()  # nobody knows whose event it is
        return max(pid, 0)

    def _flags_of(self, flags: str | None) -> int:
        if not flags:
            self._unflagged = True
            return 0
        self._flagged = True
        found = (IRQS_OFF if flags[0] in "dD" else 0) | (BH_OFF if flags[0] in "bD" else 0)
        self._flags |= found
        return found

    def _note(self, row: EventRow) -> None:
        self._kinds.add(row[KIND])
        self._waiting.append(row)
        if len(self._waiting) == _CHUNK:
            self._write()

    def _write(self) -> None:
        if self._waiting:
            self._spool.write(np.array(self._waiting, np.int64).tobytes())
            self._waiting.clear()

    def _lost(self, cpu: int, count: int) -> None:
        """``count`` events of a CPU are not in the text (0: nobody says how many), after the last that is."""
        self._note((max((time for time, _ in self._last.values()), default=0), cpu, int(Kind.LOST), -1, 0, count, 0, 0, 0))

    def _forget(self) -> None:
        """The events of a CPU before here were overwritten: what the other CPUs have is not judged, up to here."""
        self._forgotten += len(self._waiting) + self._spool.tell() // (COLUMNS * 8)
        self._waiting.clear()
        self._spool.seek(0)
        self._spool.truncate()


def _unpacked(file: BinaryIO) -> AbstractContextManager[SupportsLines]:
    """The lines of a stream that cannot go back, also if gzip has packed them."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
    return gzip.open(buffered) if buffered.peek(2)[:2] == GZIP else nullcontext(buffered)


def _read(lines: SupportsLines) -> Iterable[bytes]:
    while line := lines.readline(_MOST_LINE):
        yield line


def _nanoseconds(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


assert (TIME, CPU, KIND, PID, FLAGS) == (0, 1, 2, 3, 4)  # the order of a Row
