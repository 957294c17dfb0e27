"""The one thread that acts: it waits for the program's threads, and hands each stop to a handler.

A handler that has to wait gives way (a greenlet), and everything else goes on. It may wait for the next stop of its thread, for another
handler, or for memory that the program serves itself. So nobody ever waits for the program with anything held. Other threads of pasidlab
only ``post`` what is to be done.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from greenlet import getcurrent, greenlet

from pasidlab.live import ptrace
from pasidlab.live.descriptors import names_in, text_file
from pasidlab.live.libc import WALL

_WAKE = signal.SIGURG  # ignored by default, so that one too many does no harm
_BATCH = 64  # wait statuses dealt with before everything else gets its turn
_POSTS = 8  # of what is posted: each may have to wait for another thread of ours to give up the interpreter (5 ms)
_LOOK = 0.05  # seconds after which signals are asked for however busy the program is
_LEAKY = 0.01  # seconds between two looks where another thread may swallow SIGCHLD

OnStatus = Callable[[int, int], None]
"""What is done about the wait status of a thread: (its id, the status)."""


class Timer:
    """A function to be called later, unless it is cancelled."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.cancelled = False

    def cancel(self) -> None:
        """The call is not to be made any more."""
        self.cancelled = True


class EventLoop:
    """Runs handlers, one at a time, in the thread that calls ``run``."""

    def __init__(self, signals: Iterable[int] = ()) -> None:
        self.on_signal: Callable[[int], None] = lambda number: None
        self.on_stop: Callable[[int], None] = lambda tid: None  # called before a stop that was waited for is acted upon
        self.on_over: Callable[[int], None] | None = None  # called when no handler acts for a thread any more
        self._answered = frozenset(signals)
        self._awaited = {signal.SIGCHLD, _WAKE, *self._answered}
        self._hub = getcurrent()
        self._thread = threading.get_ident()
        self._idle: list[greenlet] = []
        self._ready: deque[tuple[greenlet, Any]] = deque()
        self._waiting: dict[int, greenlet] = {}  # by the thread whose next stop is awaited
        self._parked: dict[int, greenlet] = {}  # by the thread whose handler waits for something else
        self._acting: dict[int, list[greenlet]] = {}  # handlers of stops that are not done yet, by the thread that stopped
        self._orphaned: set[greenlet] = set()  # those of them whose thread is gone: they hear it when their turn comes
        self._inbox: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._statuses: deque[tuple[int, int]] = deque()  # (thread, wait status), taken over and not dealt with yet
        self._deaths: deque[tuple[int, int]] = deque()  # the same of those that are gone, whose numbers others may have by now
        self._longest: float | None = None
        self._childless = False
        self._looked = 0.0  # when signals were last asked for
        self.steps = 0  # what has been dealt with so far: a loop that is busy is not one that hangs
        self.over = False  # the program is gone: what is left to be done is not given up for a signal

    # For the thread that runs it

    def run(self, handle: OnStatus, alive: Callable[[], bool]) -> None:
        """Until ``alive`` says no: every wait status goes to ``handle``, or to the handler that waits for it.

        The signals must be blocked in this thread.
        """
        self._hub, self._thread = getcurrent(), threading.get_ident()
        self._longest = None if _blocked_everywhere(signal.SIGCHLD) else _LEAKY
        while alive() and (self._statuses or not self._childless):
            for _ in range(len(self._ready)):
                self._go_on(*self._ready.popleft())
            for _ in range(min(_POSTS, len(self._inbox))):
                self._start(self._inbox.popleft())
            if self._timers:
                self._run_timers()
            if not self._collect(handle) and not self._ready and not self._inbox:
                self._sleep(self._longest)
            if time.monotonic() > self._looked + _LOOK:
                self._look()
        for handler in tuple(self._orphaned):  # its turn will never come
            handler.throw(ptrace.Gone("while its handler waited"))

    def _collect(self, handle: OnStatus) -> bool:
        """Deal with the wait statuses that are there, ``_BATCH`` at most; whether there were any.

        All are asked for before the first is dealt with: wait(2) prefers the oldest threads, and those that stop again
        and again would keep it from the others for ever. The dead come first: nothing may be done to their numbers.
        """
        if not self._statuses:
            self._ask()
        died = bool(self._deaths)
        while self._deaths:
            self._begin(handle, *self._deaths.popleft())
        for count in range(_BATCH):
            if not self._statuses:
                return died or count > 0
            tid, status = self._statuses.popleft()
            self._begin(handle, tid, status)
        return True

    def _begin(self, handle: OnStatus, tid: int, status: int) -> None:
        """Hand a wait status to whoever waits for it, or to a handler of its own."""
        if status & 0xFF != 0x7F or status >> 16 in (ptrace.EVENT_EXEC, ptrace.EVENT_EXIT):
            self._gone(tid)  # exec: the leader died untold, the thread that called it has its number now
        elif tid in self._waiting:
            self.steps += 1
            self._waiting.pop(tid).switch((status >> 8 & 0xFF, status >> 16))
            return
        self._start(self._act, handle, tid, status)

    def _ask(self) -> None:
        """Take over the wait statuses of all threads that have one. The dead stop no more."""
        stopped: set[int] = set()
        while True:
            try:
                tid, status = os.waitpid(-1, WALL | os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if not tid:
                return
            if status & 0xFF == 0x7F:
                self._statuses.append((tid, status))
                stopped.add(tid)
                continue
            self._deaths.append((tid, status))
            if tid in stopped:
                self._statuses = deque(one for one in self._statuses if one[0] != tid)

    def _act(self, handle: OnStatus, tid: int, status: int) -> None:
        """Handle a wait status; until that is done the handler belongs to the thread."""
        me = getcurrent()
        self._acting.setdefault(tid, []).append(me)
        try:
            handle(tid, status)
        finally:
            self._orphaned.discard(me)
            mine = self._acting.get(tid, [])
            if me in mine:
                mine.remove(me)
            if not mine:
                self._acting.pop(tid, None)
                if self.on_over:
                    self.on_over(tid)

    def _gone(self, tid: int) -> None:
        """Whatever acts for this thread ends with Gone: at once where it waits for the thread, else at its next turn."""
        self._orphaned.update(self._acting.pop(tid, ()))
        for waiting in (self._parked, self._waiting):
            handler = waiting.pop(tid, None)
            if handler is not None:
                handler.throw(ptrace.Gone(tid))

    def _go_on(self, handler: greenlet, value: Any) -> None:
        self.steps += 1
        if handler in self._orphaned:
            handler.throw(ptrace.Gone("while its handler waited"))
        else:
            handler.switch(value)

    def _sleep(self, timeout: float | None) -> None:
        """Until a signal or the next timer, and no longer than ``timeout`` seconds."""
        if self._timers:
            left = max(0.0, self._timers[0][0] - time.monotonic())
            timeout = left if timeout is None else min(left, timeout)
        if timeout is None:
            number = signal.sigwaitinfo(self._awaited).si_signo  # sigwait() makes an enumeration of it, which takes longer
        else:
            info = signal.sigtimedwait(self._awaited, timeout)
            number = info.si_signo if info else signal.SIGCHLD
        if number in self._answered:
            self._start(self.on_signal, number)

    def _look(self) -> None:
        """Answer the signals that are there.

        SIGCHLD and ``_WAKE`` are not asked for: a busy program has them come all the time. sigtimedwait(2) takes signals for this thread
        alone first, then the lowest number (dequeue_signal(), kernel/signal.c, v6.12). So the others would wait for ever.
        """
        for _ in self._answered:  # a flood of them leaves everything else its turn
            info = signal.sigtimedwait(self._answered, 0)
            if not info:
                break
            self._start(self.on_signal, info.si_signo)
        self._looked = time.monotonic()

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                self._start(timer.function)

    def _start(self, function: Callable[..., None], *arguments: Any) -> None:
        self.steps += 1
        worker = self._idle.pop() if self._idle else greenlet(self._work, self._hub)
        worker.switch((function, arguments))

    def _work(self, job: tuple[Callable[..., None], tuple[Any, ...]]) -> None:
        while True:
            function, arguments = job
            try:  # noqa: SIM105  contextlib.suppress() takes longer
                function(*arguments)
            except ptrace.Gone:
                pass  # its death is told by a wait status of its own
            self._idle.append(getcurrent())
            job = self._hub.switch()

    def dealt_with(self) -> None:
        """Something has been dealt with outside ``run``."""
        self.steps += 1

    # For handlers

    def wait(self, tid: int) -> tuple[int, int]:
        """(stop signal, event) of this thread's next stop. Raises Gone if it dies instead."""
        self._waiting[tid] = getcurrent()
        stop: tuple[int, int] = self._hub.switch()
        self.on_stop(tid)
        return stop

    def holds(self, tid: int) -> bool:
        """Whether this thread stands still, for a handler that has not let it go."""
        return tid in self._acting and tid not in self._waiting

    def has_news(self, tid: int) -> bool:
        """Whether this thread has stopped, or died, and nothing has been done about it."""
        if any(tid == one for one, _ in self._statuses):
            return True
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, tid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT | WALL) is not None
        return True

    def give_up(self, tid: int) -> None:
        """What is done for this thread, which stands still, ends with Gone."""
        self._gone(tid)

    def acts_for(self, tid: int) -> bool:
        """Whether a handler of a stop of this thread is not done yet."""
        return tid in self._acting

    def is_handler_of(self, tid: int) -> bool:
        """Whether what runs now handles a stop of this thread."""
        return getcurrent() in self._acting.get(tid, ())

    def put_back(self, tid: int, stop: int, event: int) -> None:
        """This stop is to be handled as if nobody had waited for it."""
        self._statuses.appendleft((tid, event << 16 | stop << 8 | 0x7F))

    def park(self, tid: int = 0) -> Any:
        """Wait until ``resume``; what was given there. Raises Gone if thread ``tid`` dies first."""
        if tid:
            self._parked[tid] = getcurrent()
        return self._hub.switch()

    def resume(self, handler: greenlet, value: Any = None, tid: int = 0) -> None:
        """Let a parked handler go on, soon."""
        if tid:
            self._parked.pop(tid, None)
        self._ready.append((handler, value))

    def breathe(self) -> None:
        """Let everything else have its turn."""
        self.resume(getcurrent())
        self._hub.switch()

    def spawn(self, function: Callable[..., None], *arguments: Any) -> None:
        """A handler more, soon."""
        worker = self._idle.pop() if self._idle else greenlet(self._work, self._hub)
        self._ready.append((worker, (function, arguments)))

    def after(self, seconds: float, function: Callable[[], None]) -> Timer:
        """Call ``function`` in a handler of its own, that much later."""
        timer = Timer(function)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    # For other threads

    def post(self, function: Callable[[], None]) -> None:
        """Call ``function`` in a handler of its own, soon."""
        self._inbox.append(function)
        if threading.get_ident() != self._thread:
            signal.pthread_kill(self._thread, _WAKE)


