"""Stops the program's first process for a debugger, all threads at once, and lets it go on.

A stop that the debugger hears of is a handler that waits here. Other stops that come while everything is to stand still are kept as they
are. They are dealt with when their thread may go on. A thread that stands still for another handler of ours stays with it: when that lets
go of it, it executes nothing (``ptrace.held``). The device goes on working. So a handler may wait here that acts for the device, not for
its thread, which runs, or has stopped for something else.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from greenlet import getcurrent, greenlet

from pasidlab.live import ptrace
from pasidlab.live.breakpoints import Breakpoints
from pasidlab.live.debugging import Undebugged
from pasidlab.live.inject import Injector
from pasidlab.live.loop import Gate
from pasidlab.live.registers import RIP, Registers
from pasidlab.live.state import Process, Thread

_LOOK = 0.005  # seconds between two looks whether everything stands still
_SI_KERNEL = 0x80  # si_code of int3


@dataclass(frozen=True)
class Stopped:
    """What the debugger is told: a signal's number, and why in words and in the protocol's."""

    tid: int
    signal: int
    why: str = ""
    reason: str = ""  # swbreak, exec:...


@dataclass(frozen=True)
class Continuation:
    """How a thread goes on."""

    step: bool = False
    signal: int = 0


class Debugger(Undebugged):
    """``on_stop`` is called when everything stands still, ``on_end`` when the process is gone, with its wait status."""

    def __init__(self, injector: Injector) -> None:
        self._injector, self._loop = injector, injector.loop
        self.on_stop: Callable[[Stopped], None] = lambda stopped: None
        self.on_end: Callable[[int], None] = lambda status: None
        self.threads: dict[int, Thread] = {}  # of the process
        self.process: Process | None = None
        self.breakpoints = Breakpoints()
        self.last: Stopped | None = None  # why everything stands still; None: it does not yet
        self.connected = self.follows_exec = False
        self.passed: set[int] = set()  # signals that the debugger does not want to hear of
        self.withheld: frozenset[int] = frozenset()  # signals that the program does not get where the debugger says nothing of them
        self._halted = False  # everything is to stand still
        self._turn = 0  # how many times threads were let go
        self._kept: dict[int, tuple[int, int]] = {}  # stops to be dealt with later, by thread
        self._waiting: dict[greenlet, int] = {}  # handlers here, each with the thread that it waits for to be let go
        self._chosen: Callable[[int], Continuation | None] = lambda tid: Continuation()  # how threads last went on
        self._submitting: set[greenlet] = set()  # those of them that are in the middle of an instruction, or of the device's work
        self._due: dict[int, int] = {}  # signals that were told, or are to be, which the program has not got, by thread
        self._owed: set[int] = set()  # threads whose next SIGTRAP, for a breakpoint or a step, is known already
        self._leaving = False
        self._look_again, self._has_left = Gate(self._loop), Gate(self._loop)
        self._loop.on_over = self._over

    # Asked by the tracer

    def keeps(self, thread: Thread, stop: int, event: int) -> bool:
        """See ``Undebugged.keeps``."""
        if not self._stands(thread) or event in (ptrace.EVENT_EXEC, ptrace.EVENT_EXIT):
            return False
        if stop == signal.SIGTRAP and not event and self._is_trap_of_ours(thread, ptrace.signal_code(thread.tid)):
            event = ptrace.EVENT_STOP  # when it goes on it meets the breakpoint again, if that is still there
        elif event == ptrace.EVENT_STOP and self._is_trap_of_ours(thread, ptrace.waiting_code(thread.tid, signal.SIGTRAP)):
            self._owed.add(thread.tid)  # get_signal(), kernel/signal.c, v6.12, stops it for us before it takes the signal
        self._kept[thread.tid] = stop, event
        self._look_again.open()
        return True

    def _over(self, tid: int) -> None:
        """A handler that had let go of a thread before everything else was stopped is over: the thread stops now."""
        if tid in ptrace.held and tid not in self._kept:
            with contextlib.suppress(ptrace.Gone, OSError):
                ptrace.interrupt(tid)

    def _stands(self, thread: Thread) -> bool:
        return thread.process is self.process and thread.tid in ptrace.held

    def _hold_all(self) -> None:
        self._halted = True
        ptrace.held.update(self.threads)

    def born(self, thread: Thread) -> None:
        """See ``Undebugged.born``. Where only some threads go on, a new one is not among them: "only the current
        thread may run" (GDB manual, "All-Stop Mode", ``set scheduler-locking``).
        """
        process = self.process
        self._owed.discard(thread.tid)
        if process is None or thread.process is process:
            self.threads[thread.tid] = thread
            if self._halted or self._chosen(thread.tid) is None:
                ptrace.held.add(thread.tid)
        elif thread.mm is not process.mm:
            self.breakpoints.clean_copy(thread.tid, thread.mm.memory)

    def executed(self, thread: Thread, *, at_exit: bool) -> None:
        """See ``Undebugged.executed``. The first program waits for the debugger."""
        if self.process is not None and thread.process.pid != self.process.pid:
            return
        first, self.process = self.process is None, thread.process
        self.threads = {thread.tid: thread}
        self.breakpoints.forget()
        for of_threads in (self._kept, self._owed, ptrace.held):
            of_threads.clear()
        if self._halted:
            ptrace.held.add(thread.tid)
        if first or self.follows_exec:
            if not at_exit:  # a step would end there
                self._injector.run_to_exit(thread.tid)
            path = os.fsencode(os.readlink(f"/proc/{thread.tid}/exe")).hex()
            self._tell(thread, Stopped(thread.tid, signal.SIGTRAP, reason="" if first else f"exec:{path}"), always=first)

    def is_ours(self, thread: Thread, code: int) -> bool:
        """See ``Undebugged.is_ours``."""
        steps, owed = thread.tid in ptrace.stepping, thread.tid in self._owed
        if thread.process is not self.process or not self._is_trap_of_ours(thread, code):
            return False
        address = self._stands_at(thread)
        if owed:
            return True
        if steps:
            self._tell(thread, Stopped(thread.tid, signal.SIGTRAP))
        else:
            self._tell(thread, Stopped(thread.tid, signal.SIGTRAP, reason="swbreak:"), lambda: address in self.breakpoints)
        return True

    def _is_trap_of_ours(self, thread: Thread, code: int) -> bool:
        """Whether a SIGTRAP was a step's end or a breakpoint; after the latter the thread is put back to its instruction."""
        if code <= 0:
            return False
        if thread.tid in self._owed:
            self._owed.discard(thread.tid)
            return True
        if code == _SI_KERNEL and self._stands_at(thread) - 1 in self.breakpoints:
            registers = Registers()
            ptrace.get_registers(thread.tid, registers)
            registers[RIP] -= 1
            ptrace.set_registers(thread.tid, registers)
            return True
        return thread.tid in ptrace.stepping

    @staticmethod
    def _stands_at(thread: Thread) -> int:
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        return int(registers[RIP])

    def carried_out(self, thread: Thread) -> None:
        """See ``Undebugged.carried_out``."""
        if thread.tid in ptrace.stepping:
            self._tell(thread, Stopped(thread.tid, signal.SIGTRAP))

    def about_to_have(self, thread: Thread, signal: int, why: str = "") -> int:
        """See ``Undebugged.about_to_have``."""
        if thread.process is not self.process or (signal in self.passed and not why):
            return signal
        self._due[thread.tid] = signal
        try:
            action = self._tell(thread, Stopped(thread.tid, signal, why))
        finally:
            self._due.pop(thread.tid, None)
        return action.signal if action else signal

    def rejected(self, thread: Thread, why: str) -> None:
        """See ``Undebugged.rejected``."""
        if thread.process is not self.process or not self.knows(thread.tid):
            return
        stopped = Stopped(thread.tid, signal.SIGTRAP, f"descriptor rejected: {why}")
        if self._loop.is_handler_of(thread.tid):
            self._tell_in_the_middle(thread, stopped)
        elif self._stands(thread):
            self._loop.spawn(self._tell_in_the_middle, thread, stopped)
        else:
            self._tell_soon(thread, stopped)  # the device goes on: the thread may be in write(2), which does not stop before its answer

    def _tell_in_the_middle(self, thread: Thread, stopped: Stopped) -> None:
        with self._in_the_middle():
            self._tell(thread, stopped)

    def until_let_go(self, thread: Thread) -> None:
        """See ``Undebugged.until_let_go``."""
        with self._in_the_middle():
            self._wait_for_turn(thread)

    @contextlib.contextmanager
    def _in_the_middle(self) -> Iterator[None]:
        me = getcurrent()
        self._submitting.add(me)
        try:
            yield
        finally:
            self._submitting.discard(me)

    def holds(self) -> bool:
        """See ``Undebugged.holds``."""
        return self._halted

    def signalled(self) -> None:
        """See ``Undebugged.signalled``: the program has it, if no debugger holds the program."""
        if self._halted and not self.connected:
            self.leave()

    def ended(self, pid: int, status: int) -> None:
        """See ``Undebugged.ended``."""
        for numbers in (ptrace.held, ptrace.stepping):
            numbers.discard(pid)
        if self.process is not None and pid == self.process.pid:
            self.on_end(status)
            self.leave(remove=False)
            self.process = None

    def _tell(
        self, thread: Thread, stopped: Stopped, holds: Callable[[], bool] = lambda: True, *, always: bool = False
    ) -> Continuation | None:
        """In the thread's handler: everything stands still, the debugger hears why, and it says how the thread goes on. None where
        there is no debugger. What is no longer so when a stop that came first is over (not ``holds``) is told to nobody.
        """
        self._wait_for_turn(thread)
        ptrace.stepping.discard(thread.tid)
        if not holds() or not self._tell_soon(thread, stopped, always=always):
            return None
        return self._wait(thread)

    def _tell_soon(self, thread: Thread, stopped: Stopped, *, always: bool = False) -> bool:
        """Whether there is a debugger to tell: then nothing goes on from now on."""
        ptrace.stepping.discard(thread.tid)
        if not (self.connected or always):
            return False
        self._hold_all()
        self._loop.spawn(self._settle, stopped, self._turn)
        return True

    def _wait_for_turn(self, thread: Thread) -> None:
        """While another stop is being told, or others than this thread go on."""
        while self._stands(thread):
            self._wait(thread)

    def _wait(self, thread: Thread) -> Continuation:
        me = getcurrent()
        self._waiting[me] = thread.tid
        self._look_again.open()
        try:
            action: Continuation = self._loop.park()
        finally:
            self._waiting.pop(me, None)
        return action

    def _settle(self, stopped: Stopped, turn: int) -> None:
        """Bring all other threads to a stop, then tell, unless they have been let go meanwhile."""
        self._stand_still(turn)
        if self._turn == turn:
            self.last = stopped
            self.on_stop(stopped)

    def _stand_still(self, turn: int) -> None:
        while self._turn == turn and self._running():
            for tid in self._running():
                with contextlib.suppress(ptrace.Gone, OSError):
                    ptrace.interrupt(tid)
            self._loop.after(_LOOK, self._look_again.open)
            self._look_again.wait()

    def _running(self) -> list[int]:
        self.threads = {tid: thread for tid, thread in self.threads.items() if self.process and tid in self.process.threads}
        return [tid for tid in self.threads if tid not in self._kept and not self._loop.holds(tid)]

    # Asked by the debugger

    def come(self) -> None:
        """A debugger is there. Where another has just left, this returns once the program goes on without it."""
        while self._leaving:
            self._has_left.wait()
        self.connected, self.withheld = True, frozenset()

    def halt(self, number: int = signal.SIGINT) -> None:
        """Everything is to stand still; ``on_stop`` comes with signal ``number``."""
        while self._leaving:
            self._has_left.wait()
        if self.process is None or not self.threads:
            return
        if self._halted:
            return
        self._hold_all()
        self._loop.spawn(self._settle, Stopped(min(self.threads), number), self._turn)

    @property
    def halted(self) -> bool:
        """Whether nothing runs."""
        return self._halted

    def knows(self, tid: int) -> bool:
        """Whether a thread of the process has this number."""
        return tid in self.threads and self.process is not None and tid in self.process.threads

    def may_set_registers(self, tid: int) -> bool:
        """Whether no handler of ours has the thread's registers, to set them when it goes on."""
        return tid in self._kept or any(whose == tid and handler not in self._submitting for handler, whose in self._waiting.items())

    def go_on(self, actions: Callable[[int], Continuation | None]) -> None:
        """``actions`` says of each thread how it goes on, also of those that begin before the next stop; None: not at all."""
        if not self._leaving:
            self._continue(actions)

    def _continue(self, actions: Callable[[int], Continuation | None]) -> None:
        self._chosen, self._turn = actions, self._turn + 1
        found = {tid: actions(tid) for tid in self.threads}
        self._halted, self.last = False, None
        ptrace.held.clear()
        ptrace.held.update(tid for tid, action in found.items() if action is None)
        for tid, action in found.items():
            if action is None:
                continue
            (ptrace.stepping.add if action.step else ptrace.stepping.discard)(tid)
            if tid in self._kept:
                self._loop.put_back(tid, *self._kept.pop(tid))
        for handler, tid in tuple(self._waiting.items()):
            if tid not in ptrace.held:
                del self._waiting[handler]
                self._loop.resume(handler, found.get(tid) or Continuation())

    def leave(self, *, remove: bool = True) -> None:
        """No debugger any more: the program goes on by itself, with its own bytes, and has the signals that were told: PTRACE_DETACH
        delivers them (ptrace(2)), but for those ``withheld``.
        """
        self.connected = self.follows_exec = False
        self.passed.clear()
        if not remove or not self.threads:
            self._let_go()
        elif not self._leaving:
            self._leaving = True
            self._hold_all()
            self._loop.spawn(self._leave_still)

    def _leave_still(self) -> None:
        """A thread that has just met a breakpoint is put back to its instruction before that is the program's own again."""
        try:
            self._stand_still(self._turn)
            for tid in sorted(self.threads)[:1]:
                with contextlib.suppress(ptrace.Gone):
                    self.breakpoints.remove_all(tid, self.threads[tid].mm.memory)
            self._let_go()
        finally:
            self._leaving = False
            self._has_left.open()

    def _let_go(self) -> None:
        passed = {tid: number for tid, number in self._due.items() if number not in self.withheld}
        self._continue(lambda tid: Continuation(signal=passed.get(tid, 0)))
        ptrace.stepping.clear()
