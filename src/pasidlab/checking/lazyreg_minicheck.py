"""LazyReg in plain Python: the model that `pasidlab bench` has minicheck explore, where that is installed."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Iterator

from pasidlab.checking.engine_run import EngineRun

State = tuple[int, ...]
"""Of each CPU the task, the register and its owner, of each task need, last, mem, act and pc; then the value bound."""

_OF_CPU, _OF_TASK = 3, 5  # numbers


def minicheck_is_there() -> bool:
    """Whether it can be imported."""
    return importlib.util.find_spec("minicheck") is not None


def minicheck_explored(tasks: int, cpus: int) -> EngineRun:
    """The model explored by minicheck. It counts no steps: 0 stands for them. ImportError if it is not installed."""
    checker = importlib.import_module("minicheck")
    initial = (0,) * (_OF_CPU * cpus + _OF_TASK * tasks + 1)
    claims = {"lazy": lambda named: _holds(tuple(named.values()), cpus)}
    model = checker.Protocol(
        name="lazyreg", candidate=False, fields=tuple(f"x{n}" for n in range(len(initial))), initial=initial,
        transitions=lambda state: list(_steps(state, tasks, cpus)), invariants=claims,
    )  # fmt: skip
    begin = time.perf_counter()
    found = checker.check_safety(model, max_states=1 << 40)
    errors = sum(not one["holds"] for one in found["properties"].values())
    return EngineRun(found["reachable_states"], 0, errors, time.perf_counter() - begin)


def _steps(state: State, tasks: int, cpus: int) -> Iterator[tuple[str, State]]:
    """Every step: its name, and the state behind it. Tasks and CPUs are numbered from 1."""
    running = {state[_OF_CPU * c] for c in range(cpus)}
    for c in range(cpus):
        for t in range(tasks):
            for name, change in _steps_of(state, c, t, cpus, idle=t + 1 not in running):
                after = list(state)
                for place, value in change.items():
                    after[place] = value
                yield name, tuple(after)
    if not state[-1]:
        yield from (("bind", (*state[:-1], value)) for value in (1, 2, 3))


def _steps_of(state: State, c: int, t: int, cpus: int, *, idle: bool) -> Iterator[tuple[str, dict[int, int]]]:
    """The steps of one task on one CPU: the name, and the new numbers by their places."""
    cur = _OF_CPU * c
    need = _OF_CPU * cpus + _OF_TASK * t
    msr, owner, last, mem, act, pc = cur + 1, cur + 2, need + 1, need + 2, need + 3, need + 4
    if state[cur] == 0 and idle:
        yield "sched_in", {cur: t + 1, need: not (state[owner] == t + 1 and state[last] == c + 1)}
    if state[cur] != t + 1:
        return
    yield "sched_out", {cur: 0} if state[need] else {cur: 0, mem: state[msr]}
    step, bound = state[pc], state[-1]
    if step == 0 and state[need]:
        yield "restore", {msr: state[mem], owner: t + 1, last: c + 1, need: 0}
    elif step == 0 and not state[msr]:
        yield "enqcmd_fault", {pc: 1}
    elif step == 1:
        yield "gp_is_bound", {pc: 2 if bound else 0}
    elif step == 2:
        yield "gp_is_active", {pc: 0 if state[act] else 3}
    elif step == 3:
        yield "gp_activate", {act: 1, pc: 4}
    elif step == 4:
        yield "gp_populate", {mem: bound, last: 0, pc: 0} if state[need] else {msr: bound, pc: 0}


def _holds(state: State, cpus: int) -> bool:
    """All three properties, on every CPU."""
    for c in range(cpus):
        cur, msr, owner = state[_OF_CPU * c : _OF_CPU * (c + 1)]
        if msr not in (0, state[-1]):
            return False
        at = _OF_CPU * cpus + _OF_TASK * (cur - 1)
        if cur == 0 or state[at]:
            continue
        last, act, pc = state[at + 1], state[at + 3], state[at + 4]
        if (owner, last) != (cur, c + 1) or (act and pc != 4 and msr != state[-1]):
            return False
    return True
