"""Follows every CPU and every task through the events, by the table of explanations. Compiled; stops where Python has to decide.

What is known of a CPU and of a task is a row of numbers. A row of zeros is one of which nothing is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pasidlab.observe.explanations import (
    ANY_AWAY,
    ANY_RUNNING,
    AS_IT_WAS,
    EITHER,
    GONE,
    IMPOSSIBLE,
    MISSING,
    NEW_TASK,
    NOT_SO,
)
from pasidlab.observe.kinds import BH_OFF, CALLS, IRQS_OFF, SETTERS, TRACED, Kind
from pasidlab.observe.pages import CPU, FLAGS, KIND, PID, A, B, C
from pasidlab.search.memory import compiled

Table = NDArray[np.int64]

# Columns of a CPU's row. Tasks and CPUs are stored as their number plus one, where 0 says that nobody knows.
CURRENT, SET, LEAVING, NEXT, OWNER, SEEN = range(6)
CPU_COLUMNS = 6
# Columns of a task's row.
AWAY, LAST, OUT, RUNS_ON, IS, FPU, CHILD_FPU, SHOWN, SETS = range(9)
TASK_COLUMNS = 9
# What is known of the machine: how often a tracer has set somebody's registers, and whether calls tell of it. ``SETS`` of a task is
# that number when it was last switched out.
TRACERS_SET, TOLD_OF_TRACERS = range(2)
MACHINE_COLUMNS = 2
NOBODY = -1
"""An owner, or a last_cpu, that is known to be none."""

KNOWN, KERNEL, EXITING, BLIND, MADE = 1, 2, 4, 8, 16
"""Bits of ``IS``. KNOWN: somebody saw it begin. KERNEL: it has no xstate of its own. BLIND: its own events are not in the recording.
MADE: task_newtask has told of it, and its fork is to come."""

# Why following has stopped; the numbers are those of STOPS.
END, NEED_ENTRY, LOST_EVENTS, OTHER_PID, STRANGER, NO_BEHAVIOUR, TWO_CPUS, WRONG_PREV, WRONG_SAVE = range(9)

SIGRETURN, KVM_FPU = int(Kind.sys_enter_rt_sigreturn), int(Kind.kvm_fpu)
SIG_DFL, SIG_IGN, SIGSEGV = 0, 1, 11
"""asm-generic/signal-defs.h, asm/signal.h."""
CLONE_UNTRACED, CLONE_THREAD = 0x00800000, 0x00010000
"""create_io_thread() and vhost_task_create() make threads of a program that have no xstate of their own (PF_USER_WORKER); such a thread
makes others. Threads of the kernel itself have no CLONE_THREAD."""

SWITCH, FORK, EXEC, EXIT = int(Kind.sched_switch), int(Kind.sched_process_fork), int(Kind.sched_process_exec), int(Kind.sched_process_exit)
ACTIVATED, DEACTIVATED, DROPPED = (
    int(Kind.x86_fpu_regs_activated), int(Kind.x86_fpu_regs_deactivated), int(Kind.x86_fpu_dropped),
)  # fmt: skip
COPY_DST, BEFORE, AFTER = int(Kind.x86_fpu_copy_dst), int(Kind.x86_fpu_before_save), int(Kind.x86_fpu_after_save)
WAIT, SIGNAL, NEWTASK, LOST = int(Kind.sched_process_wait), int(Kind.signal_deliver), int(Kind.task_newtask), int(Kind.LOST)

KERNEL_FPU_BEGIN = int(Kind.kernel_fpu_begin_mask)
FIRST_CALL, LAST_CALL = int(CALLS[0]), int(CALLS[-1])
FIRST_SETTER, LAST_SETTER = int(SETTERS[0]), int(SETTERS[-1])

_TABLES = "Tuple((int64[:,::1], int64[:,::1], int64[::1]))"
_RULES = "Tuple((int64[:,::1], int64[:,::1], int64[::1], int64, int64, int64[:,::1]))"
KnownRows = tuple[Table, Table, Table]
"""Rows of the CPUs, rows of the tasks, and what is known of the machine."""
Rules = tuple[Table, Table, Table, int, int, Table]
"""Of ``Explanations``: table, uses, column, enter, leave, pairs."""


@compiled(f"int64({_RULES}, int64, int64)")
def _next(rules: Rules, number: int, column: int) -> int:
    """The next set; the use of the entry is counted."""
    if column < 0:
        return IMPOSSIBLE
    to: int = rules[0][number, column]
    if to >= 0:
        rules[1][number, column] += 1
    return to


@compiled(f"int64({_TABLES}, {_RULES}, int64, int64[::1])")
def _leave(known: KnownRows, rules: Rules, cpu: int, asked: Table) -> int:
    """The task that was switched out has left the CPU."""
    cpus, tasks, _ = known
    here = cpus[cpu]
    prev = here[CURRENT] - 1
    if prev > 0 and here[SET] >= 0:
        to = _next(rules, here[SET], rules[4])
        if to < 0:
            asked[0], asked[1] = here[SET], rules[4]
            return NEED_ENTRY if to == MISSING else NO_BEHAVIOUR
        row = tasks[prev]
        row[RUNS_ON] = 0
        if to == GONE:
            row[:] = 0
            row[IS] = EXITING
        else:
            row[AWAY], row[OUT] = to + 1, cpu + 1
    elif prev > 0:
        tasks[prev, RUNS_ON] = 0
    here[LEAVING], here[CURRENT] = 2, 0
    return END


@compiled(f"int64({_RULES}, int64[::1], int64[::1], int64[::1], int64, int64)")
def _arrival(rules: Rules, here: Table, row: Table, machine: Table, cpu: int, pid: int) -> int:
    """The column of a task that is switched in: whether the CPU's owner and the task's last CPU are what they were."""
    owner, last = EITHER, EITHER
    if here[OWNER] == pid + 1:
        owner = AS_IT_WAS if row[OUT] == cpu + 1 else EITHER
    elif here[OWNER] != 0:
        owner = NOT_SO
    if row[LAST] == cpu + 1:
        last = AS_IT_WAS if row[OUT] == cpu + 1 else EITHER
    elif row[LAST] != 0:
        last = NOT_SO
    column = rules[3] + owner * 3 + last
    return column if machine[TOLD_OF_TRACERS] and row[SETS] == machine[TRACERS_SET] else column + 9


@compiled(f"int64({_TABLES}, {_RULES}, int64, int64[::1])")
def _settle(known: KnownRows, rules: Rules, cpu: int, asked: Table) -> int:
    """The task that was switched out has left the CPU; the next one is there."""
    cpus, tasks, machine = known
    here = cpus[cpu]
    if here[LEAVING] == 1:
        stopped = _leave(known, rules, cpu, asked)
        if stopped != END:
            return stopped
    pid = here[NEXT] - 1
    row = tasks[pid]
    if pid > 0:
        other = row[RUNS_ON] - 1
        if other >= 0 and other != cpu:
            if cpus[other, LEAVING] != 1 or cpus[other, CURRENT] != pid + 1:
                return TWO_CPUS
            stopped = _leave(known, rules, other, asked)
            if stopped != END:
                return stopped
    if pid == 0 or row[IS] & KERNEL:
        here[SET] = -1
    else:
        if not row[IS] & KNOWN:
            return STRANGER
        away = row[AWAY] - 1 if row[AWAY] else ANY_AWAY
        column = _arrival(rules, here, row, machine, cpu, pid)
        to = _next(rules, away, column)
        if to < 0:
            asked[0], asked[1] = away, column
            return NEED_ENTRY if to == MISSING else NO_BEHAVIOUR
        here[SET] = to
    here[CURRENT], here[LEAVING] = pid + 1, 0
    if pid > 0:
        row[RUNS_ON] = cpu + 1
    return END


@compiled(f"int64({_TABLES}, {_RULES}, int64[::1], int64[::1])")
def _judge(known: KnownRows, rules: Rules, event: Table, asked: Table) -> int:
    """The set of the task that runs, after its event."""
    cpus, tasks, _ = known
    kind, here, row = event[KIND], cpus[event[CPU]], tasks[event[PID]]
    if kind in (ACTIVATED, DEACTIVATED, DROPPED, COPY_DST, BEFORE, AFTER):
        of_current = event[A] == row[FPU]
        if row[FPU] == 0 and kind not in (COPY_DST, DROPPED):
            row[FPU] = event[A]
            of_current = True
        number = (
            kind * 16 + (8 if of_current else 0) + (4 if event[B] else 0)
            + (2 if event[FLAGS] & IRQS_OFF else 0) + (1 if event[FLAGS] & BH_OFF else 0)
        )  # fmt: skip
    elif kind == SIGNAL:
        number = kind * 16 + (4 if event[B] not in (SIG_DFL, SIG_IGN) else 0) + (2 if event[A] == SIGSEGV else 0)
    elif kind == SWITCH:
        number = kind * 16 + (4 if event[B] & TRACED else 0)
    elif kind == KVM_FPU:
        number = kind * 16 + (4 if event[A] else 0)
    elif kind in (FORK, EXEC, EXIT, WAIT, SIGRETURN) or FIRST_CALL <= kind <= LAST_CALL:
        number = kind * 16
    else:
        return END
    to = _next(rules, here[SET], rules[2][number])
    if to < 0:
        asked[0], asked[1] = here[SET], rules[2][number]
        return NEED_ENTRY if to == MISSING else NO_BEHAVIOUR
    here[SET] = to
    column = rules[2][number] + 1
    rules[5][row[SHOWN], column] += 1
    row[SHOWN] = column
    return END


@compiled(f"int64({_TABLES}, {_RULES}, int64, int64[::1])")
def _free_pid(known: KnownRows, rules: Rules, pid: int, asked: Table) -> int:
    """A new task gets the pid: the one that had it has left its CPU, though nothing was recorded there since."""
    cpus, tasks, _ = known
    cpu = tasks[pid, RUNS_ON] - 1
    if cpu >= 0 and cpus[cpu, LEAVING] == 1 and cpus[cpu, CURRENT] == pid + 1:
        return _leave(known, rules, cpu, asked)
    return END


@compiled("int64(int64[::1], int64[::1], int64[::1], int64)")
def _note_made(child: Table, row: Table, here: Table, flags: int) -> int:
    """What task_newtask says of the task that is made, and of the one that makes it."""
    if flags & CLONE_UNTRACED and flags & CLONE_THREAD:
        child[:] = 0
        child[IS] = KNOWN | KERNEL
        return 0
    child[IS] = MADE
    if flags & CLONE_UNTRACED and row[FPU] == 0 and row[CHILD_FPU] == 0:
        row[IS], here[SET] = KNOWN | KERNEL, -1  # text lists no tasks: user_mode_thread() of a kernel thread copies no registers
    return 0


@compiled(f"int64({_TABLES}, int64[::1], boolean)")
def _note(known: KnownRows, event: Table, saved: bool) -> int:
    """What an event says besides: who owns the registers, where a task was last, who is there."""
    cpus, tasks, machine = known
    kind, cpu, pid = event[KIND], event[CPU], event[PID]
    here, row = cpus[cpu], tasks[pid]
    if kind == SWITCH:
        here[LEAVING], here[NEXT] = 1, event[A] + 1
        row[SETS] = machine[TRACERS_SET]
    elif kind == KERNEL_FPU_BEGIN:
        here[OWNER] = NOBODY
    elif FIRST_SETTER <= kind <= LAST_SETTER:
        machine[TRACERS_SET] += 1
    elif kind == ACTIVATED:
        here[OWNER], row[LAST] = pid + 1, cpu + 1
        row[IS] &= ~EXITING  # who loads registers goes on to user mode
    elif kind == DEACTIVATED:
        if saved:
            row[LAST] = cpu + 1
        else:
            here[OWNER] = NOBODY
    elif kind == COPY_DST:
        row[CHILD_FPU] = event[A]  # the task may go on elsewhere before its fork is told
    elif kind == FORK:
        child = tasks[event[A]]
        child[:] = 0
        if row[IS] & KERNEL:
            child[IS] = KNOWN | KERNEL
        else:
            child[IS], child[AWAY], child[LAST], child[FPU] = KNOWN, NEW_TASK + 1, NOBODY, row[CHILD_FPU]
            child[SETS] = machine[TRACERS_SET]
    elif kind == NEWTASK:
        _note_made(tasks[event[A]], row, here, event[B])
    elif kind == EXIT:
        row[IS] |= EXITING
    elif kind == EXEC:
        row[IS] &= ~EXITING  # it has exchanged its pid with that of its leader
    return 0


@compiled(f"boolean({_TABLES}, int64[::1])")
def _is_save_of_leaving(known: KnownRows, event: Table) -> bool:
    """The fpu is that of the task that is being switched out."""
    here = known[0][event[CPU]]
    leaving = here[LEAVING] == 1 and here[CURRENT] > 1
    return bool(leaving and event[KIND] == DEACTIVATED and known[1][here[CURRENT] - 1, FPU] == event[A])


@compiled(f"int64({_TABLES}, {_RULES}, int64[::1], boolean, int64[::1])")
def _before(known: KnownRows, rules: Rules, event: Table, saved: bool, asked: Table) -> int:
    """What has happened before an event, and shows only by it."""
    if event[KIND] in (NEWTASK, FORK):
        stopped = _free_pid(known, rules, event[A], asked)
        if stopped != END:
            return stopped
    if known[0][event[CPU], LEAVING] == 0 or saved:
        return END
    return WRONG_SAVE if _is_save_of_leaving(known, event) else _settle(known, rules, event[CPU], asked)


@compiled(f"int64({_TABLES}, {_RULES}, int64[::1], int64[::1])")
def _event(known: KnownRows, rules: Rules, event: Table, asked: Table) -> int:
    """One event. Where it stops, the event is to be given again once Python has decided: what was done before is not done twice."""
    cpus, tasks, _ = known
    kind, cpu, pid = event[KIND], event[CPU], event[PID]
    here = cpus[cpu]
    if kind == LOST:
        return LOST_EVENTS
    saved = kind == DEACTIVATED and here[LEAVING] == 1 and here[CURRENT] == pid + 1
    stopped = _before(known, rules, event, saved, asked)
    if stopped != END:
        return stopped
    row = tasks[pid]
    if here[CURRENT] == 0:
        if pid > 0 and not row[IS] & KERNEL and not row[IS] & KNOWN:
            return STRANGER
        if pid > 0 and row[RUNS_ON] != 0:
            return TWO_CPUS
        here[CURRENT] = pid + 1
        here[SET] = -1 if pid == 0 or row[IS] & KERNEL else ANY_RUNNING
        row[RUNS_ON] = cpu + 1
    elif here[CURRENT] != pid + 1:
        return OTHER_PID
    if kind == SWITCH and event[C] != pid:
        return WRONG_PREV
    if here[SET] >= 0:
        stopped = _judge(known, rules, event, asked)
        if stopped != END:
            return stopped
    elif kind in (ACTIVATED, EXEC):
        # A task that the kernel made for a program (call_usermodehelper()) has become one.
        if pid == 0:
            return NO_BEHAVIOUR
        row[IS] = (row[IS] | KNOWN) & ~KERNEL
        here[SET] = ANY_RUNNING
    _note(known, event, saved)
    here[SEEN] += 1
    return END


@compiled(f"int64({_TABLES}, {_RULES}, int64[:,::1], int64, int64[::1])")
def follow(known: KnownRows, rules: Rules, events: Table, start: int, asked: Table) -> int:
    """Follow events from a row on. Returns the row where Python has to decide, or the number of rows; ``asked[2]`` says why."""
    for row in range(start, len(events)):
        stopped = _event(known, rules, events[row], asked)
        if stopped != END:
            asked[2] = stopped
            return row
    asked[2] = END
    return len(events)
