"""Random models of a few rules, and whether what is proved for any number holds in a larger instance.

.venv/bin/python tests/prove/random_rules.py FIRST_SEED COUNT
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from pasidlab.checking.agreement import whole_model
from pasidlab.designs import Opening
from pasidlab.lang.back.native import compile_model
from pasidlab.prove.proof import prove
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget

HEAD = """
from __future__ import annotations
from typing import Annotated
from pasidlab.declare import NULL, Range, each, initial, model, never, pick, reached, require, rule, singleton, size, struct

model(sizes={"cpus": 2, "tasks": 2})

@struct(count=size("cpus"))
class Cpu:
    a: bool = False
    v: Annotated[int, Range(0, 2)] = 0
    r: Task = NULL

@struct(count=size("tasks"))
class Task:
    b: bool = False
    w: Annotated[int, Range(0, 2)] = 0
    l: Cpu = NULL

@struct(count=1)
class Shared:
    g: Annotated[int, Range(0, 2)] = 0
    o: Task = NULL

shared = singleton(Shared)

@initial
def start() -> None:
    pass
"""
ATOMS = (
    "c.a", "not c.a", "t.b", "not t.b", "c.v == {n}", "c.v != {n}", "t.w == {n}", "t.w != {n}", "c.v == t.w", "c.r is t", "c.r is not t",
    "c.r is None", "c.r is not None", "t.l is c", "t.l is not c", "t.l is None", "shared.g == {n}", "shared.g != {n}", "shared.g == c.v",
    "shared.o is t", "shared.o is None", "shared.o is not t", "c.r is not None and c.r.b", "c.r is None or not c.r.b",
    "t.l is not None and t.l.a",
)  # fmt: skip
DEEDS = (
    "c.a = True", "c.a = False", "t.b = True", "t.b = False", "c.v = {n}", "t.w = {n}", "c.v = t.w", "t.w = c.v", "c.r = t", "c.r = NULL",
    "t.l = c", "t.l = NULL", "shared.g = {n}", "shared.g = c.v", "shared.g = (shared.g + 1) % 3", "shared.o = t", "shared.o = NULL",
    "t.b = not t.b", "c.v = 2 - t.w", "shared.o = c.r", "shared.g = 1 if c.a else 2", "t.l = pick(Cpu)", "c.r = pick(Task)",
)  # fmt: skip
LOOPS = (
    "    for d in each(Cpu):\n        require(d.r is not t)\n",
    "    for d in each(Cpu):\n        require(d is c or not d.a)\n",
    "    for u in each(Task):\n        require(u is t or u.l is not c or u.b)\n",
    "    for u in each(Task):\n        require(not u.b)\n",
    "    for d in each(Cpu):\n        if d.r is t and d is not c:\n            d.a = True\n            break\n",
    "    for u in each(Task):\n        if u.l is c:\n            c.r = u\n            break\n",
    "    found = False\n    for d in each(Cpu):\n        if d.v == 2:\n            found = True\n            break\n"
    "    require({no}found)\n",
)


def text_of(seed: int) -> str:
    """A model."""
    chance = random.Random(seed)

    def some(of: tuple[str, ...], number: int) -> list[str]:
        return [chance.choice(of).format(n=chance.randrange(3)) for _ in range(number)]

    parts = [HEAD]
    for number in range(chance.randint(2, 5)):
        guard = " and ".join(some(ATOMS, chance.randint(1, 3)))
        parts.append(f"\n@rule()\ndef rule{number}(c: Cpu, t: Task) -> None:\n    require({guard})\n")
        if chance.random() < 0.5:
            parts.append(chance.choice(LOOPS).format(no=chance.choice(["", "not "])))
        parts += [f"    {deed}\n" for deed in some(DEEDS, chance.randint(1, 3))]
    bad = " and ".join(f"({atom})" for atom in some(ATOMS, chance.randint(2, 4)))
    parts.append('    reached("fine")\n')
    parts.append(f'\n@never("fine", "something is bad")\ndef bad(c: Cpu, t: Task) -> bool:\n    return {bad}\n')
    return "".join(parts)


def judged(seed: int, folder: Path) -> str:
    """What became of a model: "violated", "proved", "open"; "WRONG" where something is proved that is not so."""
    file = folder / f"random_{seed}.py"
    file.write_text(text_of(seed))
    design = Opening(str(file)).design()
    proof = prove(design, design.scope(), design.property_names, beside=((1, 2),), deadline=time.monotonic() + 10)
    if proof.broken is not None:
        return "violated"
    if not proof.proved:
        return "open"
    for cpus, tasks in ((1, 1), (2, 1), (3, 2), (2, 3), (4, 1), (3, 3)):
        model = whole_model(design, design.scope(cpus=cpus, tasks=tasks))
        found = search(compile_model(model), budget=Budget(max_states=300_000))
        if found.violations or found.error:
            return f"WRONG at {cpus}x{tasks}"
    return "proved"


def main() -> None:
    first, count = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        totals: dict[str, int] = {}
        for seed in range(first, first + count):
            verdict = judged(seed, Path(folder))
            totals[verdict] = totals.get(verdict, 0) + 1
            if verdict.startswith("WRONG"):
                print(f"seed {seed}: {verdict}")
        print(totals)


if __name__ == "__main__":
    main()
