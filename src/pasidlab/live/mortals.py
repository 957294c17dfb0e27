"""Processes that must die of a signal that they have. Outside of tracing the kernel sees to that, wherever their threads wait."""

from __future__ import annotations

import contextlib
import os
import signal
from functools import partial

from pasidlab.live import ptrace
from pasidlab.live.ending import must_die_of
from pasidlab.live.guard import ENDING
from pasidlab.live.loop import EventLoop
from pasidlab.live.state import Process, Thread

_MOMENT = 0.5  # seconds
_ENDING = (*ENDING, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)


class Mortals:
    """Sees to it for the processes of ``threads``."""

    def __init__(self, loop: EventLoop, threads: dict[int, Thread]) -> None:
        self._loop, self._threads = loop, threads

    def must_die(self, process: Process, number: int, *, told: bool = False) -> bool:
        """Whether it must die of this signal, which waits for it, or which a debugger was ``told`` of. What is stopped need not."""
        threads = [self._threads[tid] for tid in process.threads]
        stopped = any(thread.listens for thread in threads)
        return not stopped and any(must_die_of(number, thread.tid, thread.blocks, told=told) for thread in threads)

    def insist(self, process: Process, number: int) -> None:
        """If it must, what pasidlab does for its threads is given up, so that they take the signal. Who still waits is killed."""
        if not self.must_die(process, number):
            return
        for tid in [tid for tid in process.threads if self._loop.holds(tid)]:
            self._loop.give_up(tid)
            with contextlib.suppress(ptrace.Gone):
                ptrace.resume(tid)
        self._loop.after(_MOMENT, partial(self._end, process, number))

    def look(self) -> None:
        """The same for what a process has heard from another of the program, while pasidlab holds a thread of it for long."""
        for process in {thread.process for thread in self._threads.values() if self._loop.holds(thread.tid)}:
            for number in _ENDING:
                self.insist(process, number)

    def _end(self, process: Process, number: int) -> None:
        if process.threads and self.must_die(process, number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
