"""The system calls at which the filter stops the program (``seccomp``), and what is done about each."""

from __future__ import annotations

import contextlib
import errno
import itertools
from dataclasses import dataclass
from typing import Protocol

from pasidlab.live import ptrace, seccomp
from pasidlab.live.bulk import Borrower
from pasidlab.live.debugging import Undebugged
from pasidlab.live.emulate import Emulator
from pasidlab.live.fixup import Fixup
from pasidlab.live.inject import SYSCALL, Injector
from pasidlab.live.libc import (
    CLONE_UNTRACED,
    SYS_CLONE,
    SYS_CLONE3,
    SYS_EXECVE,
    SYS_EXECVEAT,
    SYS_FANOTIFY_INIT,
    SYS_FSMOUNT,
    SYS_IOCTL,
    SYS_MEMFD_SECRET,
    SYS_MOUNT,
    SYS_PRCTL,
    SYS_PTRACE,
    SYS_RT_SIGACTION,
    SYS_SCHED_GETAFFINITY,
    SYS_SCHED_SETAFFINITY,
    SYS_SECCOMP,
    SYS_USERFAULTFD,
    TIOCGPTPEER,
    UFFDIO_REGISTER,
)
from pasidlab.live.loop import Gate
from pasidlab.live.portals import answer
from pasidlab.live.presence import Pagemaps
from pasidlab.live.registers import ORIG_RAX, RAX, RBX, RCX, RDI, RIP, RSI, RegisterArray, Registers
from pasidlab.live.served import Patient
from pasidlab.live.signals import SignalKeeper
from pasidlab.live.state import AddressSpace, Process, Thread

_SERVING = (SYS_USERFAULTFD, SYS_IOCTL, SYS_MOUNT, SYS_FSMOUNT)  # as far as the filter has them stop
_FROM_32_BITS = {theirs: ours for ours, theirs in seccomp.IN_32_BITS.items()}
_MOMENT, _MOST_MOMENTS = 1e-3, 1000  # seconds
_NONE = (1 << 64) - 1  # as the number of a system call: none


class SyscallHandler(Protocol):
    """Answers a seccomp stop and resumes the thread."""

    def on_call(self, thread: Thread, registers: RegisterArray) -> None:
        """``registers`` are those of the stop."""


class MmListener(Protocol):
    """What must hear of address spaces that have ended."""

    def abort(self, mm: AddressSpace) -> None:
        """``mm`` is gone."""


@dataclass(frozen=True)
class Parts:
    """What the tracer puts to work."""

    emulator: Emulator
    fixup: Fixup
    injector: Injector
    keeper: SignalKeeper
    borrower: Borrower
    calls: SyscallHandler
    device: MmListener
    debugger: Undebugged


