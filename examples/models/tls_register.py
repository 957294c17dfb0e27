"""A register of each task that the kernel loads late: the tutorial's model (docs/own-model.md), from nothing to a verdict."""

from __future__ import annotations

from pasidlab.declare import NULL, each, event, initial, model, never, reached, require, rule, size, struct

model(
    sizes={"cpus": 2, "tasks": 2},
    mistakes={"one_sided": "switch_in() looks only at whose value the CPU has"},
    copies={"owner": "owner", "last_cpu": "last_cpu", "value": "register = saved = expected"},
)


@struct(count=size("cpus"), symmetric=True)
class Cpu:
    current: Task = NULL
    register: bool = False
    owner: Task = NULL


@struct(count=size("tasks"), symmetric=True)
class Task:
    saved: bool = False
    last_cpu: Cpu = NULL
    expected: bool = False  # what the program wrote last


@initial
def all_idle() -> None:
    pass


@rule()
def switch_in(cpu: Cpu, task: Task) -> None:
    require(cpu.current is None)
    for other in each(Cpu):
        require(other.current is not task)
    if cpu.owner is not task or (task.last_cpu is not cpu and not event("one_sided")):
        cpu.register = task.saved
    cpu.current, cpu.owner, task.last_cpu = task, task, cpu


@rule()
def switch_out(cpu: Cpu) -> None:
    require(cpu.current is not None)
    cpu.current.saved = cpu.register
    cpu.current = NULL


@rule()
def write(cpu: Cpu) -> None:
    require(cpu.current is not None)
    reached("preserved")
    cpu.register = not cpu.register
    cpu.current.expected = cpu.register


@never("preserved", "a program finds another value than it wrote")
def lost(cpu: Cpu) -> bool:
    return cpu.current is not None and cpu.register != cpu.current.expected
