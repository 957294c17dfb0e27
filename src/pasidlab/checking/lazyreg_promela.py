"""LazyReg in Promela: the model that `pasidlab bench` has SPIN explore."""

from __future__ import annotations


def lazyreg_promela(tasks: int, cpus: int) -> str:
    """The text of LazyReg: one process that picks an enabled step for ever; every step checks the three properties."""
    steps = [step for c in range(cpus) for t in range(tasks) for step in _task_steps(c, t, cpus)]
    steps += [f"pasid == 0 -> pasid = {value}" for value in (1, 2, 3)]
    checks = "; ".join(f"assert({claim})" for c in range(cpus) for claim in _claims(c))
    options = "\n".join(f"    :: d_step {{ {step}; holds() }}" for step in steps)
    return f"""\
byte cur[{cpus}], msr[{cpus}], owner[{cpus}];  /* of each CPU; tasks and CPUs are numbered from 1, 0 is none */
bit need[{tasks}], act[{tasks}];  /* of each task */
byte last[{tasks}], mem[{tasks}], pc[{tasks}];
byte pasid;

inline holds() {{ {checks} }}

active proctype machine() {{
    do
{options}
    od
}}
"""


def _claims(c: int) -> list[str]:
    """The properties of CPU c."""
    task = f"cur[{c}] - 1"
    return [
        f"cur[{c}] == 0 || need[{task}] || (owner[{c}] == cur[{c}] && last[{task}] == {c + 1})",
        f"msr[{c}] == 0 || msr[{c}] == pasid",
        f"cur[{c}] == 0 || need[{task}] || !act[{task}] || pc[{task}] == 4 || msr[{c}] == pasid",
    ]


def _task_steps(c: int, t: int, cpus: int) -> list[str]:
    """The steps of task t on CPU c: guard -> effects."""
    idle = " && ".join([f"cur[{c}] == 0", *(f"cur[{d}] != {t + 1}" for d in range(cpus) if d != c)])
    here = f"cur[{c}] == {t + 1}"
    return [
        f"{idle} -> cur[{c}] = {t + 1}; need[{t}] = !(owner[{c}] == {t + 1} && last[{t}] == {c + 1})",
        f"{here} && need[{t}] -> cur[{c}] = 0",
        f"{here} && !need[{t}] -> cur[{c}] = 0; mem[{t}] = msr[{c}]",
        f"{here} && need[{t}] && pc[{t}] == 0 -> msr[{c}] = mem[{t}]; owner[{c}] = {t + 1}; last[{t}] = {c + 1}; need[{t}] = 0",
        f"{here} && !need[{t}] && pc[{t}] == 0 && msr[{c}] == 0 -> pc[{t}] = 1",
        f"{here} && pc[{t}] == 1 -> pc[{t}] = (pasid == 0 -> 0 : 2)",
        f"{here} && pc[{t}] == 2 -> pc[{t}] = (act[{t}] -> 0 : 3)",
        f"{here} && pc[{t}] == 3 -> act[{t}] = 1; pc[{t}] = 4",
        f"{here} && pc[{t}] == 4 && need[{t}] -> pc[{t}] = 0; mem[{t}] = pasid; last[{t}] = 0",
        f"{here} && pc[{t}] == 4 && !need[{t}] -> pc[{t}] = 0; msr[{c}] = pasid",
    ]
