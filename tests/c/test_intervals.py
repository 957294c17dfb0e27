"""Intervals of locals: what random C programs hold is always inside, and loops that count have the bounds one expects."""

from __future__ import annotations

import pytest
from c_machine import Machine
from c_programs import program

from harness import LONG
from pasidlab.lang.ir import Function, Instr
from pasidlab.lang.lowering.intervals import KnownIntervals, intervals, widest


class Watched(Machine):
    """Looks at every local before every instruction."""

    bounds: dict[int, KnownIntervals | None]
    looked = 0

    def step(self, instr: Instr, place: dict[str, int]) -> str | None:
        known = self.bounds.get(id(instr), {})
        assert known is not None, f"{instr} was thought never to be reached"
        for name, (low, high) in known.items():
            self.looked += 1
            assert name not in place or low <= place[name] <= high, (instr, name, place[name], low, high)
        return super().step(instr, place)


def by_instruction(function: Function) -> dict[int, KnownIntervals | None]:
    """Of every local of a function, by the instruction."""
    code = list(function.code)
    return {id(i): k for i, k in zip(code, intervals(code, [0], function.locals, set(function.locals)), strict=True)}


def test_random_programs_stay_inside() -> None:
    looked = 0
    for number in range(60 if LONG else 10):
        machine = Watched(program(number))
        function = machine.function(f"f{number}")
        machine.bounds = {}
        for one in machine.linker.compiled.values():
            machine.bounds |= by_instruction(one)
        machine.run(function)
        looked += machine.looked
    assert looked > 10_000


@pytest.mark.parametrize(("body", "wanted"), [
    ("int i; for (i = 0; i < 3; i++) SEE(i); return i;", (0, 2)),
    ("int i; for (i = 9; i > 3; i -= 2) SEE(i); return i;", (4, 9)),
    ("long i = 0; while (i != 5) { SEE(i); i++; } return i;", (0, 4)),
    ("u32 i = 7; do { SEE(i); } while (--i > 2); return i;", (3, 7)),
    ("int i, n = 0; for (i = 0; i < 1000; i++) SEE(i); return n;", (0, 999)),
    ("int i = 0;\nagain: SEE(i); if (++i < 4) goto again; return i;", (0, 3)),
])  # fmt: skip
def test_loops(body: str, wanted: tuple[int, int]) -> None:
    machine = Machine(f"#define SEE(x) this_cpu_write(in_kernel_fpu, (x) == 77)\nstatic long f(void)\n{{\n{body}\n}}\n")
    code = list(machine.function("f").code)
    name = next(i.dst for i in code if i.dst and i.dst.startswith("i'"))
    found = intervals(code, [0], machine.linker.compiled["f"].locals, {name})
    stores = [n for n, i in enumerate(code) if i.op == "store"]
    interval = widest(code, found, name, stores)
    assert interval is not None and (interval.low, interval.high) == wanted


def test_what_grows_without_end_has_none() -> None:
    machine = Machine("static int f(void)\n{\nlong n = 1; while (current->mm) n += 2; return n;\n}\n")
    code = list(machine.function("f").code)
    loads = [n for n, i in enumerate(code) if i.op == "load"]
    assert widest(code, intervals(code, [0], machine.linker.compiled["f"].locals, {"n'"}), "n'", loads) is None
