"""Records trace events: raw pages of the kernel's ring buffers go to a file by splice(2), one thread for each CPU.

The pages are not looked at: a busy machine writes a million events a second, and Python would lose some of them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pasidlab.errors import PasidlabError
from pasidlab.interrupts import RaisedBySignals, StopFlag
from pasidlab.observe.functions import trace_functions
from pasidlab.observe.kinds import EVENTS
from pasidlab.observe.recording import About, TaskAtStart, Writer
from pasidlab.observe.tracefs import Instance, Tracefs

CLOCKS = ("x86-tsc", "global")
"""Clocks that are the same on all CPUs, best first: events of two CPUs are put in order by time."""
PIPE_BYTES = 1 << 20
PAUSE = 0.01  # seconds between two looks at an empty buffer
PROC_PID_INIT_INO = 0xEFFFFFFC  # include/linux/proc_ns.h, v6.12
PF_EXITING, PF_KTHREAD, PF_USER_WORKER = 0x00000004, 0x00200000, 0x00004000  # include/linux/sched.h, v6.4


@dataclass(frozen=True)
class Wanted:
    """What to record, and for how long: until the command ends, or the time is up, or the user says so."""

    seconds: float | None = None
    command: tuple[str, ...] = ()
    buffer_kib: int = 8192
    functions: bool = False


@dataclass
class RecordingResult:
    """What a recording came to. ``status`` is the command's exit status; None if there was no command."""

    events: int = 0
    lost: int = 0
    bytes: int = 0
    seconds: float = 0.0
    status: int | None = None
    missing: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)


def record(path: str, wanted: Wanted, stop: StopFlag) -> RecordingResult:
    """Record to a file, until ``stop`` is set at the latest. PasidlabError where that is not possible.

    Nothing stays mounted or enabled, and where there is an error, nothing is written.
    """
    if Path(path).exists() and not Path(path).resolve().is_file():
        raise PasidlabError(f"{path} is no regular file", hint="a recording takes the place of a file; give another name")
    tracefs = Tracefs()
    into = Path(path).resolve()
    result = RecordingResult()
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f"{into.name}.", suffix=".part", dir=into.parent)
        part = Path(name)
        with open(handle, "wb") as file, tracefs.instance() as instance:
            about = _begin(instance, wanted, result)
            writer = Writer(file, about)
            _follow(instance, writer, wanted, stop, result)
            result.bytes = file.tell()
        part.chmod(into.stat().st_mode & 0o777 if into.exists() else 0o666 & ~_umask())
        part.replace(into)
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise PasidlabError(f"cannot record to {path}: {what}") from None
    finally:
        if part:
            part.unlink(missing_ok=True)
        tracefs.close()
    return result


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _begin(instance: Instance, wanted: Wanted, result: RecordingResult) -> About:
    """Everything is switched on; then the tasks are listed: each is in the list, or its fork is seen, or it ends before ``listed_at``."""
    instance.write("tracing_on", "0")
    clock = _clock(instance)
    instance.write("buffer_size_kb", str(wanted.buffer_kib))
    with suppress(OSError):
        instance.write("options/overwrite", "0")  # when it is full the newest are lost, and counted
    there = [event for event in EVENTS if instance.has_event(event.path)]
    absent = [event for event in EVENTS if event not in there]
    if lacking := [event.path for event in absent if event.needed]:
        raise PasidlabError(f"this kernel has no event {lacking[0]}", hint="an x86-64 kernel of 4.8 or newer with CONFIG_FTRACE")
    formats = {}
    for event in there:
        if event.filter:
            instance.write(f"events/{event.path}/filter", event.filter)
        formats[event.path] = instance.read(f"events/{event.path}/format")
    functions: dict[str, str] = {}
    untraced: tuple[str, ...] = ()
    if wanted.functions:
        functions, untraced = trace_functions(instance, formats)
        result.notes += [f"{name}() cannot be traced on this kernel" for name in untraced]
        if not functions:
            result.notes.append("/proc/kallsyms tells no addresses (kptr_restrict): calls cannot be told apart, and are not looked at")
    for event in there:
        instance.write(f"events/{event.path}/enable", "1")
    instance.write("tracing_on", "1")
    header = instance.read("events/header_page")
    result.missing = tuple(event.path for event in absent)
    kernel, machine = platform.release(), platform.machine()
    size = _page_bytes(header)
    cpus, tasks = tuple(instance.cpus()), tuple(_tasks())
    now = _now(instance, cpus[0])
    if not tasks:
        result.notes.append("/proc has the pids of a PID namespace: the tasks at the start are not listed, and verify says less")
    return About(
        kernel, machine, cpus, clock=clock, page_bytes=size, header_page=header, formats=formats, missing=result.missing, tasks=tasks,
        functions=functions, absent=untraced, listed_at=now,
    )  # fmt: skip


def _now(instance: Instance, cpu: int) -> int:
    """The trace clock's time, rounded up: cycles, or seconds with six digits (tracing_stats_read(), kernel/trace/trace.c, v6.12)."""
    found = re.search(r"^now ts: *(\d+)(?:\.(\d{6}))?$", instance.read(f"per_cpu/cpu{cpu}/stats"), re.M)
    if not found:
        return 0
    whole, microseconds = int(found[1]), found[2]
    return whole if microseconds is None else whole * 10**9 + (int(microseconds) + 1) * 1000


def _clock(instance: Instance) -> str:
    """The first of CLOCKS that the kernel lets us have. Without any, events of two CPUs cannot be put in order."""
    for clock in CLOCKS:
        with suppress(OSError):
            instance.write("trace_clock", clock)
            return clock
    raise PasidlabError(f"this kernel has none of the trace clocks {', '.join(CLOCKS)}")


