"""Hands a signal to its handler by another number, while other threads have the kernel reset what is set for its own.

A thread that blocks SIGSEGV, say, and submits has the handler reset to SIG_DFL until that is undone (``signals``). Another that is
sent SIGSEGV, and is just about to take it, would die. So the handler is set for a real-time signal, for this one moment; the kernel makes
the frame for that signal; and the number is put right before the handler's first instruction. No other thread is stopped for it: some
calls of theirs would fail with EINTR (signal(7), "Interruption of system calls by stop signals").

A real-time signal that nobody uses is preferred. Where the program uses all, one is borrowed. Who is about to take that one, or to say
what is to become of it, waits for the moment to pass; and none is borrowed that a thread may still be about to take.
"""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable
from enum import Enum, auto

from pasidlab.live import ptrace
from pasidlab.live.inject import Injector
from pasidlab.live.loop import EventLoop, Gate
from pasidlab.live.markers import is_the_same
from pasidlab.live.registers import RDI, RDX, RSI, Registers
from pasidlab.live.state import SignalState, Thread, TrapFrame
from pasidlab.live.status import signals_of, status_of

LENT = range(signal.SIGRTMAX, signal.SIGRTMIN, -1)  # those of which ``seccomp`` tells that a handler is set
"""The real-time signals but those that the C library uses and the first after them. The last ones come first: programs use the others."""
_SA_SIGINFO, _SA_NODEFER = 4, 0x40000000
_SI_USER = 0  # asm-generic/siginfo.h
# err, trapno, cr2 and the mask in struct ucontext (asm-generic/ucontext.h, asm/sigcontext.h)
_UC_ERROR, _UC_CR2, _UC_SIGMASK = 192, 216, 296
_ALL, _NEVER = (1 << 64) - 1, 1 << signal.SIGKILL - 1 | 1 << signal.SIGSTOP - 1

ExchangeAction = Callable[[Thread, int, bytes], bytes | None]
"""rt_sigaction in the thread's name: the action before; None if it could not be injected."""


class HandedOver(Enum):
    """What came of it."""

    NOT_BEGUN = auto()  # no call can be injected, or no number is left: the thread stands still
    IN_HANDLER = auto()
    NO_ROOM = auto()  # for the frame: the thread is at the stop of the kernel's own SIGSEGV


