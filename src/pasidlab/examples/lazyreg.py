"""LazyReg: a lazily loaded register per task, N tasks on C CPUs: the benchmark model of explicit-state checkers.

Rules only, no contexts: ``pasidlab check src/pasidlab/examples/lazyreg.py --events +bug`` finds what its mistake breaks.
"""

from __future__ import annotations

from typing import Annotated

from pasidlab.declare import NULL, Range, each, event, initial, model, never, reached, require, rule, singleton, size, struct

model(
    sizes={"cpus": 2, "tasks": 2},
    mistakes={"bug": "the last step of the handler edits the memory image and forgets the copies in registers"},
)

CPUS = size("cpus")
TASKS = size("tasks")
Value = Annotated[int, Range(0, 3)]
Step = Annotated[int, Range(0, 4)]


@struct(count=CPUS)
class Cpu:
    """One CPU: who runs, the register, and whose value it last held."""

    cur: Task = NULL
    msr: Value = 0
    owner: Task = NULL


@struct(count=TASKS)
class Task:
    """One task: does it need its register loaded, where it was last, the memory image, its place in the fault
    handler.
    """

    need: bool = False
    last: Cpu = NULL
    mem: Value = 0
    act: bool = False
    pc: Step = 0


@struct(count=1)
class Process:
    """What the tasks share; 0 is unbound."""

    pasid: Value = 0


process = singleton(Process)


@initial
def all_idle() -> None:
    """Nobody runs, nothing is bound."""


@rule()
def sched_in(c: Cpu, t: Task) -> None:
    """A task starts to run; it needs its register unless this CPU still holds it."""
    require(c.cur is None)
    for d in each(Cpu):
        require(d.cur is not t)
    c.cur = t
    t.need = not (c.owner is t and t.last is c)


@rule()
def sched_out(c: Cpu, t: Task) -> None:
    """A task stops; its register is saved if it was live."""
    require(c.cur is t)
    if not t.need:
        t.mem = c.msr
    c.cur = NULL


@rule()
def restore(c: Cpu, t: Task) -> None:
    """The register is loaded from memory."""
    require(c.cur is t and t.need and t.pc == 0)
    c.msr = t.mem
    c.owner = t
    t.last = c
    t.need = False
    reached("owner")


@rule()
def enqcmd_fault(c: Cpu, t: Task) -> None:
    """The task uses the register while it is empty."""
    require(c.cur is t and not t.need and t.pc == 0 and c.msr == 0)
    t.pc = 1


@rule()
def gp_is_bound(c: Cpu, t: Task) -> None:
    """The handler asks whether there is a value at all."""
    require(c.cur is t and t.pc == 1)
    t.pc = 0 if process.pasid == 0 else 2


@rule()
def gp_is_active(c: Cpu, t: Task) -> None:
    """The handler asks whether the task was served before."""
    require(c.cur is t and t.pc == 2)
    t.pc = 0 if t.act else 3


@rule()
def gp_activate(c: Cpu, t: Task) -> None:
    """The handler marks the task as served."""
    require(c.cur is t and t.pc == 3)
    t.act = True
    t.pc = 4


@rule()
def gp_populate(c: Cpu, t: Task) -> None:
    """The handler writes the register if it is live, else memory, and then no register may pass for a copy."""
    require(c.cur is t and t.pc == 4)
    if t.need:
        t.mem = process.pasid
        if not event("bug"):
            t.last = NULL
    else:
        c.msr = process.pasid
    t.pc = 0
    reached("msrval")
    reached("coherent")


@rule()
def bind(value: Value) -> None:
    """The process gets its value."""
    require(process.pasid == 0 and value != 0)
    process.pasid = value


@never("owner", "the register is live but belongs to another task or CPU")
def live_but_not_owned(c: Cpu, t: Task) -> bool:
    """Live registers are owned."""
    return c.cur is t and not t.need and not (c.owner is t and t.last is c)


@never("msrval", "the register holds a value that was never bound")
def strange_value(c: Cpu) -> bool:
    """Only the bound value gets into a register."""
    return c.msr != 0 and c.msr != process.pasid


@never("coherent", "a served task runs with a register that is not the bound value")
def served_but_empty(c: Cpu, t: Task) -> bool:
    """Once served, a running task has the value."""
    return c.cur is t and not t.need and t.act and t.pc != 4 and c.msr != process.pasid
