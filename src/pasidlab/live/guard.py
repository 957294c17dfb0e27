"""Signals that reach pasidlab itself, and what is done if it can no longer answer them."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NoReturn, Protocol

from pasidlab.live import workers
from pasidlab.live.descriptors import limit_told, pidfd_of, restore_limit
from pasidlab.live.jobcontrol import STOPS, JobControl
from pasidlab.live.left import Left
from pasidlab.live.loop import EventLoop, Timer

PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTSTP, signal.SIGCONT)
_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
SIGNALS = (*PASSED_ON, *_KEYBOARD, signal.SIGTTIN, signal.SIGTTOU)
ENDING = (signal.SIGTERM, signal.SIGHUP, *_KEYBOARD)
_TOGETHER = 0.01  # seconds in which the first process has taken what was sent to both
_SAME = 0.25  # seconds between the two at most, on a busy machine
_GRACE = 1.0  # seconds that what is left has for ending by itself
_LOOK = 0.4  # seconds between two looks of the watchdog; a signal that two of them find is not being answered, if the loop stands still
_MOST_LOOKS = 5  # or so many, if it does not: two seconds


@dataclass(frozen=True)
class Before:
    """What the program is to find as if pasidlab had not been there: blocked signals, the limit on descriptors, and whether
    SIGCHLD is ignored.
    """

    mask: frozenset[int]
    descriptors: tuple[int, int]
    ignores_children: bool = False

    def restore(self) -> None:
        """In the child, before exec."""
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # one that is pending is the program's, not Python's
        if self.ignores_children:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_NOFILE, self.descriptors)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)

    @contextlib.contextmanager
    def answered(self) -> Iterator[None]:
        """While files of the user are read, which may last: signals end pasidlab as they would without ``blocked_signals``."""
        ours = signal.pthread_sigmask(signal.SIG_SETMASK, self.mask)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ours)


    def take_ending(self) -> int:
        """A signal that has come and is to end pasidlab, which ``end`` brings about; 0 if there is none."""
        waiting = {number for number in signal.sigpending() if _ends(number)} - self.mask
        found = signal.sigtimedwait(waiting, 0) if waiting else None
        return found.si_signo if found else 0

    def end(self, number: int) -> NoReturn:
        """The signal does what it would have done without ``blocked_signals``."""
        signal.raise_signal(number)
        with self.answered():
            pass
        os._exit(128 + number)


@contextlib.contextmanager
def blocked_signals() -> Iterator[Before]:
    """From here on the loop takes the signals, one by one; threads that are made now must not. And as many descriptors as
    the host allows are ours.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGURG, *SIGNALS})
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    handler = signal.getsignal(signal.SIGCHLD)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it was ignored, no stop would be told
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors[1], descriptors[1]))
    try:
        yield Before(frozenset(mask), descriptors, handler == signal.SIG_IGN)
    finally:
        restore_limit(descriptors)
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGCHLD, handler)
        while signal.sigtimedwait({signal.SIGCHLD, signal.SIGURG, *SIGNALS}, 0):
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Heard:
    """Signals that the first process had from others a moment ago. What is sent to all of a process group reaches pasidlab too."""

    def __init__(self) -> None:
        self._moments: dict[int, float] = {}

    def note(self, number: int, info: bytes) -> None:
        """It has stopped for this one of ``PASSED_ON``, with its siginfo."""
        if int.from_bytes(info[16:20], "little") != os.getpid():
            self._moments[number] = time.monotonic()

    def takes(self, number: int) -> bool:
        """Whether one that pasidlab has now is one of these; it is then none any more."""
        return time.monotonic() - self._moments.pop(number, 0.0) < _SAME


class Traced(Protocol):
    """The program, as the tracer knows it."""

    heard: Heard
    left: Left
    jobs: JobControl
    status: int  # the wait status of its first process, negative while that lives

    def signalled(self) -> None:
        """A signal is on its way to the first process, or is there already."""

    def insist(self, number: int) -> None:
        """The signal was sent a while ago: what must have died of it dies now."""


def pass_on_early(child: int) -> None:
    """Keyboard signals that came before the child was there to hear them reach it now. One that it has heard stays one."""
    for number in signal.sigpending() & set(_KEYBOARD):
        os.kill(child, number)


