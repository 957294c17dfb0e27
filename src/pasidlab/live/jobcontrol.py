"""Ctrl-Z and fg: pasidlab stops itself once the program has stopped, for the shell waits for pasidlab.

The terminal's signals reach the program by themselves, and stop it or not. SIGSTOP that a process is sent by its number is another matter:
who sends it continues the process by its number as well. pasidlab has to be there then, for it is the tracer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from operator import or_

from pasidlab.live import ptrace
from pasidlab.live.debugging import Undebugged
from pasidlab.live.descriptors import open_file
from pasidlab.live.loop import EventLoop
from pasidlab.live.state import Process, Thread

STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_SETTLED = 0.02  # seconds in which SIGCONT that is sent to all of a process group reaches all
_MOMENT = 0.005  # seconds in which a thread that leaves a stop shows that
_RECENT = 1.0  # seconds between the signal for pasidlab and the program's stop at most


class JobControl:
    """Follows the program's first process into a stop, or all that is left when that is gone."""

    def __init__(self, loop: EventLoop, processes: Mapping[int, Process], threads: Mapping[int, Thread], debugger: Undebugged) -> None:
        self._loop, self._processes, self._threads, self._debugger = loop, processes, threads, debugger
        self.leader = 0  # the first process's number
        self._due: set[int] = set()  # signals that the terminal or the first process itself has sent to that
        self._told: dict[int, float] = {}  # when pasidlab had them

    def had(self, number: int, info: bytes) -> None:
        """The first process is about to have a signal, with its siginfo."""
        itself = int.from_bytes(info[16:20], "little") == self.leader
        by_terminal = number in STOPS and ptrace.code_of(info) == ptrace.SI_KERNEL
        suspends = number == signal.SIGSTOP and itself and self._has_terminal_alone()  # a shell does
        self._due.discard(number)
        if by_terminal or (number in STOPS and itself) or suspends:
            self._due.add(number)

    def told(self, number: int) -> None:
        """pasidlab itself had one of ``STOPS``, or SIGCONT."""
        self._told.clear()
        if number == signal.SIGCONT:
            self._due.clear()
        else:
            self._told[number] = time.monotonic()
            self._loop.after(_SETTLED, partial(self._look, number))

    def stopped(self, process: Process, number: int) -> None:
        """A thread of the process is in a stop of its group, for this signal."""
        if process.pid == self.leader or self.leader not in self._processes:
            self._loop.after(_SETTLED, partial(self._look, number))

    def _look(self, number: int) -> None:
        recent = time.monotonic() - self._told.get(number, -_RECENT) < _RECENT
        if (recent and self._debugger.holds()) or ((recent or number in self._due) and self._stands()):
            self._stop(number if number in STOPS else signal.SIGTSTP)

    def _stands(self) -> bool:
        """Whether what is followed is stopped, or waits for the exec of a child that is."""
        leader = self._processes.get(self.leader)
        followed = [[self._threads[tid] for tid in process.threads] for process in ([leader] if leader else self._processes.values())]
        stopped = [any(thread.listens for thread in threads) for threads in followed]
        waiting = [not leader and any(thread.awaits_child for thread in threads) for threads in followed]
        return any(stopped) and all(map(or_, stopped, waiting)) and not any(map(self._goes_on, chain(*followed)))

    def _goes_on(self, thread: Thread) -> bool:
        """Whether a thread that was stopped is not any more: what it has come to has not been dealt with."""
        return thread.listens and self._loop.has_news(thread.tid)

    def _stop(self, number: int) -> None:
        """Until SIGCONT. One that comes before we are stopped takes the signal away.

        The signal takes away a SIGCONT that waits (prepare_signal(), kernel/signal.c, v6.12), so that is looked for first. One that comes
        in between continues the program a moment later.
        """
        if signal.getsignal(number) == signal.SIG_IGN or signal.SIGCONT in signal.sigpending():
            return
        signal.raise_signal(number)  # it is blocked
        time.sleep(_MOMENT)
        if signal.SIGCONT in signal.sigpending() or not (self._debugger.holds() or self._stands()):
            while signal.sigtimedwait({number}, 0):
                pass
            return
        self._due.clear()
        self._told.clear()
        with self._same_foreground():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})  # here we are stopped
            signal.pthread_sigmask(signal.SIG_BLOCK, {number})

    @contextlib.contextmanager
    def _same_foreground(self) -> Iterator[None]:
        """Where the terminal was the program's, which is in a process group of its own, it is so again when a shell has given it to us."""
        had = self._has_terminal_alone()
        yield
        with _terminal() as terminal, contextlib.suppress(OSError):
            if had and os.tcgetpgrp(terminal) == os.getpgrp():
                os.tcsetpgrp(terminal, os.getpgid(self.leader))

    def _has_terminal_alone(self) -> bool:
        """Whether the program is in the terminal's foreground, and we are not."""
        with _terminal() as terminal, contextlib.suppress(OSError):
            return os.getpgrp() != os.getpgid(self.leader) == os.tcgetpgrp(terminal)
        return False


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """A descriptor of our controlling terminal; -1 if there is none."""
    try:
        terminal = open_file("/dev/tty", os.O_RDWR)
    except OSError:
        terminal = -1
    try:
        yield terminal
    finally:
        if terminal >= 0:
            os.close(terminal)