class SystemCalls:
    """Every public method is part of a handler of the loop, for a thread that stands at a seccomp stop."""

    def __init__(self, threads: dict[int, Thread], parts: Parts) -> None:
        self.threads = threads
        self.emulator, self.injector, self.keeper = parts.emulator, parts.injector, parts.keeper
        self.borrower, self.calls, self.loop = parts.borrower, parts.calls, parts.injector.loop
        self.patient, self.serving, self.pagemaps = Patient(self.loop), False, Pagemaps()
        self._numbers = itertools.count(1)

    def new_mm(self, pid: int, parent: AddressSpace | None = None) -> AddressSpace:
        """An address space of the process ``pid``, a child of ``parent``'s."""
        mm = AddressSpace(pid, self.loop, self.pagemaps, next(self._numbers), parent)
        if self.serving:
            mm.serve(self.patient)
        return mm

    def stopped(self, thread: Thread) -> None:
        """Answer the call, or let it happen."""
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        number, in_32_bits = _number(thread.tid, registers)
        if number is None or number == SYS_MEMFD_SECRET:
            # The program's own SECCOMP_RET_TRACE, which has no tracer; or memory that no device of ours could reach.
            answer(thread, registers, -errno.ENOSYS)
        elif number == SYS_RT_SIGACTION:
            self.keeper.on_sigaction(thread, registers)
        elif number == SYS_FANOTIFY_INIT:  # who permits opens could make ours wait; as in a user namespace
            answer(thread, registers, -errno.EPERM)
        elif number in (SYS_EXECVE, SYS_EXECVEAT):
            self._begins_exec(thread)
        elif number == SYS_PRCTL and registers[RBX if in_32_bits else RDI] == seccomp.PR_SET_DUMPABLE:
            self._hides(thread, registers)
        elif number in (SYS_SECCOMP, SYS_PRCTL):
            self._wants_filter(thread, registers)
        elif number == SYS_IOCTL and registers[RCX if in_32_bits else RSI] & 0xFFFFFFFF == TIOCGPTPEER:
            answer(thread, registers, -errno.ENOTTY)  # as before v4.13: openpty(3) then opens /dev/pts/N
        elif number == SYS_IOCTL and registers[RCX if in_32_bits else RSI] & 0xFFFFFFFF == UFFDIO_REGISTER:
            self._registers_pages(thread)
        elif number in _SERVING:
            self._may_serve(thread, everywhere=number in (SYS_MOUNT, SYS_FSMOUNT))
        elif number == SYS_CLONE:  # not CLONE_UNTRACED
            registers[RBX if in_32_bits else RDI] &= ~CLONE_UNTRACED
            ptrace.set_registers(thread.tid, registers)
            ptrace.resume(thread.tid)
        elif number == SYS_CLONE3:
            self._clones(thread, registers, registers[RBX if in_32_bits else RDI])
        elif number in seccomp.PLACES:
            self._places(thread, number, registers[RBX if in_32_bits else RDI] & 0xFFFFFFFF)
        elif number == SYS_PTRACE:
            request, target = (RBX, RCX) if in_32_bits else (RDI, RSI)
            self._wants_to_trace(thread, registers[RIP], registers[request], registers[target])
        else:
            self.calls.on_call(thread, registers)

    def _places(self, thread: Thread, number: int, whose: int) -> None:
        """A call that makes a child, or asks or says where a thread may run, 0 being the caller."""
        if number in (SYS_SCHED_SETAFFINITY, SYS_SCHED_GETAFFINITY) and whose not in (0, thread.tid):
            self.keeper.placement.let_be()
        ptrace.resume(thread.tid)

    @staticmethod
    def _hides(thread: Thread, registers: RegisterArray) -> None:
        """PR_SET_DUMPABLE 0: without privileges nobody could reach its memory any more (__ptrace_may_access()), no device of
        ours either. Then it is told that it is done.
        """
        if ptrace.may_trace_all():
            ptrace.resume(thread.tid)
        else:
            answer(thread, registers, 0)

    @staticmethod
    def _clones(thread: Thread, registers: RegisterArray, arguments: int) -> None:
        """clone3(2) of a task that nobody traces fails as on kernels without it: its flags are the program's memory."""
        if int.from_bytes(thread.mm.memory.read(arguments, 8), "little") & CLONE_UNTRACED:
            answer(thread, registers, -errno.ENOSYS)
        else:
            ptrace.resume(thread.tid)

    def _begins_exec(self, thread: Thread) -> None:
        """From here on, its number and that of its leader may stand for another address space at any moment. That ends at the event, or at
        the exit from a call that failed.
        """
        leader = thread.process.pid
        thread.mm.exec_begins(thread.tid, leader)
        if leader != thread.tid and self.loop.holds(leader):
            with contextlib.suppress(ptrace.Gone):
                ptrace.stop_at_exit(leader)
        thread.mm.sought_by_none(thread.tid, leader)
        ptrace.resume_to_syscall(thread.tid)

    def _may_serve(self, thread: Thread, *, everywhere: bool) -> None:
        """A userfaultfd: pages of its process may wait for the program; a file system of its own: any page may."""
        if everywhere:
            self.emulator.events.distrust_files()
        self.serving |= everywhere
        for mm in {one.mm for one in self.threads.values()} if everywhere else {thread.mm}:
            mm.serve(self.patient)
        ptrace.resume(thread.tid)

    def _registers_pages(self, thread: Thread) -> None:
        """With a userfaultfd, which may be another process's."""
        self.injector.run_to_exit(thread.tid)
        for mm in {one.mm for one in self.threads.values()}:
            mm.dma.registered.forget()
        ptrace.resume(thread.tid)

    def _wants_filter(self, thread: Thread, registers: RegisterArray) -> None:
        """A seccomp filter of the program's own: what has to be injected is injected now, and the call made again."""
        process = thread.process
        if thread.mm.portals and not process.filtered:
            again = ptrace.copy_registers(registers)
            again[RIP], again[RAX] = registers[RIP] - len(SYSCALL), registers[ORIG_RAX]
            registers[ORIG_RAX] = again[ORIG_RAX] = _NONE
            ptrace.set_registers(thread.tid, registers)
            self.injector.run_to_exit(thread.tid)
            ptrace.set_registers(thread.tid, again)
            self.keeper.arm(thread)
            self.borrower.page(thread)
        self.injector.forbid(process)
        self._let_none_ask(process)
        self.injector.announce(thread)
        ptrace.resume(thread.tid)

    def _let_none_ask(self, process: Process) -> None:
        """Return when no thread is about to make a system call in code of ours, but not later than after a second: what says so is the
        program's memory.
        """
        if not process.mm.shortcut:
            return
        still = self.emulator.shortcuts.ask_no_more([self.threads[tid] for tid in process.threads])
        moment = Gate(self.loop)
        for _ in range(_MOST_MOMENTS):  # the first look comes late, when our own write has reached every processor
            self.loop.after(_MOMENT, moment.open)
            moment.wait()
            if not still():
                return

    def _wants_to_trace(self, thread: Thread, ip: int, request: int, target: int) -> None:
        """PTRACE_TRACEME, PTRACE_ATTACH or PTRACE_SEIZE: of what we trace already, the kernel refuses it (EPERM)."""
        if request == ptrace.TRACEME or target in self.threads:
            self.emulator.events.second_tracer(thread, ip)
        ptrace.resume(thread.tid)


def _number(tid: int, registers: RegisterArray) -> tuple[int | None, bool]:
    """The number of the call at a seccomp stop as it is in 64 bits, None for one that is not ours to answer; whether it is a 32-bit call.

    The program's own filter may say OURS or OURS_32 of any call, hence the kernel is asked.
    """
    whose, architecture = ptrace.filtered_call(tid)
    in_32_bits = architecture == seccomp.ARCH_I386 or (architecture is None and whose == seccomp.OURS_32)
    if whose != (seccomp.OURS_32 if in_32_bits else seccomp.OURS):
        return None, in_32_bits
    return _FROM_32_BITS.get(registers[ORIG_RAX]) if in_32_bits else registers[ORIG_RAX], in_32_bits
