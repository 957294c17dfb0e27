"""Tracepoints that note what they show: these functions take the place of the model's empty ones.

In the modelling language, read and not run. ``ring`` holds the event of a step; whoever takes steps empties it again.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.lang.declare import Range, instruction, maybe, never, singleton, struct
from pasidlab.model.ambient import current, this_cpu
from pasidlab.model.state import TASK_TRACED, Task

NO_EVENT = 0
NO_SUCH_EVENT = 63
REGS_ACTIVATED = 1
REGS_DEACTIVATED = 2
DROPPED = 3
COPY_DST = 4
BEFORE_SAVE = 6
AFTER_SAVE = 7
SCHED_SWITCH = 12
SCHED_PROCESS_FORK = 14
SCHED_PROCESS_EXEC = 15
SCHED_PROCESS_EXIT = 16
SCHED_PROCESS_WAIT = 17
SIGNAL_DELIVER = 20
KVM_FPU = 23
SYS_ENTER_RT_SIGRETURN = 44


@struct(count=1)
class Ring:
    """What the ring buffer got in this step. The numbers are those of ``observe.kinds``."""

    event: Annotated[int, Range(0, 63)] = 0
    of_current: bool = False  # the fpu of the event is current's
    load_fpu: bool = False  # TIF_NEED_FPU_LOAD of current; signal_deliver: has a handler; sched_switch: "t"; kvm_fpu: "load"
    irqs_off: bool = False  # of signal_deliver, that it is SIGSEGV
    bh_off: bool = False
    untold: bool = False  # no event tells of the step, and it is counted


ring = singleton(Ring)


@never("sound_kernel", "a tracepoint notes an event that does not exist")
def notes_no_such_event() -> bool:
    """Somebody has to look at the ring, or it would leave the state as of no use."""
    return ring.event == NO_SUCH_EVENT and ring.of_current and ring.load_fpu and ring.irqs_off and ring.bh_off and ring.untold


def note(event: int, of_current: bool) -> None:
    """What every event has: common_flags, and TIF_NEED_FPU_LOAD of current."""
    ring.event = event
    ring.of_current = of_current
    ring.load_fpu = False
    if current is not None:
        ring.load_fpu = current.need_fpu_load
    ring.irqs_off = this_cpu.irqs_off
    ring.bh_off = this_cpu.softirq_count != 0


@instruction
def no_event() -> None:
    """Something is done that no event tells of, whatever becomes of the registers."""
    ring.untold = True


@instruction
def trace_x86_fpu_regs_activated(fpu: Task) -> None:
    note(REGS_ACTIVATED, fpu is current)


@instruction
def trace_x86_fpu_regs_deactivated(fpu: Task) -> None:
    note(REGS_DEACTIVATED, fpu is current)


@instruction
def trace_x86_fpu_dropped(fpu: Task) -> None:
    note(DROPPED, fpu is current)


@instruction
def trace_x86_fpu_copy_dst(fpu: Task) -> None:
    note(COPY_DST, fpu is current)


@instruction
def trace_x86_fpu_before_save(fpu: Task) -> None:
    note(BEFORE_SAVE, fpu is current)


@instruction
def trace_x86_fpu_after_save(fpu: Task) -> None:
    note(AFTER_SAVE, fpu is current)


@instruction
def trace_sched_switch() -> None:
    """``prev_state`` is "t" if a tracer has stopped the task: where the model says so, and perhaps anywhere else (PTRACE_SYSCALL)."""
    note(SCHED_SWITCH, current is not None)
    ring.load_fpu = False
    if current is not None:
        ring.load_fpu = current.state == TASK_TRACED or maybe()


@instruction
def trace_sched_process_fork() -> None:
    note(SCHED_PROCESS_FORK, True)


@instruction
def trace_sched_process_exec() -> None:
    note(SCHED_PROCESS_EXEC, True)


@instruction
def trace_sched_process_exit() -> None:
    note(SCHED_PROCESS_EXIT, True)


@instruction
def trace_sched_process_wait() -> None:
    note(SCHED_PROCESS_WAIT, True)


@instruction
def trace_sys_enter_rt_sigreturn() -> None:
    note(SYS_ENTER_RT_SIGRETURN, True)


@instruction
def trace_signal_deliver(handled: bool, segv: bool) -> None:
    note(SIGNAL_DELIVER, True)
    ring.load_fpu = handled
    ring.irqs_off = segv


@instruction
def trace_kvm_fpu(load: bool) -> None:
    note(KVM_FPU, True)
    ring.load_fpu = load
