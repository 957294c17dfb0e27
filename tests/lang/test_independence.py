"""Local steps first: verdicts are those of the full search, and a CPU is private only where its step concerns nobody else."""

import pytest
from hypothesis import HealthCheck, given, settings
from random_contexts import HEAD, SCHEDULERS, models
from small_models import PROPERTIES

from harness import LONG
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.lowering import late
from pasidlab.lang.lowering.independence import Judge
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.search.breadth_first import search
from pasidlab.search.result import Budget

BUDGET = Budget(max_states=400_000)


def lowered(path, events: str, *, merged: bool = True, tasks: int = 2):
    bounds = Bounds({"cpus": 2, "tasks": tasks}, frozenset(events.split()))
    return build_model("model", [path], bounds, PROPERTIES, merged=merged, local_first=True)


def explored(model, *, local_first: bool):
    """States, and what can happen: properties broken, properties reached, model errors. None if it is too much to explore."""
    found = search(compile_model(model, symmetric=True, local_first=local_first), jobs=1, budget=BUDGET)
    if found.reason != "complete":
        return None
    return found.states, ({PROPERTIES[bit].name for bit in found.violations}, found.reached, found.error is None)


def test_verdicts_are_the_same(tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "model.py"
    compared = []

    @settings(max_examples=60 if LONG else 24, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(models())
    def compare(drawn):
        text, events = drawn
        path.write_text(text, encoding="utf-8")
        for merged in (True, False):
            model = lowered(path, events, merged=merged)
            full, local = explored(model, local_first=False), explored(model, local_first=True)
            if full and local:
                assert local[1] == full[1], f"events {events}, merged {merged}:\n{text}"
                compared.append((local[0] < full[0], bool(full[1][0]), full[1][1] != 0))

    compare()
    assert len(compared) >= 12  # and not for want of anything happening:
    smaller, broken, _ = (sum(column) for column in zip(*compared, strict=True))
    assert smaller >= 10 and broken >= 1


STEPS = """
@entry("syscall")
def sys_call() -> None:
    local_irq_disable()
    STATEMENT
    this_cpu.slot = 2
    local_irq_enable()
"""


FINDS = "\n@user()\ndef find() -> None:\n    for cpu in each(Cpu):\n        cpu.slot = 0\n"
HANDLER = "\n@context('softirq', event='softirq')\ndef find() -> None:\n    for cpu in each(Cpu):\n        cpu.slot = 0\n"
SWEEP = """
@instruction
def sweep() -> None:
    local_irq_disable()
    for cpu in each(Cpu):
        if not cpu.irqs_off:
            cpu.slot = 0
    local_irq_enable()
"""
SIGNAL = "\n@rule()\ndef signal(task: Task) -> None:\n    task.flag = not task.flag\n"
ALL_ONE = """
@never("q", "all are 1")
def all_one() -> bool:
    for cpu in each(Cpu):
        if cpu.slot != 1 or not cpu.irqs_off:
            return False
    return True
"""


def is_private_before(tmp_path, statement: str, more: str = "", events: str = "preempt") -> bool:
    """Whether a CPU whose task stands before a statement, with interrupts off, may go on while the other one waits."""
    path = tmp_path / "model.py"
    path.write_text(HEAD + STEPS.replace("STATEMENT", statement) + more, encoding="utf-8")
    model = lowered(path, events, merged=False)
    task = next(action for action in model.actions if action.name == "task")
    line = path.read_text(encoding="utf-8").splitlines().index(f"    {statement}") + 1
    counter = next(n for n, site in enumerate(task.resumes) if n and site.position.line == line)
    interpreter = Interpreter(model)
    (state,) = interpreter.initial_states()
    at = interpreter.offsets["Task.pc"]
    (outcome,) = interpreter.run(model.private, (1,), (*state[:at], counter, *state[at + 1 :]))
    return bool(outcome.result)


def test_its_own_fields_and_its_task_s_concern_nobody_else(tmp_path):
    assert is_private_before(tmp_path, "this_cpu.slot = 1")
    assert is_private_before(tmp_path, "current.flag = True")


def test_what_another_cpu_may_access_does(tmp_path):
    assert not is_private_before(tmp_path, "shared.n = 1")
    assert not is_private_before(tmp_path, "this_cpu.slot = 1", FINDS)


def test_what_the_environment_may_access_does(tmp_path):
    assert not is_private_before(tmp_path, "current.flag = True", SIGNAL)
    idle = "\n@rule()\ndef signal(task: Task) -> None:\n    require(not task.on_cpu)\n    task.flag = not task.flag\n"
    assert is_private_before(tmp_path, "current.flag = True", idle)


def test_what_a_predicate_looks_at_beside_others_does(tmp_path):
    alone = "\n@never('q', 'a busy CPU')\ndef busy(cpu: Cpu) -> bool:\n    return cpu.busy and cpu.slot == 1\n"
    assert is_private_before(tmp_path, "this_cpu.busy = True", alone)
    assert not is_private_before(tmp_path, "this_cpu.slot = 1", ALL_ONE)


def test_an_interrupt_another_cpu_sends_does(tmp_path):
    sends = (
        "\n@user()\ndef send() -> None:\n    for cpu in each(Cpu):\n        cpu.ipi_pending = True\n"
        "\n@context('ipi')\ndef receive() -> None:\n    this_cpu.ipi_pending = False\n"
    )
    assert is_private_before(tmp_path, "this_cpu.slot = 1", sends)  # interrupts are off
    path = tmp_path / "open.py"
    path.write_text(HEAD + STEPS.replace("local_irq_disable()", "this_cpu.slot = 1").replace("STATEMENT", "current.flag = True") + sends)
    model = lowered(path, "preempt ipi", merged=False)
    assert model.private is not None


def test_a_loop_comes_to_a_state_that_is_explored_in_full(tmp_path):
    """Were every round local, what others do would never be seen."""
    path = tmp_path / "model.py"
    loop = "    while current.flag:\n        this_cpu.slot = 1\n"
    other = "\n@rule()\ndef other() -> None:\n    check('q', False)\n"
    path.write_text(HEAD + STEPS.replace("    STATEMENT\n", "    current.flag = True\n" + loop) + other)
    model = lowered(path, "none", merged=False)
    full, local = explored(model, local_first=False), explored(model, local_first=True)
    assert full[1] == local[1] and "q" in local[1][0]


CONDITIONS = {  # what the condition asks: code that breaks a promise only while others go on in the middle of it
    "_by_program": ("this_cpu.slot = 1\n    check('q', this_cpu.slot == 1)", HANDLER),
    "_by_rule": ("current.flag = False\n    check('q', not current.flag)", SIGNAL),
    "_looked_at": ("this_cpu.slot = 1\n    this_cpu.slot = 0", ALL_ONE),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_each_condition_is_needed(tmp_path, monkeypatch, condition):
    statement, more = CONDITIONS[condition]
    path = tmp_path / "model.py"
    path.write_text(HEAD + STEPS.replace("STATEMENT", statement) + more, encoding="utf-8")
    assert "q" in explored(lowered(path, "softirq", merged=False), local_first=True)[1][0]
    monkeypatch.setattr(Judge, condition, lambda *_: False)
    assert "q" not in explored(lowered(path, "softirq", merged=False), local_first=True)[1][0]


TOLD = {  # steps that cannot be taken, or end the kernel, and yet tell what a field of another CPU holds
    "a check, then nothing": "        check('q', cpu.slot != 1 or not cpu.irqs_off)\n    require(False)\n",
    "a check, then what is known to fail": "        if cpu.irqs_off:\n            check('q', cpu.slot != 1)\n            require(False)\n",
    "NULL is followed": (
        "        if cpu.slot == 1 and cpu.irqs_off:\n            task = shared.lock\n"
        "            if task is None:\n                task.flag = True\n"
        "    require(False)\n"
    ),
}


@pytest.mark.parametrize("told", TOLD)
def test_what_a_step_tells_that_is_not_taken(tmp_path, told):
    path = tmp_path / "model.py"
    text = HEAD + STEPS.replace("STATEMENT", "this_cpu.slot = 1\n    this_cpu.slot = 0")
    path.write_text(text + "\n@rule()\ndef tell() -> None:\n    for cpu in each(Cpu):\n" + TOLD[told], encoding="utf-8")
    models = [lowered(path, "none", merged=merged) for merged in (True, False)]
    broken = [explored(model, local_first=first)[1][0] for model in models for first in (True, False)]
    assert all(verdict == broken[0] != set() for verdict in broken)


def test_masks_that_another_cpu_sets_are_that_cpu_s(tmp_path):
    """It leaves out CPUs with interrupts off, having switched off its own: that says nothing of this one."""
    path = tmp_path / "model.py"
    handler = HANDLER.replace("    for cpu in each(Cpu):\n        cpu.slot = 0\n", "    sweep()\n") + SWEEP
    held = STEPS.replace("local_irq_disable()", "local_bh_disable()").replace("local_irq_enable()", "local_bh_enable()")
    path.write_text(HEAD + held.replace("STATEMENT", "this_cpu.slot = 1\n    check('q', this_cpu.slot == 1)") + handler, encoding="utf-8")
    model = lowered(path, "softirq", merged=False)
    assert "q" in explored(model, local_first=False)[1][0]
    assert "q" in explored(model, local_first=True)[1][0]


def private_at(tmp_path, text: str, line: str, events: str = "preempt") -> bool:
    """Whether an idle CPU is private where its scheduler stands before a line."""
    path = tmp_path / "model.py"
    path.write_text(text, encoding="utf-8")
    model = lowered(path, events, merged=False)
    program = next(action for action in model.actions if action.name == "schedule")
    lines = path.read_text(encoding="utf-8").splitlines()
    sites = enumerate(program.resumes)
    counter = next(n for n, site in sites if n and site.position.file == str(path) and line in lines[site.position.line - 1])
    interpreter = Interpreter(model)
    (state,) = interpreter.initial_states()
    at = interpreter.offsets["Cpu.schedule_pc"] + 1
    (outcome,) = interpreter.run(model.private, (2,), (*state[:at], counter, *state[at + 1 :]))
    return bool(outcome.result)


CALL = STEPS.replace("STATEMENT", "shared.n = 1")
MAY_BE_IDLE = HEAD.replace(SCHEDULERS[0], SCHEDULERS[1]) + CALL
PICKS, RELEASES = "def next_task", "release(prev)"


def test_who_is_about_to_pick_a_task_might_have_come_later(tmp_path):
    assert private_at(tmp_path, MAY_BE_IDLE, PICKS)
    sees = "\n@rule()\ndef sees(cpu: Cpu) -> None:\n    require(cpu.irqs_off)\n    shared.n = 1\n"
    assert not private_at(tmp_path, MAY_BE_IDLE + sees, PICKS)
    told = "\n@never('q', 'told')\ndef told(cpu: Cpu) -> bool:\n    return cpu.schedule_pc == 2 and shared.n == 1\n"
    assert not private_at(tmp_path, MAY_BE_IDLE + told, PICKS)


def test_who_comes_back_from_an_interrupt_to_the_pick_is_not_late(tmp_path):
    softirq = '\n@context("softirq", event="softirq")\ndef softirq() -> None:\n    shared.n = 2\n'
    assert private_at(tmp_path, MAY_BE_IDLE + softirq, PICKS, "preempt softirq")
    opened = MAY_BE_IDLE.replace("    prev = current\n", "    local_irq_enable()\n    prev = current\n")
    assert not private_at(tmp_path, opened + softirq, PICKS, "preempt softirq")


def test_a_task_is_released_where_nobody_sees_that_it_was_taken(tmp_path):
    assert private_at(tmp_path, MAY_BE_IDLE, RELEASES)
    looks = HEAD.replace(SCHEDULERS[0], SCHEDULERS[2]) + CALL
    assert not private_at(tmp_path, looks, RELEASES)


def test_what_leads_to_the_pick_must_concern_nobody_else(tmp_path, monkeypatch):
    sees = "\n@rule()\ndef sees(cpu: Cpu) -> None:\n    require(cpu.schedule_pc == 2 and cpu.current is None)\n    check('q', False)\n"
    path = tmp_path / "model.py"
    path.write_text(MAY_BE_IDLE + sees, encoding="utf-8")
    assert "q" in explored(lowered(path, "preempt", merged=False), local_first=True)[1][0]
    monkeypatch.setattr(late, "_begins_late", lambda *_: True)
    assert "q" in explored(lowered(path, "preempt", merged=False), local_first=True)[1][0]
    monkeypatch.setattr(late, "_goes_late", lambda *_: True)
    assert "q" not in explored(lowered(path, "preempt", merged=False), local_first=True)[1][0]


def test_an_initial_state_inside_the_scheduler_keeps_all_steps(tmp_path):
    path = tmp_path / "model.py"
    runs = "    at(Task, 0).on_cpu = True\n"
    path.write_text(MAY_BE_IDLE.replace(runs, f"{runs}    at(Cpu, 1).schedule_pc = 1\n"), encoding="utf-8")
    model = lowered(path, "preempt")
    assert model.private is None and "an initial state has a handler or the scheduler under way" in model.notes[0]
