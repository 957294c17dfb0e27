"""``this_cpu`` in a local is the CPU of the moment it was asked for; the task may have moved since, wherever nothing forbids that."""

import re

import pytest
from random_contexts import HEAD
from small_models import PROPERTIES, broken

from harness import some
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.lang.text import model_text

FUNCTIONS = """
def moved(cpu: Cpu) -> bool:
    shared.n = 1
    return cpu is not this_cpu

def where() -> Cpu:
    return this_cpu

def late(cpu: Cpu, n: int) -> bool:
    return cpu is not this_cpu

def touch_shared() -> int:
    shared.n = 1
    return 1

def other(cpu: Cpu) -> Cpu:
    shared.n = 1
    return cpu

"""

# each sets ``stale`` where a task may find itself elsewhere
BODIES = {
    "a local": "cpu = this_cpu\nshared.n = 1\nstale = cpu is not this_cpu",
    "a copy of a local": "first = this_cpu\ncpu = first\nshared.n = 1\nstale = cpu is not this_cpu",
    "an argument": "stale = moved(this_cpu)",
    "an argument before another": "stale = late(this_cpu, touch_shared())",
    "a result": "cpu = where()\nshared.n = 1\nstale = cpu is not this_cpu",
    "an argument returned": "stale = other(this_cpu) is not this_cpu",
    "the left of a comparison": "stale = this_cpu is not other(where())",
    "over a loop": "cpu = this_cpu\nstale = False\nfor i in range(2):\n    shared.n = 1\n    stale = stale or cpu is not this_cpu",
    "from the round before": (
        "cpu = this_cpu\nstale = False\nfor i in range(2):\n    here = this_cpu\n"
        "    shared.n = 1\n    stale = stale or here is not cpu\n    cpu = this_cpu"
    ),
    "a number": "n = index(this_cpu)\nshared.n = 1\nstale = n != index(this_cpu)",
    "one side of a conditional": "cpu = this_cpu if shared.n == 0 else where()\nshared.n = 1\nstale = cpu is not this_cpu",
    "a tuple": "cpu, shared.n = this_cpu, 1\nstale = cpu is not this_cpu",
    "through a wait": "cpu = this_cpu\nwait_until(shared.n < 2)\nstale = cpu is not this_cpu",
}  # fmt: skip


def syscall(lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    return HEAD.replace('@never("p"', '@never("sound_kernel"') + FUNCTIONS + '@entry("syscall")\ndef sys_call() -> None:\n' + body


@pytest.mark.parametrize("name", some(BODIES, 3))
def test_the_task_may_have_moved(tmp_path, name):
    text = syscall(BODIES[name] + "\ncheck('q', not stale)")
    assert "q" in broken(tmp_path, text, "preempt")


@pytest.mark.parametrize("name", some([name for name in BODIES if "wait" not in name], 3))
def test_nobody_moves_where_preemption_is_off(tmp_path, name):
    text = syscall(f"preempt_disable()\n{BODIES[name]}\ncheck('q', not stale)\npreempt_enable()")
    assert "q" not in broken(tmp_path, text, "preempt")


@pytest.mark.parametrize("mask", ["local_irq", "local_bh"])
def test_nobody_moves_where_interrupts_are_off(tmp_path, mask):
    text = syscall(f"{mask}_disable()\nstale = moved(this_cpu)\n{mask}_enable()\ncheck('q', not stale)")
    assert "q" not in broken(tmp_path, text, "preempt")


def test_what_the_masks_forbid_ends_with_them(tmp_path):
    text = syscall("preempt_disable()\ncpu = this_cpu\nshared.n = 1\npreempt_enable()\nshared.n = 0\ncheck('q', cpu is this_cpu)")
    assert "q" in broken(tmp_path, text, "preempt")


def test_only_some_paths_forbid_preemption(tmp_path):
    masked = "if shared.n == 0:\n    preempt_disable()\n    preempt_enable()\n"
    text = syscall(f"cpu = this_cpu\n{masked}shared.n = 1\ncheck('q', cpu is this_cpu)")
    assert "q" in broken(tmp_path, text, "preempt")


def test_the_task_is_elsewhere_only_where_it_is_asked(tmp_path):
    """It moves to the other CPU between two accesses, is asked there, and moves back."""
    text = syscall("first = index(this_cpu)\nhere = index(this_cpu)\nlast = index(this_cpu)\ncheck('q', here == first or last != first)")
    assert "q" in broken(tmp_path, text, "preempt", tasks=3)


def test_in_place_reads_and_writes_one_cpu(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(syscall("this_cpu.slot |= touch_shared()"), encoding="utf-8")
    bounds = Bounds({"cpus": 2, "tasks": 2}, frozenset({"preempt"}))
    text = model_text(build_model("model", [path], bounds, PROPERTIES, merged=False))
    task = text[text.index("action task") : text.index("action schedule")]
    (read,), (written,) = re.findall(r"load \S+ Cpu.slot (\S+)", task), re.findall(r"store Cpu.slot (\S+)", task)
    assert read == written != "%cpu"
