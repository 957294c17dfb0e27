"""The wait loop: every stop of every thread of the program and its descendants, and what is done about it."""

from __future__ import annotations

import contextlib
import os
import signal

from pasidlab.live import ptrace
from pasidlab.live.calls import Parts, SystemCalls
from pasidlab.live.emulate import PAGE_FAULT, Fault, Raised, Sent
from pasidlab.live.ending import dumps_core
from pasidlab.live.forced import NOTHING, Found
from pasidlab.live.guard import ENDING, PASSED_ON, Heard
from pasidlab.live.heirs import Heirs
from pasidlab.live.jobcontrol import JobControl
from pasidlab.live.kinship import kinship
from pasidlab.live.left import Left
from pasidlab.live.mortals import Mortals
from pasidlab.live.served import Interrupted
from pasidlab.live.state import AddressSpace, Iommu, Process, Thread, TrapFrame
from pasidlab.live.unborn import Unborn
from pasidlab.live.wanted import when_wanted

_BIRTHS = (ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE)
_MOMENT = 0.5  # seconds
_RAISED = (signal.SIGFPE, signal.SIGSYS, signal.SIGTRAP)  # by instructions that are never ours
_TRAP_TRACE = 2  # si_code, asm-generic/siginfo.h


class Tracer:
    """Owns all tracees. Every method but ``run`` is a handler of the loop, or part of one."""

    def __init__(self, threads: dict[int, Thread], iommu: Iommu, parts: Parts) -> None:
        self.threads, self.iommu = threads, iommu
        self.processes: dict[int, Process] = {}
        self.emulator, self.fixup, self.injector, self.keeper = parts.emulator, parts.fixup, parts.injector, parts.keeper
        self.calls, self.device, self.debugger = SystemCalls(threads, parts), parts.device, parts.debugger
        self.shortcuts = parts.emulator.shortcuts
        self.loop = parts.injector.loop
        self.loop.on_stop, parts.keeper.firsts.on_end = self._on_stop, self._ended
        self.unborn, self._heirs = Unborn(self.loop, threads, self._adopt), Heirs(threads, self.processes, self.calls.new_mm)
        self.heard, self.mortals, self.left = Heard(), Mortals(self.loop, threads), Left(self.loop, threads, self.unborn)
        self.calls.patient.on_long = self.mortals.look
        self.jobs = JobControl(self.loop, self.processes, threads, self.debugger)
        self.leader, self.status = 0, -1  # of the program: its first process, and its wait status once it is known
        self._ended_by = 0  # a signal of which the first process had to die

    def add_program(self, pid: int) -> None:
        """The program's first thread, just seized."""
        self.leader = self.jobs.leader = pid
        self._add(pid, Process(pid, self.calls.new_mm(pid)), None, same_mm=False)

    def run(self) -> int:
        """Until the program and all its descendants are gone, or given up; the leader's wait status.

        When the leader is killed by a signal, what is left of the program is killed too.
        """
        self.loop.run(self._handle, lambda: bool(self.threads or self.unborn) and not self.left.given_up)
        return self._ended_by or signal.SIGKILL if self.left.given_up and self.status < 0 else max(self.status, 0)

    def signalled(self) -> None:
        """A signal is on its way to the first process: a debugger that has not come is not waited for."""
        self.debugger.signalled()

    def insist(self, number: int) -> None:
        """A signal was sent to the first process a while ago. If it means the end wherever a thread waits, the process ends now.

        The kernel sees to that at once, but never for a traced process (complete_signal(), kernel/signal.c, v6.12). A debugger
        that holds the program may never answer. A process that dumps core hears of no signal (prepare_signal()).
        """
        process, held = self.processes.get(self.leader), self.debugger.holds()
        for other in tuple(self.processes.values()):
            if other is not process and not held:
                self.mortals.insist(other, number)
        if process is None or (held and number not in ENDING):
            return
        if (number in ENDING and dumps_core(process.pid)) or self.mortals.must_die(process, number, told=held):
            self._ended_by = number
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            self.loop.after(_MOMENT, self._help_to_end)

    def _help_to_end(self) -> None:
        """The first process was killed a moment ago. It may wait for another's file system (request_wait_answer(), fuse/dev.c, v6.12)."""
        if self.status < 0:
            self.left.kill()

    def _handle(self, tid: int, status: int) -> None:
        if status & 0xFF == 0x7F:
            self._stopped(tid, status >> 8 & 0xFF, status >> 16)
            return
        self._ended(tid)
        self.debugger.ended(tid, status)
        if tid == self.leader:
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            self.status = self._ended_by if killed and self._ended_by else status
            if os.WIFSIGNALED(status):
                self.loop.spawn(self.left.kill)  # once all deaths are told: whose death is not may have lost its number

    def _stopped(self, tid: int, stop: int, event: int) -> None:
        thread = self.threads.get(tid)
        if event == ptrace.EVENT_EXIT:
            if thread is not None:
                thread.mm.ends(tid)
            ptrace.resume(tid)
            return
        if thread is not None and thread.mm.in_exec and event != ptrace.EVENT_EXEC:
            self._hold_leader(tid)
        if thread is not None:
            thread.listens = thread.awaits_child = False
            thread.process.signals.taking.pop(tid, None)
            if event not in _BIRTHS:
                self.unborn.heard(tid)
        if thread is not None and thread.unborn:
            thread.unborn = False
            self.shortcuts.born(thread)
            self.debugger.born(thread)
        if thread is None:
            self.unborn.stopped(tid, stop, event)
        elif self.debugger.keeps(thread, stop, event):
            pass
        elif not event:
            self._signal(thread, stop)
        elif event == ptrace.EVENT_SECCOMP:
            self.calls.stopped(thread)
        elif event in _BIRTHS:
            self._born(thread, ptrace.event_message(tid), event)
            self.unborn.heard(tid)
            thread.awaits_child = event == ptrace.EVENT_VFORK
            ptrace.resume(tid)
        elif event == ptrace.EVENT_EXEC:
            self._executed(tid, ptrace.event_message(tid))
        elif event == ptrace.EVENT_STOP and stop in ptrace.GROUP_STOPS:
            thread.comes_to_stop()
            ptrace.listen(tid)
            self.jobs.stopped(thread.process, stop)
        else:
            thread.missed_stop = False
            self._go_on(thread)

    def _on_stop(self, tid: int) -> None:
        """A stop that a handler has waited for."""
        self.unborn.heard(tid)
        self._hold_leader(tid)

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
        signals = thread.process.signals
        if (thread.mm.portals and not signals.armed) or signals.unsure:  # another process's portals, which shares the memory; an heir
            self.keeper.arm(thread)
        self.injector.announce(thread)
        ptrace.resume(thread.tid)

    def _signal(self, thread: Thread, stop: int) -> None:
        may_be_ours = stop in self.keeper.signals
        code = ptrace.signal_code(thread.tid) if may_be_ours or stop == signal.SIGTRAP else 0
        if stop == signal.SIGTRAP and self.debugger.is_ours(thread, code):
            ptrace.resume(thread.tid)
            return
        raised = may_be_ours and code > 0  # by an instruction
        begins = bool(thread.mm.shortcut) and not raised and stop != ptrace.SYSCALL_STOP and self.shortcuts.interrupted(thread)
        if thread.batched:
            self._note(thread, stop)
            self.injector.keep(thread, stop, ptrace.signal_info(thread.tid))
            self._rest_of_batch(thread, stop)
        elif begins and stop == signal.SIGTRAP and code == _TRAP_TRACE:  # a program that steps: EFLAGS.TF
            self._trap(thread, stop, code)
        elif (again := thread.redeliver) and again.signal == stop:
            thread.redeliver = None
            self.keeper.hand_over(thread, again)
        elif info := self._comes_again(thread, stop):
            thread.announced = None
            self.injector.announce(thread)
            ptrace.set_signal_info(thread.tid, info)
            self._deliver(thread, stop, info, forced=False)
        elif stop == ptrace.SYSCALL_STOP:
            thread.mm.exec_ends(thread.tid)
            self._go_on(thread)
        elif not may_be_ours:
            self._pass_on(thread, stop)
        else:
            self._trap(thread, stop, code)

    def _pass_on(self, thread: Thread, stop: int) -> None:
        self._note(thread, stop)
        wanted = self.debugger.about_to_have(thread, stop)
        if wanted == stop and stop in _RAISED and ptrace.signal_code(thread.tid) > 0:
            self.keeper.firsts.let_go(thread, stop)
        self.keeper.stand_in.wait_for(thread, wanted)
        ptrace.resume(thread.tid, wanted)

    def _note(self, thread: Thread, stop: int) -> None:
        if thread.process.pid == self.leader and stop in (*PASSED_ON, *ptrace.GROUP_STOPS):
            info = ptrace.signal_info(thread.tid)
            self.heard.note(stop, info)
            self.jobs.had(stop, info)

    def _comes_again(self, thread: Thread, stop: int) -> bytes:
        """The siginfo of the signal that was sent again, if this is it, and no instruction has raised it meanwhile; else empty."""
        if not thread.announced or thread.announced[0] != stop or ptrace.signal_code(thread.tid) > 0:
            return b""
        return b"" if self.keeper.look(thread, stop).blocked else thread.announced[1]

    def _trap(self, thread: Thread, stop: int, code: int) -> None:
        """A signal, with its si_code, that one of our instructions may have raised. This is the fast path."""
        address, found = ptrace.fault_address(), self.keeper.look(thread, stop)
        if found.waits:  # dequeue_synchronous_signal() takes it although it is blocked: it goes back, behind the one that was raised
            ptrace.resume(thread.tid, stop)
            return
        other = found.blocked and self.keeper.keeps_waiting(thread, stop, code)
        if not other and (code <= 0 or (stop == signal.SIGILL and code != ptrace.ILL_ILLOPN)):
            self._deliver(thread, stop, ptrace.signal_info(thread.tid), forced=code == ptrace.SI_KERNEL)
            return
        raised, carried_out = None if other or stop == signal.SIGTRAP else Raised(stop, code, address), True
        again = when_wanted(thread, self.threads) if thread.mm.served and stop != signal.SIGTRAP else None
        try:
            if not self.emulator.step(thread, raised, again):
                info = thread.kept.pop()[1] if other else ptrace.signal_info(thread.tid)
                self._deliver(thread, stop, info, forced=not other and (code == ptrace.SI_KERNEL or ptrace.faulted(thread.tid)))
                return
        except Fault as fault:
            self._faults(thread, stop, found, fault)
            return
        except Sent:
            self.injector.keep(thread, stop, ptrace.signal_info(thread.tid))
            self.shortcuts.interrupted(thread)
            if thread.batched:
                self._rest_of_batch(thread, stop)
            else:
                self._go_on(thread)
            return
        except Interrupted:  # it is executed again
            carried_out = False
        if found.reset or found.blocked:
            self.keeper.restore(thread, stop, found)
        if carried_out:
            self.debugger.carried_out(thread)
        self.injector.wait_again(thread, self.keeper.signals)
        self.injector.announce(thread)
        self.keeper.placement.resume(thread.tid)

    def _rest_of_batch(self, thread: Thread, stop: int) -> None:
        """A signal, which is kept, came to a thread that has carried out some members of a batch: the instruction is carried out first."""
        try:
            self.emulator.step(thread)
        except Fault as fault:
            self._faults(thread, stop, NOTHING, fault)
            return
        if self.injector.wait_again(thread, self.keeper.signals):
            self._go_on(thread)
            return
        number, info = thread.kept[-1]
        if number == stop and stop not in (*self.keeper.signals, signal.SIGTRAP) and ptrace.stopped_by(thread.tid) == stop:
            thread.kept.pop()  # at once: one that is sent again may find no room (RLIMIT_SIGPENDING)
            ptrace.set_signal_info(thread.tid, info)
            self.injector.announce(thread)
            self._pass_on(thread, stop)
        else:
            self._go_on(thread)

    def _faults(self, thread: Thread, stop: int, found: Found, fault: Fault) -> None:
        """One of our instructions, at which the thread stopped for ``stop``, faults."""
        wanted = self.debugger.about_to_have(thread, fault.signal, fault.reason)
        undone = found.reset or found.blocked
        if undone:
            self.keeper.restore(thread, stop, found)
        if thread.kept and thread.kept[0][0] != fault.signal:
            self.injector.announce(thread)
        if wanted != fault.signal:
            ptrace.resume(thread.tid, wanted)
            return
        info = ptrace.fault_info(fault.signal, fault.code, fault.address)
        trap = TrapFrame(fault.trap, fault.error, fault.address if fault.trap == PAGE_FAULT else None)
        self.keeper.force(thread, fault.signal, info, trap, injected=undone)

    def _deliver(self, thread: Thread, stop: int, info: bytes, *, forced: bool) -> None:
        """The signal of this stop, or what a debugger makes of it. ``forced``: an instruction has raised it."""
        wanted = self.debugger.about_to_have(thread, stop)
        if wanted == stop:
            self.keeper.deliver(thread, stop, info, forced=forced)
        else:
            ptrace.resume(thread.tid, wanted)

    # Tasks come and go

    def _add(self, tid: int, process: Process, parent: Thread | None, *, same_mm: bool) -> None:
        thread = self.threads[tid] = Thread(tid, process)
        if parent:
            thread.child_of(parent)
        self.processes[process.pid] = process
        process.threads.add(tid)
        process.mm.threads.add(tid)
        self.fixup.thread_started(thread, parent, same_mm=same_mm)
        stands = self.unborn.known(tid)
        if stands:
            self.loop.put_back(tid, *stands)

    def _born(self, parent: Thread, child: int, event: int) -> None:
        kin, process = kinship(parent, child, event), parent.process
        if kin is None:
            self._adopt(child, process.pid, maker=process)
            return
        if not kin.same_process:
            signals = process.signals if kin.same_handlers else process.signals.copy()
            mm = process.mm if kin.same_mm else self.calls.new_mm(child, process.mm)
            process = Process(child, mm, signals, filtered=process.filtered)
        self._add(child, process, parent, same_mm=kin.same_mm)
        if not ptrace.is_traced(child):  # its death was told before
            self._ended(child)

    def _executed(self, pid: int, former: int) -> None:
        """exec: a new address space; the thread that called it becomes the leader, the others are gone."""
        thread = self.threads[former]
        self._bequeath(thread, {former, pid})
        self.threads.pop(former)
        if former != pid:
            self._ended(pid)
        old = thread.process
        before = thread.mm
        self._leave(thread)
        before.exec_ends(former)  # where it was shared with another process it goes on
        process = Process(pid, self.calls.new_mm(pid), filtered=old.filtered)
        self.processes[pid] = process
        thread.tid, thread.process = pid, process
        thread.kept.clear()
        thread.begins_image()
        process.threads.add(pid)
        process.mm.threads.add(pid)
        self.threads[pid] = thread
        self.fixup.executed(thread)
        at_exit = self.keeper.executed(thread, old.signals)
        self.debugger.executed(thread, at_exit=at_exit)
        ptrace.resume(pid)

    def _leave(self, thread: Thread) -> None:
        process, mm = thread.process, thread.mm
        self._heirs.remember(thread)
        self.shortcuts.left(thread)
        process.threads.discard(thread.tid)
        mm.left_by(thread.tid)
        if not process.threads:
            self.processes.pop(process.pid, None)
        if not mm.threads:
            self.device.abort(mm)
            self.iommu.exit(mm)
            self.shortcuts.gone(mm)

    def _bequeath(self, thread: Thread, ending: set[int]) -> None:
        """A thread, and all ``ending``, are about to be gone: who has their memory, and has not been told of, has it now."""
        if thread.mm.threads <= ending and thread.mm.portals:
            for heir in self._heirs.of_memory(thread.mm):
                self._adopt(heir, thread.process.pid, thread.mm)

    def _ended(self, tid: int) -> None:
        self.unborn.known(tid)
        self.unborn.heard(tid)
        if tid in self.threads:
            self._bequeath(self.threads[tid], {tid})
        thread = self.threads.pop(tid, None)
        if thread is not None:
            thread.mm.exec_ends(thread.tid)
            self._leave(thread)
            self.fixup.thread_ended(thread)
            self.keeper.ended(thread)
            if tid == thread.process.pid:  # told last; one that called exec(2) and was killed before that was told has this number
                for other in tuple(thread.process.threads):
                    self._ended(other)

    def _adopt(self, tid: int, father: int, mm: AddressSpace | None = None, maker: Process | None = None) -> None:
        """A new task whose maker has died before it could tell, or as it told: it has what its maker had."""
        process, thread, same_mm = self._heirs.process(tid, father, mm, maker)
        if process and tid not in self.threads:
            self._add(tid, process, thread, same_mm=same_mm)
            if not ptrace.is_traced(tid):
                self._ended(tid)
