"""Processes that are left when the first is gone, and those that do not end when killed.

SIGKILL ends neither what the freezer of cgroup version 1 holds, nor what sleeps in state D (proc(5)). A signal that is to end the
run ends it although they are left. PTRACE_O_EXITKILL sees to it that they die when they go on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping

from pasidlab.live.loop import EventLoop
from pasidlab.live.outputs import tell
from pasidlab.live.state import Thread

_PROMISED = 1.9  # seconds after the signal, at which the run ends
_LEAST = 0.4  # seconds that a process has for ending


class Left:
    """Sends them signals, and says when they are not waited for. ``threads`` and ``unborn`` are not known to have ended."""

    def __init__(self, loop: EventLoop, threads: Mapping[int, Thread], unborn: Iterable[int]) -> None:
        self._loop, self._threads, self._unborn = loop, threads, unborn
        self._until: float | None = None  # when the run is to end at the latest; None: no signal has come
        self.given_up = False

    def signalled(self) -> None:
        """A signal has come that is to end the run."""
        if self._until is None:
            self._until = time.monotonic() + _PROMISED

    def send(self, number: int) -> None:
        """A signal for each of them."""
        for pid in self._living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL for each of them."""
        self.send(signal.SIGKILL)
        self._loop.after(_LEAST, self._look)

    def _living(self) -> set[int]:
        return {thread.process.pid for thread in self._threads.values()} | {*self._unborn}

    def _look(self) -> None:
        if self._until is None or self.given_up:
            return
        more = self._until - time.monotonic()
        if more > 0:
            self._loop.after(more, self._look)
            return
        self.given_up = True
        self._loop.post(lambda: None)  # it looks whether it is done before it sleeps
        numbers = ", ".join(map(str, sorted(self._living())))
        tell(f"pasidlab run: killed and still there, frozen or held in the kernel: process {numbers}; it is left to the kernel")
