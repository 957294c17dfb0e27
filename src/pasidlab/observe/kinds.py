"""The events that are recorded, and which of their fields are looked at: one table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What an event is. The names are the kernel's."""

    OTHER = 0
    x86_fpu_regs_activated = 1
    x86_fpu_regs_deactivated = 2
    x86_fpu_dropped = 3
    x86_fpu_copy_dst = 4
    x86_fpu_copy_src = 5
    x86_fpu_before_save = 6
    x86_fpu_after_save = 7
    x86_fpu_before_restore = 8
    x86_fpu_after_restore = 9
    x86_fpu_init_state = 10
    x86_fpu_xstate_check_failed = 11
    sched_switch = 12
    sched_migrate_task = 13
    sched_process_fork = 14
    sched_process_exec = 15
    sched_process_exit = 16
    sched_process_wait = 17
    task_newtask = 18
    task_rename = 19
    signal_deliver = 20
    softirq_entry = 21
    softirq_exit = 22
    kvm_fpu = 23
    write_msr = 24
    function = 25
    LOST = 26
    """Not an event of the kernel: ``a`` events were lost on this CPU before the next one (0: the kernel does not say how many)."""
    kernel_fpu_begin_mask = 27
    """The first of CALLS: calls of functions that the model has, by the function tracer."""
    switch_fpu_return = 28
    fpu_flush_thread = 29
    kernel_fpu_end = 30
    fpu_clone = 31
    fpu__drop = 32
    fpregs_mark_activate = 33
    fpu__clear_user_states = 34
    copy_fpstate_to_sigframe = 35
    fpu__restore_sig = 36
    fpu_sync_fpstate = 37
    fpregs_lock_and_load = 38
    fpu_swap_kvm_fpstate = 39
    xfpregs_set = 40
    """The first of SETTERS."""
    xstateregs_set = 41
    fpregs_set = 42
    ssp_set = 43
    sys_enter_rt_sigreturn = 44


IRQS_OFF, BH_OFF = 0x01, 0x80
"""Of an event's flags: TRACE_FLAG_IRQS_OFF, TRACE_FLAG_BH_OFF (include/linux/trace_events.h, v6.12)."""
TRACED = 0x08
"""Of prev_state, "t" in text: __TASK_TRACED (include/linux/sched.h, v6.12)."""
IA32_PASID = 0xD93
"""SDM vol. 4."""
IS_FPU = frozenset(kind for kind in Kind if kind.name.startswith("x86_fpu_"))


@dataclass(frozen=True)
class Recorded:
    """One event: where tracefs has it, and up to four fields (``a`` to ``d``); ``name+8`` is what lies 8 bytes into a field."""

    kind: Kind
    system: str
    fields: tuple[str, ...]
    filter: str = ""
    needed: bool = False
    """Without this event nothing can be said."""

    @property
    def path(self) -> str:
        """``system/event``."""
        return f"{self.system}/{self.kind.name}"


_FPU = ("fpu", "load_fpu", "xfeatures", "xcomp_bv")

EVENTS = (
    Recorded(Kind.x86_fpu_regs_activated, "x86_fpu", _FPU, needed=True),
    Recorded(Kind.x86_fpu_regs_deactivated, "x86_fpu", _FPU, needed=True),
    Recorded(Kind.x86_fpu_dropped, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_copy_dst, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_copy_src, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_before_save, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_after_save, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_before_restore, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_after_restore, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_init_state, "x86_fpu", _FPU),
    Recorded(Kind.x86_fpu_xstate_check_failed, "x86_fpu", _FPU),
    Recorded(Kind.sched_switch, "sched", ("next_pid", "prev_state", "prev_pid", "next_comm"), needed=True),
    Recorded(Kind.sched_migrate_task, "sched", ("pid", "orig_cpu", "dest_cpu")),
    Recorded(Kind.sched_process_fork, "sched", ("child_pid", "parent_pid")),
    Recorded(Kind.sched_process_exec, "sched", ("pid", "old_pid")),
    Recorded(Kind.sched_process_exit, "sched", ("pid",)),
    Recorded(Kind.sched_process_wait, "sched", ("pid",)),
    Recorded(Kind.task_newtask, "task", ("pid", "clone_flags", "comm", "comm+8")),
    Recorded(Kind.task_rename, "task", ("pid", "", "newcomm", "newcomm+8")),
    Recorded(Kind.signal_deliver, "signal", ("sig", "sa_handler")),
    Recorded(Kind.sys_enter_rt_sigreturn, "syscalls", ("__syscall_nr",)),
    Recorded(Kind.softirq_entry, "irq", ("vec",)),
    Recorded(Kind.softirq_exit, "irq", ("vec",)),
    Recorded(Kind.kvm_fpu, "kvm", ("load",)),
    Recorded(Kind.write_msr, "msr", ("msr", "val"), filter=f"msr == {IA32_PASID:#x}"),
)
OPTIONAL = (Kind.sched_process_wait, Kind.sys_enter_rt_sigreturn, Kind.kvm_fpu)
"""Events that the model shows, and that a recording may lack: more is guessed then."""
CALLS = tuple(kind for kind in Kind if Kind.kernel_fpu_begin_mask <= kind <= Kind.fpu_swap_kvm_fpstate)
"""Calls that are steps of a task's own. What a traced function does needs no guess."""
SETTERS = (Kind.xfpregs_set, Kind.xstateregs_set, Kind.fpregs_set, Kind.ssp_set)
"""Calls by which a tracer writes another task's registers: struct user_regset of arch/x86/kernel/ptrace.c, v6.12. They do not say whose."""
CALLED = {kind.name: kind for kind in (*CALLS, *SETTERS)}
"""Functions whose calls are looked at, by their names."""
FUNCTION = Recorded(Kind.function, "ftrace", ("ip", "parent_ip"))
