"""New tasks of which their makers have not told yet. They stand before their first instruction.

The event that tells comes a moment later, or never: a maker that is killed, as by execve(2) of another of its threads, takes it along
(ptrace_stop(), kernel/signal.c, v6.12). Such a task must not stand for ever. It is adopted when no thread can be its maker any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from pasidlab.live import ptrace
from pasidlab.live.descriptors import text_file
from pasidlab.live.libc import SYS_CLONE, SYS_CLONE3, SYS_FORK, SYS_VFORK
from pasidlab.live.loop import EventLoop
from pasidlab.live.served import Patient
from pasidlab.live.state import Thread
from pasidlab.live.status import status_of

_PATIENCE = 0.05  # seconds that the event has before its maker is looked for
_MAKES = frozenset(map(str, (SYS_CLONE, SYS_FORK, SYS_VFORK, SYS_CLONE3, 2, 120, 190)))  # the last three: of 32 bits


@dataclass(eq=False)
class _Birth:
    stop: int
    event: int
    father: int  # its parent's number when it was first seen, 0 if unknown
    makers: set[int] | None = None  # threads that may be about to tell of it; None: not looked for yet


class Unborn:
    """All such tasks. ``adopt`` gets one whose maker will never tell, and its parent's number (0: unknown)."""

    def __init__(self, loop: EventLoop, threads: Mapping[int, Thread], adopt: Callable[[int, int], None]) -> None:
        self._loop, self._threads, self._adopt, self._patient = loop, threads, adopt, Patient(loop)
        self._births: dict[int, _Birth] = {}

    def __iter__(self) -> Iterator[int]:
        """Their numbers."""
        return iter(tuple(self._births))

    def __bool__(self) -> bool:
        return bool(self._births)

    def stopped(self, tid: int, stop: int, event: int) -> None:
        """An unknown task has stopped."""
        birth = self._births[tid] = _Birth(stop, event, parent_of(tid))
        self._loop.after(_PATIENCE, partial(self._look, tid, birth))

    def known(self, tid: int) -> tuple[int, int] | None:
        """The task belongs to someone by now, or is gone: the stop that it is in, None if it is in none."""
        birth = self._births.pop(tid, None)
        return (birth.stop, birth.event) if birth else None

    def heard(self, tid: int) -> None:
        """A thread has stopped, or has ended: all that it has made is told."""
        for birth in self._births.values():
            if birth.makers:
                birth.makers.discard(tid)

    def _look(self, tid: int, birth: _Birth) -> None:
        if self._births.get(tid) is not birth:
            return
        if birth.makers is None:
            makers = self._makers(tid)
            if self._births.get(tid) is not birth:
                return
            birth.makers = makers
            for maker in tuple(birth.makers):  # its next stop tells, whatever it is
                try:
                    ptrace.interrupt(maker)
                except (ptrace.Gone, OSError):
                    birth.makers.discard(maker)
        if birth.makers:
            self._loop.after(_PATIENCE, partial(self._look, tid, birth))
        else:
            self._adopt(tid, birth.father)

    def _makers(self, tid: int) -> set[int]:
        """Threads of the task's parent, or that have the same parent (CLONE_PARENT), which may be about to tell."""
        father, threads = parent_of(tid), tuple(self._threads.values())
        near = {process for process in {thread.process for thread in threads} if father in (process.pid, parent_of(process.pid))}
        return {thread.tid for thread in threads if thread.process in near and self._may_make(thread)}

    def _may_make(self, thread: Thread) -> bool:
        """Whether the thread runs, or is in a system call that makes a task. One that we have stopped has told."""
        if self._loop.acts_for(thread.tid) or thread.listens or thread.awaits_child:
            return False
        call = self._patient.value(partial(_call_of, thread.tid), "running")
        return call == "running" or call in _MAKES


def _call_of(tid: int) -> str:
    """The number of the system call that a thread is in, or "running". Where a thread of its process is in the middle of execve(2) that may
    last as long as the program wants: lock_trace(), fs/proc/base.c, v6.12, takes exec_update_lock.
    """
    with text_file(f"/proc/{tid}/syscall") as file:
        return (file.read().split() or ["running"])[0]


def parent_of(pid: int) -> int:
    """The number of a process's parent; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return int(status_of(pid)["PPid"])
    return 0