class Gate:
    """Handlers wait in front of it until it opens."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._waiting: list[greenlet] = []

    def wait(self) -> None:
        """Until the next ``open``."""
        self._waiting.append(getcurrent())
        self._loop.park()

    def open(self) -> None:
        """All who wait go on."""
        waiting, self._waiting = self._waiting, []
        for handler in waiting:
            self._loop.resume(handler)


class Mutex:
    """Held by one handler at a time, which may take it again."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._holder: greenlet | None = None
        self._depth = 0
        self._waiting: deque[greenlet] = deque()

    def __enter__(self) -> None:
        me = getcurrent()
        while self._holder not in (None, me):
            self._waiting.append(me)
            try:
                self._loop.park()
            except ptrace.Gone:
                self._pass_on()
                raise
        self._holder = me
        self._depth += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if not self._depth:
            self._holder = None
            self._pass_on()

    def _pass_on(self) -> None:
        if self._holder is None and self._waiting:
            self._loop.resume(self._waiting.popleft())


def _blocked_everywhere(number: int) -> bool:
    """Whether no thread of ours would take this signal behind our back."""
    for tid in names_in("/proc/self/task"):
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError),  # it has ended meanwhile
            text_file(f"/proc/self/task/{tid}/status") as file,
        ):
            blocked = next(line for line in file if line.startswith("SigBlk"))
            if not int(blocked.split()[1], 16) >> (number - 1) & 1:
                return False
    return True
