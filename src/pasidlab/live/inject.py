"""Makes a stopped thread execute a system call of ours, then puts everything back."""

from __future__ import annotations

import ctypes
import errno
import signal
from collections import deque

from pasidlab.live import ptrace
from pasidlab.live.libc import SYS_RT_TGSIGQUEUEINFO, SYS_TGKILL, libc
from pasidlab.live.loop import EventLoop, Gate
from pasidlab.live.registers import ARGUMENTS, EFLAGS, ORIG_RAX, RAX, RIP, TRAP_FLAG, RegisterArray, Registers
from pasidlab.live.state import Process, Thread

_ALL = (1 << 64) - 1
SYSCALL = b"\x0f\x05"
"""The instruction."""
_RESTARTS = (-512, -513, -514, -516)  # linux/errno.h: ERESTARTSYS and the like, never seen in user mode
_FORCED = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGSYS, signal.SIGFPE)


class Injector:
    """System calls in the program's name. Whoever asks for one gives way until it is done."""

    def __init__(self, loop: EventLoop) -> None:
        self.loop, self._over = loop, Gate(loop)

    def run_to_exit(self, tid: int) -> int:
        """From a seccomp stop: let the system call happen; its result."""
        registers = Registers()
        self._to_syscall_stop(tid)
        ptrace.get_registers(tid, registers)
        return _signed(registers[RAX])

    def enter(self, thread: Thread) -> None:
        """Let a thread run into the system call at which it stands. A group stop that comes before is joined later: ``rejoin``."""
        self._to_syscall_stop(thread.tid, thread)

    def call(self, thread: Thread, at: int, number: int, *arguments: int) -> int:
        """The result of system call ``number``, executed by the syscall instruction at address ``at``.

        -EPERM where a filter of the program's own might kill it, -EFAULT where the instruction is gone.
        """
        if thread.process.filtered:
            return -errno.EPERM
        if (thread.mm.memory.read(at, len(SYSCALL)) or thread.mm.instructions_at(thread.tid, at, len(SYSCALL))) != SYSCALL:
            return -errno.EFAULT
        process = thread.process
        if process.filtered:  # by now: reading may have lasted
            return -errno.EPERM
        process.injected += 1
        try:
            return self._call(thread, at, number, *arguments)
        finally:
            process.injected -= 1
            self._over.open()

    def forbid(self, process: Process) -> None:
        """No call from now on: return when those in progress are over, which a filter for all threads could meet."""
        process.filtered = True
        while process.injected:
            self._over.wait()

    def _call(self, thread: Thread, at: int, number: int, *arguments: int) -> int:
        tid, saved, before = thread.tid, Registers(), thread.blocks
        mask = ptrace.signal_mask(tid)
        thread.blocks = mask if before is None else before
        ptrace.get_registers(tid, saved)
        registers = ptrace.copy_registers(saved)
        registers[RIP], registers[RAX], registers[ORIG_RAX] = at, number, _ALL
        registers[EFLAGS] &= ~TRAP_FLAG
        for index, value in zip(ARGUMENTS, arguments, strict=False):
            registers[index] = value & _ALL
        ptrace.set_signal_mask(tid, _ALL)
        ptrace.set_registers(tid, registers)
        done = self._to_syscall_stop(tid, thread) and self._to_syscall_stop(tid, thread)  # its entry, its exit
        ptrace.get_registers(tid, registers)
        ptrace.set_registers(tid, saved)
        ptrace.set_signal_mask(tid, mask)
        thread.blocks = before
        if _is_interrupted(saved):  # the kernel looks only on its way from a stop
            ptrace.interrupt(tid)
        self.rejoin(thread)
        return _signed(registers[RAX]) if done else -errno.EFAULT

    def _to_syscall_stop(self, tid: int, thread: Thread | None = None) -> bool:
        """False if our own instruction faulted instead.

        All that can be blocked is. A SIGSTOP takes effect at once; the thread goes on working for us, and joins the
        others in their group stop afterwards (ptrace(2), "Group-stop"). Every stop in between makes the kernel forget
        PTRACE_INTERRUPT (ptrace_stop(), kernel/signal.c), so that has to be last.
        """
        number = 0
        while True:
            ptrace.resume_to_syscall(tid, number)
            stop, event = self.loop.wait(tid)
            number = 0
            if event == ptrace.EVENT_STOP and stop != signal.SIGTRAP and thread is not None:
                thread.misses_stop()
            elif not event and stop == ptrace.SYSCALL_STOP:
                return True
            elif not event and stop in _FORCED and ptrace.signal_code(tid) > 0:
                return False
            elif not event and stop == signal.SIGSTOP:
                number = stop

    @staticmethod
    def rejoin(thread: Thread) -> None:
        """The thread joins the group stop that it has missed when it is let go: nothing may stop it in between (``_to_syscall_stop``)."""
        if thread.missed_stop:
            ptrace.interrupt(thread.tid)

    def announce(self, thread: Thread) -> None:
        """A signal that came while the thread worked for the device comes again, one after the other."""
        if thread.kept and thread.announced is None and self.send(thread, thread.kept[0][0]):
            thread.announced = thread.kept.popleft()

    def wait_again(self, thread: Thread, ours: tuple[int, ...]) -> bool:
        """Kept signals that the program blocks go back to where they wait, each number once, with what they say. Whether one did.

        ``ours``: the signals that we use. At the stop of any other the thread was interrupted, or has made calls for us meanwhile.
        """
        if not thread.kept:
            return False
        mask, stands = ptrace.signal_mask(thread.tid), ptrace.stopped_by(thread.tid) in ours
        back = set()
        for number, info in tuple(thread.kept):
            if not mask >> (number - 1) & 1 or number in back:
                continue
            if stands:
                ptrace.set_signal_info(thread.tid, info)
                self.put_back(thread, number)
                stands = False
            elif not (self.send_with(thread, number, info) or self._sent_and_put_back(thread, number, info)):
                continue
            back.add(number)
        thread.kept = deque(one for one in thread.kept if one[0] not in back)
        ptrace.set_signal_mask(thread.tid, mask)
        self.rejoin(thread)
        return bool(back)

    def put_back(self, thread: Thread, number: int) -> None:
        """At the stop of a signal: it waits again, with its siginfo. All signals are blocked then. No instruction is executed.

        ptrace_signal(), kernel/signal.c, queues again what is blocked by then. The thread comes to the next stop on that same way.
        """
        ptrace.set_signal_mask(thread.tid, _ALL)
        ptrace.interrupt(thread.tid)
        self._to_next_stop(thread, number)

    def _sent_and_put_back(self, thread: Thread, number: int, info: bytes) -> bool:
        """A siginfo that only the kernel and kill(2) may make: the thread comes to a stop for the signal, which has it then. False if it
        stops for another first, which dequeue_synchronous_signal() takes although it is blocked. ``announce`` would find the signal sent.
        """
        if not self.send(thread, number):
            return False
        ptrace.set_signal_mask(thread.tid, _ALL & ~(1 << number - 1))
        stop, event = self._to_next_stop(thread, 0)
        while event:
            stop, event = self._to_next_stop(thread, 0)
        if stop == number:
            ptrace.set_signal_info(thread.tid, info)
        self.put_back(thread, stop)
        return stop == number

    def _to_next_stop(self, thread: Thread, number: int) -> tuple[int, int]:
        ptrace.run_for_us(thread.tid, number)
        stop, event = self.loop.wait(thread.tid)
        if event == ptrace.EVENT_STOP and stop in ptrace.GROUP_STOPS:
            thread.misses_stop()
        return stop, event

    @staticmethod
    def keep(thread: Thread, number: int, info: bytes) -> None:
        """For ``announce``. Where the signal is one that was announced, its siginfo is that one's."""
        if thread.announced and thread.announced[0] == number:
            (_, info), thread.announced = thread.announced, None
        thread.kept.append((number, info))

    @staticmethod
    def send(thread: Thread, number: int) -> bool:
        """A signal for this thread: its stop is then for whoever knows why. False for a real-time signal at RLIMIT_SIGPENDING."""
        return bool(libc.syscall(SYS_TGKILL, thread.process.pid, thread.tid, number) == 0)

    @staticmethod
    def send_with(thread: Thread, number: int, info: bytes) -> bool:
        """Sends the signal with this siginfo; false where only the kernel and kill(2) may make such a one (rt_tgsigqueueinfo(2))."""
        held = ctypes.create_string_buffer(info, len(info))
        return bool(libc.syscall(SYS_RT_TGSIGQUEUEINFO, thread.process.pid, thread.tid, number, held) == 0)


def _is_interrupted(registers: RegisterArray) -> bool:
    """Whether a system call of the program is to be restarted, or fails with EINTR (arch_do_signal_or_restart(), v6.12)."""
    return registers[ORIG_RAX] != _ALL and _signed(registers[RAX]) in _RESTARTS


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
