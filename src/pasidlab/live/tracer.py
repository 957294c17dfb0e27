"""The wait loop: every stop of every thread of the program and its descendants, and what is done about it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Protocol

from pasidlab.live import ptrace
from pasidlab.live.emulate import PAGE_FAULT, Emulator, Fault
from pasidlab.live.fixup import Fixup
from pasidlab.live.inject import Injector
from pasidlab.live.libc import (
    CLONE_THREAD,
    CLONE_VM,
    SYS_CLONE,
    SYS_CLONE3,
    SYS_EXECVE,
    SYS_EXECVEAT,
    SYS_FORK,
    SYS_PTRACE,
    SYS_RT_SIGACTION,
    SYS_VFORK,
    WALL,
)
from pasidlab.live.registers import ORIG_RAX, RDI, RIP, RSI, RegisterArray, Registers
from pasidlab.live.signals import SignalKeeper
from pasidlab.live.state import Mm, Process, Thread, TrapFrame

_BIRTHS = (ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_ILL_ILLOPN = 2


class SyscallHandler(Protocol):
    """Answers a seccomp stop and resumes the thread."""

    def on_call(self, thread: Thread, registers: RegisterArray) -> None:
        """``registers`` are those of the stop."""


class Tracer:
    """Owns all tracees. Runs in the thread that seized the program."""

    def __init__(
        self,
        threads: dict[int, Thread],
        emulator: Emulator,
        fixup: Fixup,
        injector: Injector,
        keeper: SignalKeeper,
        calls: SyscallHandler,
        lock: threading.RLock,
        mm_gone: Callable[[Mm], None],
    ) -> None:
        self.threads, self.emulator, self.fixup = threads, emulator, fixup
        self.injector, self.keeper, self.calls, self.lock, self.mm_gone = injector, keeper, calls, lock, mm_gone
        self.before_exec: Callable[[Mm], None] = lambda mm: None  # when execve is traced
        self.processes: dict[int, Process] = {}
        self.unborn: set[int] = set()  # stopped, but the event that says whose child it is has not come yet
        self.registers = Registers()

    def add_program(self, pid: int) -> None:
        """The program's first thread, just seized."""
        self._add(pid, Process(pid, Mm.of(pid)), None, same_mm=False)

    def run(self, leader: int) -> int:
        """Until the program and all its descendants are gone; the leader's wait status.

        When the leader is killed by a signal, what is left of the program is killed too.
        """
        status, result = 0, 0
        deferred = self.injector.deferred
        while self.threads:
            try:
                tid, status = deferred.popleft() if deferred else os.waitpid(-1, WALL)
                if status & 0xFF == 0x7F:
                    self._stopped(tid, status >> 8 & 0xFF, status >> 16)
                    continue
            except ptrace.Gone:
                continue
            except ChildProcessError:
                break
            self._ended(tid)
            if tid == leader:
                result = status
                if os.WIFSIGNALED(status):
                    self.kill()
        return result

    def kill(self) -> None:
        """SIGKILL for everything that is left."""
        for process in {thread.process for thread in self.threads.values()}:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _stopped(self, tid: int, stop: int, event: int) -> None:
        thread = self.threads.get(tid)
        if thread is None:
            self.unborn.add(tid)
        elif not event:
            self._signal(thread, stop)
        elif event == ptrace.EVENT_SECCOMP:
            self._seccomp(thread)
        elif event in _BIRTHS:
            self._born(thread, ptrace.event_message(tid))
            ptrace.resume(tid)
        elif event == ptrace.EVENT_EXEC:
            self._executed(tid, ptrace.event_message(tid))
        elif event == ptrace.EVENT_STOP and stop in _STOPS:
            ptrace.listen(tid)
        else:
            ptrace.resume(tid)

    def _seccomp(self, thread: Thread) -> None:
        registers = self.registers
        ptrace.get_registers(thread.tid, registers)
        if registers[ORIG_RAX] == SYS_RT_SIGACTION:
            self.keeper.on_sigaction(thread, registers)
        elif registers[ORIG_RAX] in (SYS_EXECVE, SYS_EXECVEAT):
            self.before_exec(thread.mm)
            ptrace.resume(thread.tid)
        elif registers[ORIG_RAX] == SYS_PTRACE:
            self._wants_to_trace(thread, registers)
        else:
            self.calls.on_call(thread, registers)

    def _wants_to_trace(self, thread: Thread, registers: RegisterArray) -> None:
        """PTRACE_TRACEME, PTRACE_ATTACH or PTRACE_SEIZE: of what we trace already, the kernel refuses it (EPERM)."""
        if registers[RDI] == ptrace.TRACEME or registers[RSI] in self.threads:
            self.emulator.events.second_tracer(thread, registers[RIP])
        ptrace.resume(thread.tid)

    def _signal(self, thread: Thread, stop: int) -> None:
        if thread.redeliver and thread.redeliver[0] == stop:
            (_, info, trap), thread.redeliver = thread.redeliver, None
            self.keeper.hand_over(thread, stop, info, trap)
        elif stop not in self.keeper.signals:
            ptrace.resume(thread.tid, 0 if stop == ptrace.SYSCALL_STOP else stop)
        else:
            self._trap(thread, stop)

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
        self.keeper.placement.resume(thread.tid)

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
            self.unborn.discard(tid)
            ptrace.resume(tid)

    def _born(self, parent: Thread, child: int) -> None:
        flags = self._clone_flags(parent)
        process = parent.process
        if not flags & CLONE_THREAD:
            mm = parent.mm if flags & CLONE_VM else Mm.of(child, parent.mm)
            process = Process(child, mm, parent.process.signals.copy())
        try:
            self._add(child, process, parent, same_mm=bool(flags & CLONE_VM))
        except ptrace.Gone:
            return

    def _clone_flags(self, parent: Thread) -> int:
        """The flags of the clone, clone3, fork or vfork that the parent is in."""
        registers = self.registers
        ptrace.get_registers(parent.tid, registers)
        number = registers[ORIG_RAX]
        if number == SYS_CLONE:
            return int(registers[RDI])
        if number == SYS_CLONE3:
            return int.from_bytes(parent.mm.memory.read(registers[RDI], 8), "little")
        return CLONE_VM if number == SYS_VFORK else 0 if number == SYS_FORK else CLONE_VM

    def _executed(self, pid: int, former: int) -> None:
        """exec: a new address space; the thread that called it becomes the leader, the others are gone."""
        thread = self.threads.pop(former)
        if former != pid:
            self._ended(pid)
        old = thread.process
        self._leave(thread)
        process = Process(pid, Mm.of(pid))
        self.processes[pid] = process
        thread.tid, thread.process = pid, process
        process.threads.add(pid)
        process.mm.threads.add(pid)
        self.threads[pid] = thread
        self.fixup.executed(thread)
        self.keeper.executed(thread, old.signals)
        ptrace.resume(pid)

    def _leave(self, thread: Thread) -> None:
        process, mm = thread.process, thread.mm
        process.threads.discard(thread.tid)
        with self.lock:
            mm.left_by(thread.tid)
        if thread.stat >= 0:
            os.close(thread.stat)
            thread.stat = -1
        if not process.threads:
            self.processes.pop(process.pid, None)
        if not mm.threads:
            self.mm_gone(mm)

    def _ended(self, tid: int) -> None:
        self.unborn.discard(tid)
        thread = self.threads.pop(tid, None)
        if thread is not None:
            self._leave(thread)
            self.fixup.thread_ended(thread)
        for orphan in tuple(self.unborn):
            self._adopt(orphan)

    def _adopt(self, tid: int) -> None:
        """A new task whose parent may have died before it could tell: the task's own status says whose it is."""
        try:
            with open(f"/proc/{tid}/status") as file:
                fields = dict(line.split(":\t", 1) for line in file if ":\t" in line)
        except OSError:
            return
        group, father = int(fields["Tgid"]), int(fields["PPid"])
        known = self.processes.get(group)
        if known is None and father in self.processes:
            return  # the father lives: its event will come
        try:
            self._add(tid, known or Process(group, Mm.of(tid)), None, same_mm=known is not None)
        except ptrace.Gone:
            return
