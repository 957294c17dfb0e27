"""Keeps the program's SIGILL, SIGSEGV and SIGBUS state as the program left it.

An exception's signal cannot be blocked or ignored: the kernel then resets the handler to SIG_DFL and unblocks the
signal before the tracer sees it (force_sig_info_to_task, kernel/signal.c). Whether that happened shows in the handler,
provided it was not SIG_DFL to begin with; so a marker handler stands in for SIG_DFL and SIG_IGN from the first portal on.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from signal import SIGBUS, SIGILL, SIGSEGV, SIGTRAP

from pasidlab.live import ptrace
from pasidlab.live.descriptors import binary_file
from pasidlab.live.firsts import FirstProcesses
from pasidlab.live.forced import Forced, Found
from pasidlab.live.inject import SYSCALL, Injector
from pasidlab.live.lending import Lender
from pasidlab.live.libc import SYS_RT_SIGACTION
from pasidlab.live.markers import DFL, IGN, handler_of, is_for_once, marker, unmarked
from pasidlab.live.placement import Placement
from pasidlab.live.registers import ORIG_RAX, R10, RAX, RDI, RDX, RIP, RSI, RSP, RegisterArray, Registers
from pasidlab.live.standin import HandedOver, StandIn, tell_of_trap
from pasidlab.live.state import Redelivery, SignalState, Thread, TrapFrame

_SIZE = 32  # struct sigaction of the kernel: handler, flags, restorer, mask
_ALL = (1 << 64) - 1
_IGNORED = -20  # in /proc/PID/stat, counted from the end (fs/proc/array.c)
_SEGV_CODES = (ptrace.SEGV_MAPERR, ptrace.SEGV_ACCERR, ptrace.SI_KERNEL)  # si_code, asm-generic/siginfo.h

TRAP_SIGNALS = (SIGILL, SIGSEGV, SIGBUS)
"""What a submission can raise: an unknown instruction; or, where the CPU knows it, the inaccessible portal.

