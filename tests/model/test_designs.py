"""The designs of the debate: exact state counts and verdicts in a small scope, and what may not change them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from counts import FEW

from harness import LONG, some
from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.checking.reductions import EVERY_STEP
from pasidlab.errors import PasidlabError
from pasidlab.lang.interpreter import Interpreter
from pasidlab.model.scope import DEFAULT_PARTS, EVENTS, Scope

SMALL = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))

# design: (states, transitions, depth, steps of the shortest counterexample of each broken property)
EXPECTED: dict[str, tuple[int, int, int, dict[str, int]]] = {
    "eager-ipi": (4832, 13004, 31, {}),
    "late-either": (66990, 176164, 66, {"coherent": 12, "served": 20}),
    "late-either-refs": (74862, 196904, 69, {"coherent": 12, "served": 21}),
    "late-exclusive": (12516, 33388, 33, {}),
    "late-bare": (68698, 180712, 61, {"coherent": 13, "served": 14}),
    "late-locked": (11884, 31704, 34, {}),
    "memory-edit": (10944, 29132, 35, {}),
    "early": (8532, 22776, 34, {}),
    "early-read": (8532, 22776, 34, {}),
    "task-work": (3872, 10312, 31, {}),
}


@pytest.mark.parametrize("name", some(designs.BUILT_IN, 2))
def test_exact_counts_and_verdicts(name: str) -> None:
    result = check(name, SMALL, reductions=EVERY_STEP)
    broken = {c.property: len(c.steps) for c in result.counterexamples}
    assert (result.states, result.transitions, result.depth, broken) == EXPECTED[name]
    assert all(part.reason == "complete" for part in result.parts) and all(p.holds is not None for p in result.properties)
    assert result.verdict == ("violated" if broken else "holds")
    assert all(c.exact for c in result.counterexamples), "shows without the abstraction as well"


@pytest.mark.parametrize("name", some(FEW, 2))
@pytest.mark.parametrize("options", [{"merging": False}, {"symmetry": False}], ids=["unmerged", "without symmetry"])
def test_reductions_do_not_change_a_verdict(name: str, options: dict[str, bool]) -> None:
    reduced, full = (check(name, SMALL, reductions=replace(EVERY_STEP, **how)) for how in ({}, options))
    assert {p.name: (p.holds, p.reached) for p in full.properties} == {p.name: (p.holds, p.reached) for p in reduced.properties}
    assert full.states > reduced.states


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_number_of_threads_changes_nothing(jobs: int) -> None:
    one, other = check("late-either", SMALL, jobs=2), check("late-either", SMALL, jobs=jobs)
    assert (one.states, one.transitions, one.depth) == (other.states, other.transitions, other.depth)
    assert [c.steps for c in one.counterexamples] == [c.steps for c in other.counterexamples]


@pytest.mark.parametrize("name", some(["eager-ipi", "late-exclusive", "task-work", "early-read"], 4))
def test_native_code_agrees_with_the_interpreter(name: str) -> None:
    import ctypes

    import numpy as np

    from pasidlab.checking.model import design_model
    from pasidlab.lang.back.native import compile_model

    model = design_model(designs.BUILT_IN[name], DEFAULT_PARTS["life"])
    native, interpreter = compile_model(model, symmetric=True), Interpreter(model, symmetric=True)
    signature = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    expand = signature(native.expand_address)
    out = np.zeros((native.max_successors, native.words), np.uint64)
    seen = np.zeros(native.observed_words, np.uint64)
    states, front = set(map(tuple, native.initial.tolist())), list(map(tuple, native.initial.tolist()))
    for number in range(250):
        state = front.pop((number * 7) % len(front))
        packed = np.array(state, np.uint64)
        count = expand(packed.ctypes.data, out.ctypes.data, seen.ctypes.data)
        successors = sorted(map(tuple, out[:count].tolist()))
        outcomes = interpreter.successors(interpreter.layout.unpack(state))
        assert successors == sorted(interpreter.canonical(o.state) for o in outcomes if o.state is not None)
        new = [s for s in successors if s not in states]
        states.update(new)
        front += new


CLAIMED_BY_NOBODY = """
def exc_general_protection() -> None:
    local_irq_enable()
    if not mm_valid_pasid(current.mm) or (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        gp_user_force_sig_segv()
        return
    fpregs_lock()
    if current.need_fpu_load:
        restore_fpregs_from_fpstate(current, XFEATURE_MASK_FPSTATE)
        current.need_fpu_load = False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    fpregs_unlock()
"""


@pytest.mark.parametrize("interrupt", ["softirq", "hardirq"])
def test_a_task_is_rescheduled_between_an_interrupt_of_user_mode_and_the_restore(interrupt: str, tmp_path: Path) -> None:
    """irqentry_exit_to_user_mode(): exit_to_user_mode_loop() meets NEED_RESCHED after the interrupt has used the FPU."""
    path = tmp_path / "mine.py"
    path.write_text(designs.BUILT_IN["early-read"].path.read_text(encoding="utf-8") + CLAIMED_BY_NOBODY, encoding="utf-8")
    found = check(str(path), replace(SMALL, events=frozenset({"preempt", "migrate", interrupt}))).counterexample("preserved")
    actions = [step.move.action for step in found.steps if step.move.action in (f"arrive_{interrupt}", "preempt", "use_fpu", "enqcmd")]
    last = max(n for n, action in enumerate(actions) if action == f"arrive_{interrupt}")
    assert actions[last : last + 2] == [f"arrive_{interrupt}", "preempt"]
    assert found.exact


LIFE = Scope(cpus=1, tasks=1, mms=2, pasids=2, events=frozenset({"preempt", "exec", "exit", "bind", "unbind", "device"}))
"""A process begins, gets a PASID, execs and ends, on one CPU."""


def test_early_fails_only_because_exec_keeps_the_flag(tmp_path: Path) -> None:
    scope = DEFAULT_PARTS["life"] if LONG else LIFE
    broken = check("early", scope)
    assert {c.property: len(c.steps) for c in broken.counterexamples} == {"served": 60 if LONG else 59}
    trace = broken.counterexample("served").steps
    moves = [s.move.action for s in trace if s.context == "user"]
    assert moves == ["open_device", "enqcmd", "enqcmd", "exec_program", "open_device", "enqcmd"]
    mended = tmp_path / "mended.py"
    source = designs.BUILT_IN["early"].path.read_text()
    mended.write_text(source + "\n\ndef flush_thread() -> None:\n    fpu_flush_thread()\n    current.pasid_activated = False\n")
    assert check(str(mended), scope).verdict == "holds"


def test_eager_loses_an_update_to_a_softirq() -> None:
    found = check("eager-ipi", DEFAULT_PARTS["bind"], properties=["served"]).counterexample("served")
    actions = [step.move.action for step in found.steps]
    assert len(found.steps) == 36
    assert actions.index("arrive_softirq") < actions.index("arrive_ipi")
    assert found.exact


def test_forgetting_the_valid_bit_faults_for_ever() -> None:
    result = check(str(Path(__file__).parents[2] / "examples" / "mydesign.py"), SMALL)
    found = result.counterexample("served")
    assert found.loop is not None and len(found.steps) == 10
    assert sum(step.move.action == "enqcmd" for step in found.steps) == 2


def test_every_event_is_in_some_default_part() -> None:
    assert frozenset().union(*(part.events for part in DEFAULT_PARTS.values())) == frozenset(EVENTS)


def test_every_property_is_put_to_the_test_by_default() -> None:
    result = check("early-read", {name: DEFAULT_PARTS[name] for name in ("life", "bind")})
    assert [p.name for p in result.properties if not p.reached] == []
    assert result.holds


def test_a_bounded_event_happens_that_often() -> None:
    assert check("early", LIFE.with_events(["+exec:0"])).verdict == "holds"
    assert check("early", LIFE.with_events(["+exec:1"])).verdict == "violated"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["preempt:256"], "preempt:256 is more than 255\n  hint: without a count preempt may happen for ever"),
        ([" "], "--events names no event"),
        (["preempt", "exek"], "unknown event 'exek'\n  hint: did you mean 'exec'?"),
    ],
)
def test_events_that_cannot_be(words: list[str], message: str) -> None:
    with pytest.raises(PasidlabError) as error:
        SMALL.with_events(words)
    assert message in str(error.value)


def test_a_budget_ends_inconclusive() -> None:
    from pasidlab.search.result import Budget

    result = check("early-read", DEFAULT_PARTS["race"], budget=Budget(max_states=5000))
    assert (result.verdict, result.parts[0].reason) == ("inconclusive", "max_states")
    assert 0 < result.parts[0].depth_completed < result.parts[0].depth


FIXUP = "def try_fixup_enqcmd_gp() -> bool:\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FIXUP + "    return curent.pasid_activated\n", ":2:12: unknown name 'curent'\n  hint: did you mean 'current'?"),
        (FIXUP + "    return current.pasid_actived\n", "Task has no field 'pasid_actived'\n  hint: did you mean 'pasid_activated'?"),
        (FIXUP + "    try:\n        return True\n    except E:\n        return False\n", ":2:5: 'try:' (Try) is not part of the language"),
        ("def f(:\n", "not valid Python"),
        (FIXUP + "    while True:\n        pass\n    return True\n", "this step never ends"),
        (FIXUP + "    current.mm.pasid = 9\n    return True\n", "9 stored to Mm.pasid, whose domain is 0..1"),
        (FIXUP + "    return try_fixup_enqcmd_gp()\n", "recursion"),
        ("def try_fixup_enqcmd_gp() -> None:\n    pass\n", "bad.py:1:1: try_fixup_enqcmd_gp returns nothing where "),
        ("def mmput() -> None:\n    pass\n", "bad.py:1:1: mmput takes 0 arguments, 1 given where "),
        ("try_fixup_enqcmd_gp = lambda: True\n", "bad.py:1:1: a lambda is not part of the language\n  hint: write def try_"),
        ("async def try_fixup_enqcmd_gp() -> bool:\n    return True\n", "bad.py:1:1: 'async def try_fixup_enqcmd_gp() -> bool:' at module"),
        ("from pasidlab.kernel import fpregs_lok\n" + FIXUP + "    return True\n", "bad.py:1:29: pasidlab.kernel has no 'fpregs_lok'"),
        ("import helpers\n" + FIXUP + "    return True\n", "bad.py:1:1: 'import helpers' is not read with this file"),
        ("", "bad.py replaces nothing\n  hint: define a kernel function in it"),
    ],
)
def test_bad_designs_are_errors_at_their_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(text)
    with pytest.raises(PasidlabError) as error:
        check(str(path), SMALL)
    assert message in str(error.value)
    assert "bad.py" in str(error.value)
