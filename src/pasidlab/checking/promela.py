"""LazyReg in Promela, and its exploration by SPIN: the peer that `pasidlab bench` measures side by side."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_ALWAYS = ["-O3", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=16000", "-w"]
_SEARCHES = {"bfs": ["-DBFS"], "dfs": []}  # compiler flags
_STATES, _TRANSITIONS = re.compile(rb"(\d+) states, stored"), re.compile(rb"(\d+) transitions")
_ERRORS, _SECONDS = re.compile(rb"errors: (\d+)"), re.compile(rb"elapsed time ([\d.]+) seconds")


@dataclass(frozen=True)
class SpinRun:
    """One exploration by SPIN."""

    states: int
    transitions: int
    errors: int
    seconds: float  # as SPIN itself reports them


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


def build_spin(text: str, search: str, folder: Path) -> Path | None:
    """Compile a Promela text into SPIN's verifier for ``search`` "bfs" or "dfs"; None without spin and a C compiler."""
    spin, compiler = shutil.which("spin"), shutil.which("gcc") or shutil.which("cc")
    if spin is None or compiler is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pml").write_text(text)
    subprocess.run([spin, "-a", "model.pml"], cwd=folder, check=True, capture_output=True)
    flags = [*_ALWAYS, *_SEARCHES[search], "-o", "pan", "pan.c"]
    subprocess.run([compiler, *flags], cwd=folder, check=True, capture_output=True)
    return folder / "pan"


def run_spin(verifier: Path) -> SpinRun:
    """Explore everything with a verifier."""
    start = time.perf_counter()
    command = [str(verifier), "-m1000000"]  # longest path of a depth-first search
    output = subprocess.run(command, cwd=verifier.parent, check=True, capture_output=True).stdout
    wall = time.perf_counter() - start
    states, transitions, errors, seconds = (p.search(output) for p in (_STATES, _TRANSITIONS, _ERRORS, _SECONDS))
    if states is None or transitions is None or errors is None:
        raise ValueError(f"not SPIN's report: {output.decode(errors='replace')[:500]}")
    elapsed = float(seconds[1]) if seconds else 0.0
    return SpinRun(int(states[1]), int(transitions[1]), int(errors[1]), elapsed or wall)
