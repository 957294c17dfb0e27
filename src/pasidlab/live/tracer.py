"""The wait loop: every stop of every thread of the program and its descendants, and what is done about it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from pasidlab.live import ptrace, seccomp
from pasidlab.live.bulk import Borrower
from pasidlab.live.emulate import PAGE_FAULT, Emulator, Fault
from pasidlab.live.fixup import Fixup
from pasidlab.live.inject import SYSCALL, Injector
from pasidlab.live.kinship import kinship
from pasidlab.live.libc import (
    CLONE_UNTRACED,
    SYS_CLONE,
    SYS_EXECVE,
    SYS_EXECVEAT,
    SYS_FSMOUNT,
    SYS_IOCTL,
    SYS_MOUNT,
    SYS_PRCTL,
    SYS_PTRACE,
    SYS_RT_SIGACTION,
    SYS_SECCOMP,
    SYS_USERFAULTFD,
    UFFDIO_REGISTER,
)
from pasidlab.live.portals import answer
from pasidlab.live.registers import ORIG_RAX, RAX, RBX, RCX, RDI, RIP, RSI, RegisterArray, Registers
from pasidlab.live.served import Patient
from pasidlab.live.signals import SignalKeeper
from pasidlab.live.state import Iommu, Mm, Process, Thread, TrapFrame

_BIRTHS = (ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE)
_SERVING = (SYS_USERFAULTFD, SYS_IOCTL, SYS_MOUNT, SYS_FSMOUNT)  # as far as the filter has them stop
_FROM_32_BITS = {theirs: ours for ours, theirs in seccomp.IN_32_BITS.items()}
_ILL_ILLOPN = 2
_NONE = (1 << 64) - 1  # as the number of a system call: none


class SyscallHandler(Protocol):
    """Answers a seccomp stop and resumes the thread."""

    def on_call(self, thread: Thread, registers: RegisterArray) -> None:
        """``registers`` are those of the stop."""


class MmListener(Protocol):
    """What must hear of address spaces that have ended."""

    def abort(self, mm: Mm) -> None:
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


class Tracer:
    """Owns all tracees. Every method but ``run`` is a handler of the loop, or part of one."""

    def __init__(self, threads: dict[int, Thread], iommu: Iommu, parts: Parts) -> None:
        self.threads, self.iommu = threads, iommu
        self.emulator, self.fixup, self.injector, self.keeper = parts.emulator, parts.fixup, parts.injector, parts.keeper
        self.borrower, self.calls, self.device = parts.borrower, parts.calls, parts.device
        self.shortcuts = parts.emulator.shortcuts
        self.loop = parts.injector.loop
        self.loop.on_stop = self._hold_leader
        self.processes: dict[int, Process] = {}
        self.unborn: dict[int, tuple[int, int]] = {}  # stopped, but the event that says whose child it is has not come yet
        self.patient, self.serving = Patient(self.loop), False
        self.leader, self.status = 0, -1  # of the program: its first process, and its wait status once it is known

    def add_program(self, pid: int) -> None:
        """The program's first thread, just seized."""
        self.leader = pid
        self._add(pid, Process(pid, Mm(pid, self.loop)), None, same_mm=False)

    def run(self) -> int:
        """Until the program and all its descendants are gone; the leader's wait status.

        When the leader is killed by a signal, what is left of the program is killed too.
        """
        self.loop.run(self._handle, lambda: bool(self.threads))
        return max(self.status, 0)

    def send(self, number: int) -> None:
        """A signal for what is left of the program when its leader is gone."""
        for process in {thread.process for thread in self.threads.values()}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)

    def kill(self) -> None:
        """SIGKILL for everything that is left."""
        self.send(signal.SIGKILL)

    def _handle(self, tid: int, status: int) -> None:
        if status & 0xFF == 0x7F:
            self._stopped(tid, status >> 8 & 0xFF, status >> 16)
            return
        self._ended(tid)
        if tid == self.leader:
            self.status = status
            if os.WIFSIGNALED(status):
                self.kill()

    def _stopped(self, tid: int, stop: int, event: int) -> None:
        if event == ptrace.EVENT_EXIT:
            ptrace.resume(tid)
            return
        thread = self.threads.get(tid)
        if thread is not None and thread.mm.in_exec and event != ptrace.EVENT_EXEC:
            self._hold_leader(tid)
        if thread is not None and thread.unborn:
            thread.unborn = False
            self.shortcuts.born(thread)
        if thread is None:
            self.unborn[tid] = stop, event
        elif not event:
            self._signal(thread, stop)
        elif event == ptrace.EVENT_SECCOMP:
            self._seccomp(thread)
        elif event in _BIRTHS:
            self._born(thread, ptrace.event_message(tid), event)
            ptrace.resume(tid)
        elif event == ptrace.EVENT_EXEC:
            self._executed(tid, ptrace.event_message(tid))
        elif event == ptrace.EVENT_STOP and stop in ptrace.GROUP_STOPS:
            thread.missed_stop = False
            ptrace.listen(tid)
        else:
            thread.missed_stop = False
            self._go_on(thread)

    def _hold_leader(self, tid: int) -> None:
        """A thread has stopped. If another's execve(2) may give its number to a new program, it does so only once this one
        is let go: de_thread(), fs/exec.c, waits for the leader's end, and that for us. Raises Gone if it is a new program's.

        What waits for the memory has a turn: it can be reached through this thread.
        """
        thread = self.threads.get(tid)
        if thread is not None and tid in thread.mm.in_exec.values() and tid not in thread.mm.in_exec:
            ptrace.stop_at_exit(tid)
            if ptrace.stopped_by_exec(tid):
                raise ptrace.Gone(tid)
            thread.mm.way_found()
            self.loop.breathe()
            while thread.mm.starts_to_reach():
                self.loop.breathe()

    def _go_on(self, thread: Thread) -> None:
        """Resume at a stop that is not a signal's."""
        self._announce(thread)
        ptrace.resume(thread.tid)

    def _announce(self, thread: Thread) -> None:
        """A signal that came while the thread worked for the device comes again, one after the other."""
        if thread.kept and thread.announced is None:
            thread.announced = thread.kept.popleft()
            self.injector.send(thread, thread.announced[0])

    # System calls

    def _seccomp(self, thread: Thread) -> None:
        registers = Registers()
        ptrace.get_registers(thread.tid, registers)
        whose = ptrace.event_message(thread.tid)
        number = registers[ORIG_RAX] if whose == seccomp.OURS else None
        if whose == seccomp.OURS_32:
            number = _FROM_32_BITS.get(registers[ORIG_RAX])  # a filter of the program's own may say that, of any call
        if number is None:
            answer(thread, registers, -errno.ENOSYS)  # the program's own SECCOMP_RET_TRACE: it has no tracer
        elif number == SYS_RT_SIGACTION:
            self.keeper.on_sigaction(thread, registers)
        elif number in (SYS_EXECVE, SYS_EXECVEAT):
            self._begins_exec(thread)
        elif number == SYS_PRCTL and registers[RBX if whose == seccomp.OURS_32 else RDI] == seccomp.PR_SET_DUMPABLE:
            self._hides(thread, registers)
        elif number in (SYS_SECCOMP, SYS_PRCTL):
            self._wants_filter(thread, registers)
        elif number == SYS_IOCTL and registers[RCX if whose == seccomp.OURS_32 else RSI] & 0xFFFFFFFF == UFFDIO_REGISTER:
            self._registers_pages(thread)
        elif number in _SERVING:
            self._may_serve(thread, everywhere=number in (SYS_MOUNT, SYS_FSMOUNT))
        elif number == SYS_CLONE:
            registers[RBX if whose == seccomp.OURS_32 else RDI] &= ~CLONE_UNTRACED
            ptrace.set_registers(thread.tid, registers)
            ptrace.resume(thread.tid)
        elif number == SYS_PTRACE:
            request, target = (RBX, RCX) if whose == seccomp.OURS_32 else (RDI, RSI)
            self._wants_to_trace(thread, registers[RIP], registers[request], registers[target])
        else:
            self.calls.on_call(thread, registers)

    @staticmethod
    def _hides(thread: Thread, registers: RegisterArray) -> None:
        """PR_SET_DUMPABLE 0: without privileges nobody could reach its memory any more (__ptrace_may_access()), no device of
        ours either. Then it is told that it is done.
        """
        if ptrace.may_trace_all():
            ptrace.resume(thread.tid)
        else:
            answer(thread, registers, 0)

    def _begins_exec(self, thread: Thread) -> None:
        """From here to the event, or to the exit from a call that failed, its number and that of its leader may stand for
        another address space at any moment.
        """
        leader = thread.process.pid
        thread.mm.exec_begins(thread.tid, leader)
        if leader != thread.tid and self.loop.holds(leader):
            with contextlib.suppress(ptrace.Gone):
                ptrace.stop_at_exit(leader)
        ptrace.resume_to_syscall(thread.tid)

    @staticmethod
    def _exec_over(thread: Thread) -> None:
        if thread.tid in thread.mm.in_exec:
            thread.mm.exec_ends(thread.tid)

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

    def _new_mm(self, pid: int, parent: Mm | None = None) -> Mm:
        mm = Mm(pid, self.loop, parent)
        if self.serving:
            mm.serve(self.patient)
        return mm

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
        self._go_on(thread)

    def _wants_to_trace(self, thread: Thread, ip: int, request: int, target: int) -> None:
        """PTRACE_TRACEME, PTRACE_ATTACH or PTRACE_SEIZE: of what we trace already, the kernel refuses it (EPERM)."""
        if request == ptrace.TRACEME or target in self.threads:
            self.emulator.events.second_tracer(thread, ip)
        ptrace.resume(thread.tid)

    def _signal(self, thread: Thread, stop: int) -> None:
        if thread.mm.shortcut and stop != ptrace.SYSCALL_STOP and not self._may_be_ours(thread, stop):
            self.shortcuts.interrupted(thread)
        if thread.redeliver and thread.redeliver[0] == stop:
            (_, info, trap), thread.redeliver = thread.redeliver, None
            self.keeper.hand_over(thread, stop, info, trap)
        elif thread.announced and thread.announced[0] == stop and ptrace.signal_code(thread.tid) <= 0:
            (_, info), thread.announced = thread.announced, None
            self._announce(thread)
            ptrace.set_signal_info(thread.tid, info)
            self.keeper.deliver(thread, stop, info)
        elif stop == ptrace.SYSCALL_STOP:
            self._exec_over(thread)
            self._go_on(thread)
        elif stop not in self.keeper.signals:
            ptrace.resume(thread.tid, stop)
        else:
            self._trap(thread, stop)

    def _may_be_ours(self, thread: Thread, stop: int) -> bool:
        """Whether an instruction raised the signal."""
        return stop in self.keeper.signals and ptrace.signal_code(thread.tid) > 0

    def _trap(self, thread: Thread, stop: int) -> None:
        """A signal that one of our instructions may have raised. This is the fast path."""
        code = ptrace.signal_code(thread.tid)
        if code <= 0 or (stop == signal.SIGILL and code != _ILL_ILLOPN):
            self.keeper.deliver(thread, stop, ptrace.signal_info(thread.tid))
            return
        try:
            if not self.emulator.step(thread):
                self.keeper.deliver(thread, stop, ptrace.signal_info(thread.tid))
                return
        except Fault as fault:
            blocked = self.keeper.was_blocked(thread, stop)
            if blocked:
                self.keeper.restore(thread, stop)
            info = ptrace.fault_info(fault.signal, fault.code, fault.address)
            trap = TrapFrame(fault.trap, fault.error, fault.address if fault.trap == PAGE_FAULT else None)
            self.keeper.force(thread, fault.signal, info, trap, injected=blocked)
            return
        if self.keeper.was_blocked(thread, stop):
            self.keeper.restore(thread, stop)
        if not self._queued_again(thread, stop):
            self._announce(thread)
            self.keeper.placement.resume(thread.tid)

    @staticmethod
    def _queued_again(thread: Thread, stop: int) -> bool:
        """At a signal stop: whether a kept signal that the program blocks has gone back to where it waits, once for all."""
        if not thread.kept or not ptrace.signal_mask(thread.tid) >> (thread.kept[0][0] - 1) & 1:
            return False
        number, info = thread.kept[0]
        at_signal = ptrace.stopped_by(thread.tid) == stop  # else the work was interrupted, or calls were made meanwhile
        if at_signal:
            ptrace.set_signal_info(thread.tid, info)
        elif not Injector.send_with(thread, number, info):
            return False
        thread.kept = deque(one for one in thread.kept if one[0] != number)
        ptrace.resume(thread.tid, number if at_signal else 0)  # ptrace_signal(), kernel/signal.c, queues what is blocked
        return True

    # Tasks come and go

    def _add(self, tid: int, process: Process, parent: Thread | None, *, same_mm: bool) -> None:
        thread = self.threads[tid] = Thread(tid, process)
        if parent:
            thread.child_of(parent)
        self.processes[process.pid] = process
        process.threads.add(tid)
        process.mm.threads.add(tid)
        self.fixup.thread_started(thread, parent, same_mm=same_mm)
        if tid in self.unborn:
            self.loop.put_back(tid, *self.unborn.pop(tid))

    def _born(self, parent: Thread, child: int, event: int) -> None:
        kin = kinship(parent, child, event)
        process = parent.process
        if not kin.same_process:
            mm = parent.mm if kin.same_mm else self._new_mm(child, parent.mm)
            process = Process(child, mm, parent.process.signals.copy(), filtered=parent.process.filtered)
        self._add(child, process, parent, same_mm=kin.same_mm)

    def _executed(self, pid: int, former: int) -> None:
        """exec: a new address space; the thread that called it becomes the leader, the others are gone."""
        thread = self.threads.pop(former)
        if former != pid:
            self._ended(pid)
        old = thread.process
        before = thread.mm
        self._leave(thread)
        before.exec_ends(former)  # where it was shared with another process it goes on
        process = Process(pid, self._new_mm(pid), filtered=old.filtered)
        self.processes[pid] = process
        thread.tid, thread.process = pid, process
        thread.kept.clear()
        thread.begins_image()
        process.threads.add(pid)
        process.mm.threads.add(pid)
        self.threads[pid] = thread
        self.fixup.executed(thread)
        self.keeper.executed(thread, old.signals)
        ptrace.resume(pid)

    def _leave(self, thread: Thread) -> None:
        process, mm = thread.process, thread.mm
        self.shortcuts.left(thread)
        process.threads.discard(thread.tid)
        mm.left_by(thread.tid)
        if not process.threads:
            self.processes.pop(process.pid, None)
        if not mm.threads:
            self.device.abort(mm)
            self.iommu.exit(mm)
            self.shortcuts.gone(mm)

    def _ended(self, tid: int) -> None:
        self.unborn.pop(tid, None)
        thread = self.threads.pop(tid, None)
        if thread is not None:
            self._exec_over(thread)
            self._leave(thread)
            self.fixup.thread_ended(thread)
        for orphan in tuple(self.unborn):
            self._adopt(orphan)

    def _adopt(self, tid: int) -> None:
        """A new task whose parent may have died before it could tell: the task's own status says whose it is."""
        try:
            with open(f"/proc/{tid}/status", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                fields = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        except OSError:
            return
        group, father = int(fields["Tgid"]), int(fields["PPid"])
        known = self.processes.get(group)
        if known is None and father in self.processes:
            return  # the father lives: its event will come
        self._add(tid, known or Process(group, self._new_mm(tid)), None, same_mm=known is not None)