CPUID is not asked: under a hypervisor it may hide MOVDIR64B while the CPU still executes it.
"""


class SignalKeeper:
    """Arms processes, sees resets, undoes them, and delivers the program's own signals."""

    def __init__(self, injector: Injector, signals: tuple[int, ...]) -> None:
        self.injector, self.loop, self.signals = injector, injector.loop, signals
        self.placement, self.lender = Placement(), Lender(injector)
        self.stand_in = StandIn(self.loop, self._exchange)
        self.forced, self.firsts = Forced(self.placement, signals), FirstProcesses(injector.loop)

    def arm(self, thread: Thread) -> None:
        """At a stop that is no signal's, in a process with a scratch page: learn its handlers, put markers where there are none."""
        state, mm = thread.process.signals, thread.mm
        with mm.ours:
            if (state.armed and not state.unsure) or not mm.scratch:
                return
            state.unsure, found = False, {}
            for signal in self.signals:
                action = self._exchange_at(thread, signal, b"", mm.scratch)
                if action is None:
                    return  # no call can be injected here
                found[signal] = unmarked(action, state.actions.get(signal))
            state.actions = found
            for signal in self.signals:
                if handler_of(state.actions[signal]) in (DFL, IGN):
                    self._set(thread, signal, marker(state.actions[signal]))
            state.armed = True
        self.stand_in.give_back(thread)

    def _effective(self, thread: Thread, signal: int) -> bytes:
        action = thread.process.signals.actions[signal]
        return marker(action) if handler_of(action) in (DFL, IGN) else action

    def _set(self, thread: Thread, signal: int, action: bytes) -> bool:
        """rt_sigaction; whether it could be injected."""
        return self._exchange(thread, signal, action) is not None

    def _set_anew(self, thread: Thread, signal: int) -> None:
        """What the program has set. While that is being done others cannot tell by the handler what has become of it."""
        thread.process.signals.resets.add((thread.tid, signal))
        self._set(thread, signal, self._effective(thread, signal))
        self.forced.restored(thread, signal)

    def _exchange(self, thread: Thread, signal: int, action: bytes) -> bytes | None:
        """rt_sigaction: the action before; None if it could not be injected, or that memory has been taken away meanwhile."""
        mm = thread.mm
        if not mm.scratch:
            return None
        if mm.served:  # the program may serve our page, which nobody holds then: memory below the stack, if there is any
            registers = Registers()
            ptrace.get_registers(thread.tid, registers)
            with self.lender.below(thread, registers, 2 * _SIZE) as place:
                if place:
                    return self._exchange_at(thread, signal, action, place)
        with mm.ours:
            return self._exchange_at(thread, signal, action, mm.scratch)

    def _exchange_at(self, thread: Thread, signal: int, action: bytes, place: int) -> bytes | None:
        """See ``_exchange``. No ``action``: the one before stays."""
        memory, before = thread.mm.memory, place + _SIZE
        memory.write(place, action)
        if self.injector.call(thread, thread.mm.syscall_at, SYS_RT_SIGACTION, signal, place if action else 0, before, 8):
            return None
        told = memory.read_or_gone(before, _SIZE)
        return told if len(told) == _SIZE else None

    def _reset(self, thread: Thread, signal: int) -> None:
        """SIG_DFL, so that the next ``signal`` is the thread's last."""
        mm = thread.mm
        done = self._set(thread, signal, bytes(_SIZE)) if mm.scratch else self._set_without_scratch(thread, signal, DFL)
        if not done and (signal == SIGSEGV or not self._reset_by_delivery(thread, signal)):
            self._reset_by_fault(thread, signal)

    def _reset_by_delivery(self, thread: Thread, signal: int) -> bool:
        """Where no call can be injected the kernel does it as it delivers the signal to our marker (SA_RESETHAND). That is undone, and
        the signal sent once more. False if the marker is not there, or the stack has no room for the frame.
        """
        tid, registers, state = thread.tid, Registers(), thread.process.signals
        if not state.armed or handler_of(state.actions[signal]) not in (DFL, IGN):
            return False
        mask = ptrace.signal_mask(tid) & ~(1 << signal - 1)
        ptrace.get_registers(tid, registers)
        ptrace.set_signal_mask(tid, mask)
        ptrace.step(tid, signal)
        stop, event = self.loop.wait(tid)
        ptrace.set_registers(tid, registers)
        ptrace.set_signal_mask(tid, mask)
        self.injector.send(thread, signal)
        return stop == SIGTRAP and not event

    def _reset_by_fault(self, thread: Thread, signal: int) -> None:
        """Where no call can be injected the kernel does it: a fault whose signal is blocked (force_sig_info_to_task). All others are
        blocked too: no handler of the program's may begin there.
        """
        tid, registers, mask = thread.tid, Registers(), ptrace.signal_mask(thread.tid)
        ptrace.get_registers(tid, registers)
        elsewhere = ptrace.copy_registers(registers)
        elsewhere[RIP] = thread.mm.scratch  # not executable, or not even mapped: SIGSEGV
        ptrace.set_registers(tid, elsewhere)
        ptrace.set_signal_mask(tid, _ALL)
        stop = event = 0
        while stop != SIGSEGV or event:
            ptrace.run_for_us(tid, 0 if event else stop)
            stop, event = self.loop.wait(tid)
        ptrace.set_registers(tid, registers)
        ptrace.set_signal_mask(tid, mask)

    def look(self, thread: Thread, signal: int) -> Found:
        """At the stop of ``signal``: what the kernel changed to have an instruction raise it."""
        return self.forced.look(thread, signal)

    def keeps_waiting(self, thread: Thread, signal: int, code: int) -> bool:
        """At the stop of a signal that the thread blocked: whether another one was waiting already, whose siginfo this is. It is kept.

        The kernel queues none twice (legacy_queue(), kernel/signal.c).
        """
        registers, info = Registers(), ptrace.signal_info(thread.tid)
        ptrace.get_registers(thread.tid, registers)
        if signal == SIGILL:
            own = info == ptrace.fault_info(signal, ptrace.ILL_ILLOPN, registers[RIP])
        else:
            own = code > 0 and (code not in _SEGV_CODES or not any(info[24 if code < ptrace.SI_KERNEL else 16 :]))
        if not own:
            self.injector.keep(thread, signal, info)
        return not own

    def restore(self, thread: Thread, signal: int, found: Found) -> None:
        """Undo what was found: handler and mask as before the exception."""
        if found.reset:
            mask = ptrace.signal_mask(thread.tid)
            self._set_anew(thread, signal)
            ptrace.set_signal_mask(thread.tid, mask)
        if found.blocked:
            ptrace.set_signal_mask(thread.tid, ptrace.signal_mask(thread.tid) | 1 << signal - 1)
        self.forced.restored(thread, signal)

    def on_sigaction(self, thread: Thread, registers: RegisterArray) -> None:
        """At the seccomp stop of rt_sigaction for one of our signals: let it take effect on the remembered action.

        The program's memory, which may be slow to come, is read before and written after our page is held.
        """
        state, mm = thread.process.signals, thread.mm
        signal, wanted, result = registers[RDI] & 0xFFFFFFFF, registers[RSI], registers[RDX]
        self.stand_in.wait_for(thread, signal)
        if wanted:
            state.lent.pop(signal, None)
        if not state.armed or signal not in self.signals or not mm.scratch or registers[R10] != 8:
            ptrace.resume(thread.tid)
            return
        action = mm.memory.read(wanted, _SIZE) if wanted else b""
        if len(action) == _SIZE:
            failed, before = self._change(thread, registers, signal, action)
        else:
            failed, before = -errno.EFAULT if wanted else 0, state.actions[signal]
        if not failed and result and mm.memory.write(result, before) < _SIZE:
            failed = -errno.EFAULT
        registers[ORIG_RAX], registers[RAX] = (1 << 64) - 1, failed & (1 << 64) - 1
        ptrace.set_registers(thread.tid, registers)
        ptrace.resume(thread.tid)

    def _change(self, thread: Thread, registers: RegisterArray, signal: int, action: bytes) -> tuple[int, bytes]:
        """Let the call happen with what we make of ``action``: its result, and the action before."""
        state, mm = thread.process.signals, thread.mm
        ours = marker(action) if handler_of(action) in (DFL, IGN) else action

        def prepare(place: int) -> RegisterArray:
            mm.memory.write(place, ours)
            changed = ptrace.copy_registers(registers)
            changed[RSI], changed[RDX] = place, 0
            state.resets.add((thread.tid, signal))  # from now on the call may have set a handler that was reset
            return changed

        if mm.served:  # our page too, maybe: nobody must hold it while that is waited for
            failed = self.lender.call(thread, registers, _SIZE, prepare)
            return failed, self._is_set(thread, signal, action, failed)
        with mm.ours:
            ptrace.set_registers(thread.tid, prepare(mm.scratch))
            failed = self.injector.run_to_exit(thread.tid)
            return failed, self._is_set(thread, signal, action, failed)

    def _is_set(self, thread: Thread, signal: int, action: bytes, failed: int) -> bytes:
        """rt_sigaction has returned: the action before."""
        state = thread.process.signals
        before = state.actions[signal]
        self.forced.restored(thread, signal)
        if not failed:
            state.actions[signal] = action
        return before

    def ended(self, thread: Thread) -> None:
        """The thread is gone."""
        self.forced.ended(thread)
        thread.process.signals.taking.pop(thread.tid, None)

    def executed(self, thread: Thread, before: SignalState) -> bool:
        """exec(2) keeps ignored signals ignored, but resets our marker: ignore again what the program ignored. Whether the thread
        has come to the call's exit.
        """
        ignored = [signal for signal in self.signals if before.armed and handler_of(before.actions[signal]) == IGN]
        if not ignored:
            return False
        self.injector.run_to_exit(thread.tid)
        for signal in ignored:
            self._set_without_scratch(thread, signal, IGN)
        return True

    def _set_without_scratch(self, thread: Thread, signal: int, handler: int) -> bool:
        """SIG_DFL or SIG_IGN in a process without a page of ours: through its stack and a borrowed instruction. Whether it was injected."""
        registers, memory = Registers(), thread.mm.memory
        ptrace.get_registers(thread.tid, registers)
        at, place = registers[RIP] & -8, registers[RSP] - 512
        kept = memory.read(at, 8) or thread.mm.instructions_at(thread.tid, at, 8)  # the program itself may not read it
        try:
            memory.poke(thread.tid, at, SYSCALL + kept[len(SYSCALL) :])
        except OSError:  # nothing is there that could be changed
            return False
        memory.write(place, handler.to_bytes(_SIZE, "little"))
        done = self.injector.call(thread, at, SYS_RT_SIGACTION, signal, place, 0, 8)
        memory.poke(thread.tid, at, kept)
        return done == 0

    def deliver(self, thread: Thread, signal: int, info: bytes, *, forced: bool) -> None:
        """Let the program have ``signal`` with ``info`` at this signal stop, as if it had never been traced. ``forced``: its instruction
        has raised it.
        """
        state = thread.process.signals
        if signal in self.signals and state.armed:
            handler = handler_of(state.actions[signal])
            found = self.look(thread, signal)
            if found.guessed and not forced:
                found = replace(found, blocked=False)
            if handler == IGN and not forced:
                ptrace.resume(thread.tid)
                return
            dies = handler in (DFL, IGN) or (forced and found.blocked)
            if dies and not (forced and found.blocked and found.reset):
                self._dies(thread, signal, info)
                return
            if not dies and (found.reset or self._others_may_reset(thread)):
                self._deliver_aside(thread, signal, info, found)
                return
        if forced:
            self.firsts.let_go(thread, signal)
        self._take(thread, signal)

    def _take(self, thread: Thread, signal: int) -> None:
        """The thread goes on with ``signal``. Where its handler is for one call only (SA_RESETHAND), get_signal() has reset it by then."""
        if not self._is_for_once(thread, signal):
            ptrace.resume(thread.tid, signal)
            return
        ptrace.step(thread.tid, signal)
        stop, event = self.loop.wait(thread.tid)
        if stop != SIGTRAP or event:
            self.loop.put_back(thread.tid, stop, event)
            return
        self._called_once(thread, signal)
        Injector.rejoin(thread)
        ptrace.resume(thread.tid)

    def _is_for_once(self, thread: Thread, signal: int) -> bool:
        state = thread.process.signals
        return signal in self.signals and state.armed and is_for_once(state.actions[signal])

    def _called_once(self, thread: Thread, signal: int) -> None:
        """At the first instruction of such a handler: the program has SIG_DFL from now on, and the kernel our marker."""
        state = thread.process.signals
        state.actions[signal] = bytes(8) + state.actions[signal][8:]
        self._set_anew(thread, signal)

    @staticmethod
    def _others_may_reset(thread: Thread) -> bool:
        """Whether other threads may have these handlers (CLONE_SIGHAND). Any of them may block the signal and submit at any moment."""
        return len(thread.mm.threads) > 1

    def _deliver_aside(self, thread: Thread, signal: int, info: bytes, found: Found) -> None:
        """See ``deliver``: the handler, which others may reset at any moment, is called by another number."""
        state = thread.process.signals
        state.resets.discard((thread.tid, signal))
        came = self._enter(thread, signal, info)
        if came is HandedOver.IN_HANDLER:
            self.injector.announce(thread)
            ptrace.resume(thread.tid)
        elif came is HandedOver.NO_ROOM:
            return
        elif found.reset:
            self.restore(thread, signal, replace(found, blocked=False))
            self.injector.keep(thread, signal, info)
            self.injector.announce(thread)
            ptrace.resume(thread.tid)
        elif ptrace.stopped_by(thread.tid) == signal:
            self._take(thread, signal)
        else:
            self.again(thread, signal, info)

    def _enter(self, thread: Thread, signal: int, info: bytes) -> HandedOver:
        """By a stand-in to the handler's first instruction. If SIGSEGV finds no room for its frame, the thread dies (force_sigsegv())."""
        came = self.stand_in.deliver(thread, signal, info, thread.process.signals.actions[signal])
        if came is HandedOver.IN_HANDLER:
            if self._is_for_once(thread, signal):
                self._called_once(thread, signal)
            Injector.rejoin(thread)
        elif came is HandedOver.NO_ROOM and signal == SIGSEGV:
            self._dies(thread, signal, ptrace.signal_info(thread.tid))
        elif came is HandedOver.NO_ROOM:
            self.loop.put_back(thread.tid, SIGSEGV, 0)
        return came

    def _dies(self, thread: Thread, signal: int, info: bytes) -> None:
        """Of ``signal``, at its next stop."""
        self._reset(thread, signal)
        self.again(thread, signal, info, dies=True)

    def again(self, thread: Thread, signal: int, info: bytes, trap: TrapFrame | None = None, *, dies: bool = False) -> None:
        """Bring about a new signal stop, which is then for ``hand_over``."""
        thread.redeliver = Redelivery(signal, info, trap, dies)
        ptrace.resume(thread.tid, signal)

    def hand_over(self, thread: Thread, given: Redelivery) -> None:
        """At the signal stop of a signal: deliver it with this siginfo, and a frame that tells of the trap."""
        signal, info, trap = given.signal, given.info, given.trap
        ptrace.set_signal_info(thread.tid, info)
        if ptrace.code_of(info) > 0:
            self.firsts.let_go(thread, signal, emulated=trap is not None and signal != SIGILL)
        came = HandedOver.NOT_BEGUN
        if not given.dies and thread.process.signals.armed and self._others_may_reset(thread):
            came = self._enter(thread, signal, info)
            if came is HandedOver.NO_ROOM:
                return
        if came is HandedOver.NOT_BEGUN:
            if trap is None:
                self._take(thread, signal)
                return
            ptrace.step(thread.tid, signal)
            stop, event = self.loop.wait(thread.tid)
            if stop != SIGTRAP or event:  # no room for the frame: the kernel's own SIGSEGV
                self.loop.put_back(thread.tid, stop, event)
                return
            if self._is_for_once(thread, signal):
                self._called_once(thread, signal)
            Injector.rejoin(thread)
        if trap:
            tell_of_trap(thread, trap)
        ptrace.resume(thread.tid)

    def force(self, thread: Thread, signal: int, info: bytes, trap: TrapFrame, *, injected: bool) -> None:
        """Raises a fault of the program's instruction, as force_sig_fault() does. A blocked or ignored signal kills."""
        mask, bit = ptrace.signal_mask(thread.tid), 1 << signal - 1
        dies = bool(mask & bit) or self._without_handler(thread, signal)
        if dies:
            self._reset(thread, signal)
            ptrace.set_signal_mask(thread.tid, mask & ~bit)
        if injected or dies:
            self.again(thread, signal, info, trap, dies=dies)
        else:
            self.hand_over(thread, Redelivery(signal, info, trap, dies=False))

    def _without_handler(self, thread: Thread, signal: int) -> bool:
        """Whether our marker must go before delivery, or the program ignores the signal."""
        state = thread.process.signals
        if state.armed:
            return handler_of(state.actions[signal]) in (DFL, IGN)
        with binary_file(f"/proc/{thread.process.pid}/task/{thread.tid}/stat") as file:
            return bool(int(file.read().split()[_IGNORED]) >> (signal - 1) & 1)