def _ends(number: int) -> bool:
    """Whether this signal ends what it reaches. Those that were ignored before, under nohup(1), say, are the program's alone."""
    return number in ENDING and signal.getsignal(number) != signal.SIG_IGN


class Overseer:
    """Passes signals on: to the program while it lives, then to what is left of it.

    Keyboard signals reach the program by themselves, unless it has left the process group of the run. A pidfd stands for its
    first process, whose number may be another program's as soon as it is gone.
    """

    def __init__(self, loop: EventLoop, traced: Traced, leader: int) -> None:
        self._loop, self._traced = loop, traced
        self._leader, self._pidfd = leader, pidfd_of(leader)
        with limit_told():
            self._ended = select.epoll()
        self._ended.register(self._pidfd, select.EPOLLIN)
        self._passing: dict[int, Timer] = {}  # SIGTSTP or SIGCONT, to be passed on in a moment
        loop.on_signal = self._on_signal

    def close(self) -> None:
        """The program is gone."""
        self._ended.close()
        os.close(self._pidfd)

    def _on_signal(self, number: int) -> None:
        if _ends(number):
            self._traced.left.signalled()
        if number in (*STOPS, signal.SIGCONT):
            self._on_job_signal(number)
        elif not self._is_gone():
            if number in PASSED_ON or self._is_apart():
                self._loop.after(_TOGETHER, partial(self._pass_on, number))
            self._traced.signalled()
            self._loop.after(_GRACE, partial(self._traced.insist, number))
        else:
            self._traced.left.send(number)
            if _ends(number):
                self._loop.after(_GRACE, self._traced.left.kill)

    def _on_job_signal(self, number: int) -> None:
        """SIGTSTP and SIGCONT that wait take each other away (prepare_signal(), kernel/signal.c), so also while they wait here."""
        self._traced.jobs.told(number)
        for waiting in [one for one in self._passing if one != number]:
            self._passing.pop(waiting).cancel()
        if number not in PASSED_ON or number in self._passing:
            return
        if self._is_gone():
            self._traced.left.send(number)
        else:
            self._passing[number] = self._loop.after(_TOGETHER, partial(self._pass_on_in_turn, number))

    def _pass_on_in_turn(self, number: int) -> None:
        del self._passing[number]
        if not signal.sigpending() & {*STOPS, signal.SIGCONT}:
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        if not self._traced.heard.takes(number):
            with contextlib.suppress(ProcessLookupError):
                if number == signal.SIGCONT and self._is_apart():
                    os.killpg(os.getpgid(self._leader), number)  # as the shell does that knows our group alone
                else:
                    signal.pidfd_send_signal(self._pidfd, number)

    def _is_gone(self) -> bool:
        """Whether the first process has ended, which its wait status tells a little later (pidfd_open(2)).

        waitid(2) does not tell as early, and poll(2) nothing at all below a limit on descriptors.
        """
        return self._traced.status >= 0 or bool(self._ended.poll(0))

    def _is_apart(self) -> bool:
        try:
            return os.getpgid(self._leader) != os.getpgrp()
        except ProcessLookupError:
            return False


@contextlib.contextmanager
def watchdog(loop: EventLoop) -> Iterator[None]:
    """Under it signals that nobody takes end the run: a system call of ours hangs, on a network file system, say."""
    dog = _Watchdog(loop)
    try:
        yield
    finally:
        dog.over.set()


class _Watchdog:
    """A thread that looks for pending signals. When it ends pasidlab, the program dies too."""

    def __init__(self, loop: EventLoop) -> None:
        self.over = threading.Event()
        self._loop = loop
        workers.start_thread(self._watch, "watchdog", loop.post)

    def _watch(self) -> None:
        looks: dict[int, int] = {}  # how many found it pending, by signal
        steps = self._loop.steps
        while not self.over.wait(_LOOK):
            looks = {number: looks.get(number, 0) + 1 for number in map(int, signal.sigpending()) if _ends(number)}
            stands = steps == self._loop.steps
            steps = self._loop.steps
            most = 1 if stands else _MOST_LOOKS - 1
            stuck = [number for number, count in looks.items() if count > most and (stands or not self._loop.over)]
            if stuck and not self.over.is_set():
                number = min(stuck)
                name = signal.Signals(number).name
                with contextlib.suppress(OSError):
                    os.write(2, f"pasidlab run: {name}: ended while a system call of its own lasted\n".encode())
                os._exit(128 + number)
