"""A model of CPUs that become busy, and of a limit: how many instances show is not what is true for any number."""

FEW = """
from __future__ import annotations
from typing import Annotated
from pasidlab.declare import NULL, Range, initial, model, never, pick, reached, require, rule, singleton, size, struct, each, index, at

model(sizes={"cpus": 2, "tasks": 2})
CPUS = size("cpus")

@struct(count=CPUS)
class Cpu:
    busy: bool = False
    runs: Task = NULL

@struct(count=size("tasks"))
class Task:
    mark: bool = False

@struct(count=1)
class Count:
    n: Annotated[int, Range(0, 7)] = 0

count = singleton(Count)

@initial
def idle() -> None:
    pass

@rule()
def arrive(c: Cpu, t: Task) -> None:
    require(not c.busy)
    c.busy = True
    c.runs = t
    if count.n < 5:
        count.n += 1
    reached("few")

@never("few", "too many CPUs are busy")
def many() -> bool:
    return count.n >= LIMIT
"""
