"""How contexts begin and end, written in the language itself.

Each CPU has a stack of contexts: ``current`` in user or kernel mode, above it the scheduler, a softirq, a hard interrupt or
IPI handler. A program counter of 0 means "not active" (for a task: in user mode). Only the top of the stack moves.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.lang.declare import Range, base, happens, instruction, require, rule

# ruff: noqa: F821 - names of the model this is compiled with
# mypy: disable-error-code="name-defined, misc"
HARDIRQ_ENTRY = 1
IPI_ENTRY = 2
SOFTIRQ_ENTRY = 1
SCHEDULE_ENTRY = 1
EXIT_TO_USER = 1

ProgramCounter = Annotated[int, Range(0, 65535)]  # narrowed to what each program needs
NestingCount = Annotated[int, Range(0, 7)]


@base
class CpuContext:
    """What the language keeps for each CPU."""

    irqs_off: bool = False
    preempt_count: NestingCount = 0
    softirq_count: NestingCount = 0
    hardirq_pc: ProgramCounter = 0
    softirq_pc: ProgramCounter = 0
    schedule_pc: ProgramCounter = 0
    ipi_pending: bool = False


@base
class TaskContext:
    """What the language keeps for each task."""

    pc: ProgramCounter = 0
    on_cpu: bool = False  # some CPU, or the task building or tracing it, has it for itself


def leave_user_mode() -> None:
    """An interrupt of user mode enters the kernel: the task will take the way back to user mode."""
    if current is not None and this_cpu.softirq_pc == 0 and current.pc == 0:
        current.pc = EXIT_TO_USER


@rule(event="hardirq")
def arrive_hardirq() -> None:
    """A hard interrupt between two instructions."""
    require(not this_cpu.irqs_off and this_cpu.hardirq_pc == 0)
    leave_user_mode()
    this_cpu.hardirq_pc = HARDIRQ_ENTRY
    this_cpu.irqs_off = True


@rule(follows="ipi")
def arrive_ipi() -> None:
    """An inter-processor interrupt that another CPU has sent."""
    require(this_cpu.ipi_pending and not this_cpu.irqs_off and this_cpu.hardirq_pc == 0)
    leave_user_mode()
    this_cpu.hardirq_pc = IPI_ENTRY
    this_cpu.irqs_off = True


@instruction
def return_from_hardirq() -> None:
    """irq_exit_rcu(), then the interrupted context; softirqs run first when user mode was interrupted."""
    if current is not None and this_cpu.softirq_pc == 0 and current.pc == EXIT_TO_USER:
        if happens("softirq"):
            start_softirq()
        else:
            this_cpu.irqs_off = True
    else:
        this_cpu.irqs_off = False


def start_softirq() -> None:
    """__do_softirq(): interrupts on, BH off."""
    this_cpu.softirq_pc = SOFTIRQ_ENTRY
    this_cpu.softirq_count = 1
    this_cpu.irqs_off = False


@rule(event="softirq")
def arrive_softirq() -> None:
    """A softirq on the way out of an interrupt whose handler did nothing of interest here."""
    require(not this_cpu.irqs_off and this_cpu.hardirq_pc == 0 and this_cpu.softirq_pc == 0 and this_cpu.softirq_count == 0)
    leave_user_mode()
    start_softirq()


@instruction
def return_from_softirq() -> None:
    """Back to the interrupted context: a task that was in user mode goes on with interrupts off."""
    this_cpu.softirq_count = 0
    this_cpu.irqs_off = current is not None and current.pc == EXIT_TO_USER


def return_from_syscall() -> None:
    """What a kernel asks of a system call that is about to take the way back to user mode: nothing here."""


def may_schedule() -> bool:
    """Nothing on this CPU forbids a switch of tasks."""
    return (
        not this_cpu.irqs_off and this_cpu.preempt_count == 0 and this_cpu.softirq_count == 0
        and this_cpu.hardirq_pc == 0 and this_cpu.softirq_pc == 0 and this_cpu.schedule_pc == 0
    )  # fmt: skip


def begin_schedule() -> None:
    """__schedule(): interrupts off until the next task runs."""
    this_cpu.schedule_pc = SCHEDULE_ENTRY
    this_cpu.irqs_off = True


@rule(event="preempt")
def preempt() -> None:
    """A task loses its CPU to preemption: in the kernel where it may, in user mode on the way back from an interrupt."""
    require(current is not None and may_schedule())
    leave_user_mode()
    begin_schedule()


@rule()
def block() -> None:
    """A task that sleeps gives up its CPU."""
    require(current is not None and may_schedule() and sleeping(current.pc))
    begin_schedule()


@rule(obliged="work_is_waiting")
def look_for_work() -> None:
    """An idle CPU looks for work, perhaps in vain."""
    require(current is None and may_schedule())
    begin_schedule()


@instruction
def return_from_schedule() -> None:
    """finish_task_switch(): every task was switched out with interrupts on."""
    this_cpu.irqs_off = False
