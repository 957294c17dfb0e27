"""Small models, each of which leans on one thing the language says: what stands around them, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reference.random_models import RandomModel

BASE = """\
from typing import Annotated

Small = Annotated[int, Range(0, 7)]

@struct(count=size("cpus"))
class Cpu(CpuContext):
    current: Task = NULL
    slot: Small = 0
    busy: bool = False
    id: Small = 0

@struct(count=size("tasks"))
class Task(TaskContext):
    mine: Small = 0
    flag: bool = False

@struct(count=2)
class Box:
    n: Small = 0
    next: Box = NULL

@struct(count=1)
class Shared:
    n: Small = 0
    m: Small = 0
    a: bool = False
    b: bool = False
    box: Box = NULL

shared = singleton(Shared)

def work_is_waiting() -> bool:
    for task in each(Task):
        if not task.on_cpu and not sleeping(task.pc):
            return True
    return False

@instruction
def next_task() -> Task | None:
    if current is not None and maybe():
        return None
    return take(pick(Task))

@context("schedule")
def schedule() -> None:
    prev = current
    task = next_task()
    this_cpu.current = task
    if prev is not None:
        release(prev)

@user()
def call() -> None:
    enter(entry_point)

"""
BOOT = """\
@initial
def begin() -> None:
    at(Cpu, 0).current = at(Task, 0)
    at(Task, 0).on_cpu = True
    shared.box = at(Box, 0)
    at(Box, 0).next = at(Box, 1)

"""
FILE = Path(__file__).with_name("cases.model")


@dataclass(frozen=True)
class Case:
    """One model, the properties that are broken in it, and whether pasidlab refuses it."""

    model: RandomModel
    broken: frozenset[str]
    refused: bool


def cases() -> dict[str, Case]:
    """Every case of ``cases.model`` by its title."""
    found = {}
    for section in FILE.read_text(encoding="utf-8").split("\n### ")[1:]:
        title, where, text = section.split("\n", 2)
        counts, events, broken, *refused = where.removeprefix("#").split("|")
        cpus, tasks = map(int, counts.split())
        whole = BASE + ("" if "def begin()" in text else BOOT) + text
        happening = dict(event.partition(":")[::2] for event in events.split())
        limits = {event: int(most) for event, most in happening.items() if most}
        model = RandomModel(whole, {"cpus": cpus, "tasks": tasks}, frozenset(happening), limits)
        found[title] = Case(model, frozenset(broken.split()), bool(refused))
    return found
