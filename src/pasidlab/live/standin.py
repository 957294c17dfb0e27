"""Hands a signal to its handler by another number, while other threads have the kernel reset what is set for its own.

A thread that blocks SIGSEGV, say, and submits has the handler reset to SIG_DFL until that is undone (``signals``). Another that is
sent SIGSEGV, and is just about to take it, would die. So the handler is set for a real-time signal that nobody uses, for this one moment;
the kernel makes the frame for that signal; and the number is put right before the handler's first instruction. No other thread is
stopped for it: some calls of theirs would fail with EINTR (signal(7), "Interruption of system calls by stop signals").
"""

from __future__ import annotations

import signal
import struct
from collections.abc import Callable

from pasidlab.live import ptrace
from pasidlab.live.inject import Injector
from pasidlab.live.loop import EventLoop
from pasidlab.live.registers import RDI, RSI, Registers
from pasidlab.live.state import Thread
from pasidlab.live.status import signals_of, status_of

_NUMBERS = range(64, 34, -1)  # the last ones first: programs use the others
_SIZE = 32  # struct sigaction of the kernel
_SA_SIGINFO, _SA_NODEFER, _SA_RESETHAND = 4, 0x40000000, 0x80000000
_ALL = (1 << 64) - 1

SetAction = Callable[[Thread, int, bytes], bool]
"""rt_sigaction in the thread's name; whether it could be injected."""


class StandIn:
    """Every public method is part of a handler of the loop."""

    def __init__(self, loop: EventLoop, set_action: SetAction) -> None:
        self.loop, self._set = loop, set_action

    def deliver(self, thread: Thread, number: int, info: bytes, action: bytes) -> bool:
        """At the stop of signal ``number``, whose handler is ``action``'s: the thread goes on in the handler. False, and the thread stands
        still, where no call can be injected or no number is free.
        """
        used = thread.process.signals.stand_ins
        other = _free(thread, used)
        if not other:
            return False
        used.add(other)
        try:
            if not self._set(thread, other, action):
                return False
            self._hand_over(thread, number, other, info, struct.unpack_from("<Q", action, 8)[0])
            return True
        finally:
            used.discard(other)

    def _hand_over(self, thread: Thread, number: int, other: int, info: bytes, flags: int) -> None:
        tid, mask = thread.tid, ptrace.signal_mask(thread.tid)
        self._to_stop_of(thread, other, mask)
        ptrace.set_signal_info(tid, other.to_bytes(4, "little") + info[4:])
        ptrace.step(tid, other)
        stop, event = self.loop.wait(tid)
        if stop != signal.SIGTRAP or event:  # no room for the frame: the kernel's own SIGSEGV
            Injector.keep(thread, stop, ptrace.signal_info(tid))
            self._set(thread, other, bytes(_SIZE))
        else:
            inside = ptrace.signal_mask(tid)
            self._set(thread, other, bytes(_SIZE))
            self._put_right(thread, number, flags)
            inside &= ~(1 << other - 1) | mask
            ptrace.set_signal_mask(tid, inside if flags & _SA_NODEFER else inside | 1 << number - 1)
        Injector.rejoin(thread)

    def _to_stop_of(self, thread: Thread, number: int, mask: int) -> None:
        """The thread is sent the signal, and takes it before all others and before its next instruction."""
        tid, thread.blocks, passed = thread.tid, mask, 0
        ptrace.set_signal_mask(tid, _ALL & ~(1 << number - 1))
        Injector.send(thread, number)
        while True:
            ptrace.resume(tid, passed)
            stop, event = self.loop.wait(tid)
            passed = 0
            if event == ptrace.EVENT_STOP and stop != signal.SIGTRAP:
                thread.misses_stop()
            elif not event and stop == signal.SIGSTOP:
                passed = stop
            elif not event and stop == number:
                break
        ptrace.set_signal_mask(tid, mask)
        thread.blocks = None

    @staticmethod
    def _put_right(thread: Thread, number: int, flags: int) -> None:
        """At the handler's first instruction: its argument and, where it has one, its siginfo (setup_rt_frame(), v6.12)."""
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        registers[RDI] = number
        ptrace.set_registers(thread.tid, registers)
        if flags & _SA_SIGINFO:
            thread.mm.memory.write(registers[RSI], number.to_bytes(4, "little"))


def _free(thread: Thread, used: set[int]) -> int:
    """A signal that the program neither handles, ignores nor blocks, and that waits for nobody; 0 if there is none."""
    try:
        fields = status_of(thread.tid)
    except OSError:
        raise ptrace.Gone(thread.tid) from None
    taken = 0
    for name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"):
        taken |= signals_of(fields, name)
    return next((number for number in _NUMBERS if not taken >> (number - 1) & 1 and number not in used), 0)