class StandIn:
    """Every public method is part of a handler of the loop."""

    def __init__(self, loop: EventLoop, exchange: ExchangeAction) -> None:
        self.loop, self._exchange, self._over = loop, exchange, Gate(loop)

    def deliver(self, thread: Thread, number: int, info: bytes, action: bytes) -> HandedOver:
        """At the stop of signal ``number``, whose handler is ``action``'s: the thread comes to the handler's first instruction."""
        state = thread.process.signals
        other, blocked = self._choose(thread)
        if not other:
            return HandedOver.NOT_BEGUN
        state.stand_ins.add(other)
        try:
            saved = ptrace.signal_mask(thread.tid)  # what sigsuspend(2) and the like put back, where the thread is in one
            before = self._exchange(thread, other, action)
            if before is None:
                return HandedOver.NOT_BEGUN
            state.lent[other] = before
            self._to_stop_of(thread, other, saved)
            ptrace.set_signal_info(thread.tid, other.to_bytes(4, "little") + info[4:])
            ptrace.step(thread.tid, other)
            stop, event = self.loop.wait(thread.tid)
            begun = stop == signal.SIGTRAP and not event
            self._exchange(thread, other, before)
            if not begun:
                ptrace.set_signal_mask(thread.tid, saved & ~(1 << signal.SIGSEGV - 1))
                return HandedOver.NO_ROOM
            self._put_right(thread, number, action, saved)
            ptrace.set_signal_mask(thread.tid, _mask_inside(number, action, blocked))
            return HandedOver.IN_HANDLER
        finally:
            state.stand_ins.discard(other)
            self._over.open()

    def wait_for(self, thread: Thread, number: int) -> None:
        """Before the thread takes this signal, or sets what becomes of it: it does so at once, and when nobody has it."""
        state = thread.process.signals
        while number in state.stand_ins:
            self._over.wait()
        if number in LENT and state.armed:
            state.taking[thread.tid] = number

    def give_back(self, thread: Thread) -> None:
        """A forked child has what was set for a moment when it was made: the program's own is set anew."""
        state = thread.process.signals
        for number, before in tuple(state.lent.items()):
            if number not in state.stand_ins:
                found = self._exchange(thread, number, before) or before
                if found != before and not any(is_the_same(found, action) for action in state.actions.values()):
                    self._exchange(thread, number, found)  # it was the program's

    def _choose(self, thread: Thread) -> tuple[int, int]:
        """A number, 0 if there is none, and the signals that the thread blocks."""
        state = thread.process.signals
        while True:
            try:
                fields = status_of(thread.tid)
            except OSError:
                raise ptrace.Gone(thread.tid) from None
            sets = {name: signals_of(fields, name) for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt")}
            unused = sets["SigPnd"] | sets["ShdPnd"] | sets["SigBlk"] | sets["SigIgn"] | sets["SigCgt"]
            other = _first(unused, state)
            if not other and not thread.mm.served:  # else who is to serve a page of ours may have to wait for the number
                other = _first(sets["SigPnd"] | sets["SigIgn"], state)
            if other or not state.stand_ins:
                return other, sets["SigBlk"]
            self._over.wait()

    def _to_stop_of(self, thread: Thread, number: int, mask: int) -> None:
        """From the exit of a system call: the thread takes the signal before all others and before its next instruction.

        It sends the signal to itself (ptrace_report_syscall(), linux/ptrace.h, v6.12: SEND_SIG_PRIV), which never fails. tgkill(2) fails
        where RLIMIT_SIGPENDING is reached: a real-time signal needs memory of its own then (__send_signal_locked(), kernel/signal.c).
        """
        tid, thread.blocks, passed = thread.tid, mask, number
        ptrace.set_signal_mask(tid, _ALL & ~(1 << number - 1))
        while True:
            ptrace.run_for_us(tid, passed)
            stop, event = self.loop.wait(tid)
            passed = 0
            if event == ptrace.EVENT_STOP and stop != signal.SIGTRAP:
                thread.misses_stop()
            elif not event and stop == signal.SIGSTOP:
                passed = stop
            elif not event and stop == number:
                break
        info = ptrace.signal_info(tid)
        if not _is_ours(info):  # the program's came first: ours, which is still to come, is taken for it
            if thread.announced is None:
                thread.announced = (number, info)
            else:
                Injector.keep(thread, number, info)
        ptrace.set_signal_mask(tid, mask & ~(1 << number - 1))
        thread.blocks = None

    @staticmethod
    def _put_right(thread: Thread, number: int, action: bytes, saved: int) -> None:
        """At the handler's first instruction: its argument, the mask that it puts back and, where it has one, its siginfo
        (x64_setup_rt_frame(), arch/x86/kernel/signal_64.c, v6.12).
        """
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        registers[RDI] = number
        ptrace.set_registers(thread.tid, registers)
        thread.mm.memory.write(registers[RDX] + _UC_SIGMASK, saved.to_bytes(8, "little"))
        if struct.unpack_from("<Q", action, 8)[0] & _SA_SIGINFO:
            thread.mm.memory.write(registers[RSI], number.to_bytes(4, "little"))


def tell_of_trap(thread: Thread, trap: TrapFrame) -> None:
    """At a handler's first instruction: its ucontext tells of the trap."""
    registers, memory = Registers(), thread.mm.memory
    ptrace.get_registers(thread.tid, registers)
    context = registers[RDX]
    memory.write(context + _UC_ERROR, struct.pack("<QQ", trap.error, trap.vector))
    if trap.address is not None:
        memory.write(context + _UC_CR2, struct.pack("<Q", trap.address))


def _mask_inside(number: int, action: bytes, blocked: int) -> int:
    """What is blocked in a handler (signal_delivered(), kernel/signal.c, v6.12)."""
    flags, inside = struct.unpack_from("<Q", action, 8)[0], blocked | int.from_bytes(action[24:32], "little")
    return (inside if flags & _SA_NODEFER else inside | 1 << number - 1) & ~_NEVER


def _first(taken: int, state: SignalState) -> int:
    """The first number that is not in the set ``taken``, and that no thread has or may be about to take; 0 if there is none."""
    busy = {*state.stand_ins, *state.taking.values()}
    return next((number for number in LENT if not taken >> number - 1 & 1 and number not in busy), 0)


def _is_ours(info: bytes) -> bool:
    """Whether it is the signal that a thread has sent to itself for us: SI_KERNEL; SI_USER where there was no memory for more
    (collect_signal(), kernel/signal.c, v6.12). Both name no sender.
    """
    code, sender, user = struct.unpack_from("<i4xiI", info, 8)
    return code in (ptrace.SI_KERNEL, _SI_USER) and sender == user == 0