def _page_bytes(header: str) -> int:
    from pasidlab.observe.formats import parse_header_page

    data = parse_header_page(header).fields["data"]
    return data.offset + data.size


def _tasks() -> Iterator[TaskAtStart]:
    """Every task of the machine; those that end meanwhile are left out. None where /proc has other pids than the events."""
    if not _has_all_pids():
        return
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                for thread in (process / "task").iterdir():
                    with suppress(OSError):
                        yield _task(int(process.name), thread)


def _has_all_pids() -> bool:
    """True if /proc is that of the first PID namespace, whose pids the events tell."""
    try:
        return Path("/proc/1/ns/pid").stat().st_ino == PROC_PID_INIT_INO
    except OSError:  # some hosts let nobody look at their init
        return Path("/proc/self/ns/pid").stat().st_ino == PROC_PID_INIT_INO and os.readlink("/proc/self") == str(os.getpid())


def _task(tgid: int, thread: Path) -> TaskAtStart:
    text = (thread / "stat").read_text(encoding="utf-8", errors="backslashreplace")
    comm, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    flags = int(rest[6])  # proc(5): field 9, of which the first two are cut off here
    return TaskAtStart(int(thread.name), tgid, comm, bool(flags & (PF_KTHREAD | PF_USER_WORKER)), bool(flags & PF_EXITING))


def stopped_by_signals() -> StopFlag:
    """A flag that Ctrl-C, SIGTERM and SIGHUP set from now on, as often as they come: the recording then ends in good order.

    SIGHUP stays ignored where it was (nohup). Nothing is put back: a signal that comes late must not undo what is recorded.
    """
    stop = RaisedBySignals()
    ends = [signal.SIGINT, signal.SIGTERM]
    ends += [] if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [signal.SIGHUP]
    for number in ends:
        signal.signal(number, stop.handler)
    return stop


def signals_are_late() -> None:
    """The recording is in its place, or never will be. As the interpreter ends it would give the signals their default action again."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _follow(instance: Instance, writer: Writer, wanted: Wanted, stop: StopFlag, result: RecordingResult) -> None:
    """Record until it is time to stop, then what is left in the buffers."""
    drains = [_Drain(instance, cpu, writer) for cpu in instance.cpus()]
    start = time.monotonic()
    try:
        for drain in drains:
            drain.thread.start()
        result.status = _wait(wanted, stop, drains)
        instance.write("tracing_on", "0")
    finally:
        for drain in drains:
            drain.finish()
    result.seconds = time.monotonic() - start
    for drain in drains:
        if drain.error:
            raise drain.error
    counted = {str(cpu): _stats(instance.read(f"per_cpu/cpu{cpu}/stats")) for cpu in instance.cpus()}
    result.lost = sum(row.get("overrun", 0) + row.get("dropped events", 0) for row in counted.values())
    result.events = sum(row.get("read events", 0) for row in counted.values())
    writer.end({"cpus": counted, "seconds": result.seconds})


def _wait(wanted: Wanted, stop: StopFlag, drains: Sequence[_Drain]) -> int | None:
    """Until the end; the exit status of the command, if there is one. A command that outlives the time goes on."""
    end = None if wanted.seconds is None else time.monotonic() + wanted.seconds
    process = None
    if wanted.command and not stop.is_set():
        try:
            process = subprocess.Popen(wanted.command)
        except OSError as error:
            raise PasidlabError(f"cannot run {wanted.command[0]}: {error.strerror}") from None
    while not stop.is_set():
        time.sleep(0.05)
        if process and process.poll() is not None:
            return process.returncode
        if (end is not None and time.monotonic() >= end) or any(drain.error for drain in drains):
            break
    return process.poll() if process else None


def _stats(text: str) -> dict[str, int]:
    """The numbers of ``per_cpu/cpuN/stats``."""
    return {name.strip(): int(number) for name, number in re.findall(r"^([^:\n]+): (\d+)$", text, re.M)}


class _Drain:
    """Moves one CPU's pages from the ring buffer to the file."""

    def __init__(self, instance: Instance, cpu: int, writer: Writer) -> None:
        self.cpu, self.writer = cpu, writer
        self.error: Exception | None = None
        self._over = threading.Event()
        self._raw = os.open(instance.path / f"per_cpu/cpu{cpu}/trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK)
        self._out, self._in = os.pipe2(os.O_CLOEXEC)
        self._room = fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.thread = threading.Thread(target=self._run, name=f"observe cpu{cpu}", daemon=True)

    def finish(self) -> None:
        """Tracing is off: what is left is moved, and all is closed."""
        self._over.set()
        if self.thread.is_alive():
            self.thread.join()
        for fd in (self._raw, self._out, self._in):
            os.close(fd)

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                if not self._move():
                    self._over.wait(PAUSE)
            while self._move():
                pass
            self._read_rest()
        except OSError as error:
            self.error = error

    def _move(self) -> bool:
        """True if whole pages were there and have been moved."""
        try:
            count = os.splice(self._raw, self._in, self._room)
        except BlockingIOError:
            return False
        if count:
            with self.writer.lock:
                self.writer.pages(self.cpu, self._out, count)
        return count > 0

    def _read_rest(self) -> None:
        """The page that is not full yet does not go by splice."""
        size = self.writer.page_bytes
        while True:
            try:
                data = os.read(self._raw, size)
            except BlockingIOError:
                return
            if not data:
                return
            with self.writer.lock:
                self.writer.page(self.cpu, data.ljust(size, b"\0"))
