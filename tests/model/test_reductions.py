"""What makes the search small changes no verdict: forgetting, threads; and the native engine explores what the interpreter does."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from counts import FEW, SCOPES, scope

import pasidlab
from harness import LONG, some
from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import Reductions
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import LOOKED_AT
from pasidlab.lang.lowering.forget import forgetting_nothing, remembering
from pasidlab.model.promises import PROPERTIES
from pasidlab.search.breadth_first import search

TINY = scope("preempt softirq")
RACE = scope("preempt migrate softirq")
BOUND = scope("preempt ipi bind softirq", cpus=2)
FORGOTTEN = {name: SCOPES[name] for name in (("interrupts", "signals", "bind", "kvm") if LONG else ("interrupts", "bind"))}


@pytest.mark.parametrize("where", FORGOTTEN)
@pytest.mark.parametrize("name", some(FEW, 2))
def test_forgetting_keeps_the_verdict(name, where):
    with_it, without = check(name, FORGOTTEN[where]), check(name, FORGOTTEN[where], reductions=Reductions(forgetting=False))
    assert with_it.verdict == without.verdict
    shortest = {c.property: len(c.steps) for c in without.counterexamples}
    for found in with_it.counterexamples:
        assert found.exact and len(found.steps) == shortest[found.property]
    assert with_it.states <= without.states


def found_in(model, **how):
    """What is broken, of the model's own properties and those of forgetting, and in how many steps."""
    native = compile_model(model, symmetric=True, **how)
    result = search(native, jobs=1)
    assert result.reason == "complete"
    return {native.properties[bit]: violation.steps for bit, violation in result.violations.items()}


@pytest.mark.parametrize("name", ["eager-ipi", "late-bare", "early"])
def test_a_model_that_forgets_some_contents_has_the_verdicts_of_the_exact_one(name):
    """Each field alone, and each but one: where nobody looks at what is forgotten."""
    model = design_model(designs.BUILT_IN[name], BOUND, reductions=Reductions(local_first=False))
    exact, fields = found_in(forgetting_nothing(model)), sorted(model.forgotten)
    kept = [set(fields) - {one} for one in fields] + [{one} for one in fields]
    assert len(fields) == 6
    looked = []
    for some_of_them in kept:
        broken = found_in(remembering(model, some_of_them))
        looked += [n for n in broken if n.startswith(LOOKED_AT)]
        assert not {f"{LOOKED_AT}{path}" for path in some_of_them} & broken.keys()
        if not any(n.startswith(LOOKED_AT) for n in broken):
            assert broken == exact
    assert set(looked) == ({"looked at Task.image_pasid"} if name == "eager-ipi" else set())


def test_only_what_is_looked_at_is_remembered():
    """update_pasid() of eager-ipi compares with the image, whatever TIF_NEED_FPU_LOAD says of it."""
    found, exact = (check("eager-ipi", BOUND, reductions=how) for how in (Reductions(), Reductions(forgetting=False)))
    assert [(p.name, p.holds, p.steps) for p in found.properties] == [(p.name, p.holds, p.steps) for p in exact.properties]
    assert found.parts[0].local_first and found.parts[0].reason == exact.parts[0].reason == "complete"
    assert (found.states, exact.states) == (8_838, 27_105)


@pytest.mark.parametrize("name", FEW)
def test_the_interpreter_explores_the_same_states(name):
    """All of a small scope, state by state: states, steps, levels, what is broken and what is reached."""
    model = design_model(designs.BUILT_IN[name], TINY)
    found = search(compile_model(model))
    interpreter, bits = Interpreter(model), {p.name: 1 << n for n, p in enumerate(model.properties)}
    level = {interpreter.layout.pack(s): s for s in interpreter.initial_states()}
    known, sizes, steps, broken, reached = set(level), [len(level)], 0, 0, 0
    while level:
        following = {}
        for state in level.values():
            broken |= sum({bits[name] for name, _, _ in interpreter.violations(state)})
            for outcome in interpreter.successors(state):
                steps += outcome.state is not None
                broken |= sum({bits[f.property] for f in outcome.failures})
                reached |= sum({bits[r] for r in outcome.reached if r in bits})
                if outcome.state is not None and (packed := interpreter.layout.pack(outcome.state)) not in known:
                    known.add(packed)
                    following[packed] = outcome.state
        level = following
        sizes += [len(level)] if level else []
    assert (len(known), steps, tuple(sizes)) == (found.states, found.transitions, found.level_sizes)
    assert (broken, reached) == (sum(1 << bit for bit in found.violations), found.reached)


@pytest.mark.parametrize("name", some(FEW, 2))
def test_threads_change_nothing(name):
    one, two = (check(name, SCOPES["bind"], jobs=jobs) for jobs in (1, 2))
    assert (one.states, one.transitions, one.depth, one.properties) == (two.states, two.transitions, two.depth, two.properties)
    assert one.counterexamples == two.counterexamples
    assert one.unexecuted == two.unexecuted


@pytest.mark.parametrize("name", ["eager-ipi", "late-bare", "early"])
def test_simplifying_keeps_the_verdict(name):
    """Against the code as the functions have it: every line, every field, every access a step of its own."""
    ways = {optimised: Reductions(forgetting=optimised, local_first=False) for optimised in (True, False)}
    models = (design_model(designs.BUILT_IN[name], RACE, optimised=optimised, reductions=how) for optimised, how in ways.items())
    reduced, whole = (search(compile_model(model)) for model in models)
    assert (set(reduced.violations), reduced.reached) == (set(whole.violations), whole.reached)
    assert reduced.states < whole.states


def test_merging_knows_what_unbalanced_masks_leave_possible(tmp_path):
    """fpregs_unlock() before fpregs_lock(): nothing is masked between them, and the count that is left over is no protection."""
    path, text = tmp_path / "mine.py", designs.BUILT_IN["late-exclusive"].path.read_text(encoding="utf-8")
    swapped = text.replace("fpregs_lock()", "%").replace("fpregs_unlock()", "fpregs_lock()").replace("%", "fpregs_unlock()")
    path.write_text(swapped, encoding="utf-8")
    ways = [Reductions(merging=merged) for merged in (True, False)]
    broken = [{c.property for c in check(str(path), SCOPES["interrupts"], reductions=how).counterexamples} for how in ways]
    assert broken == [{"sound_kernel", "served", "coherent"}] * 2


def test_forgetting_hides_no_promise_somebody_asks_for_alone(tmp_path):
    """The PASID is lost over a signal: with contents forgotten that shows as an ENQCMD for nobody, not as a loss."""
    path = tmp_path / "mine.py"
    path.write_text(
        "def fpu__clear_user_states() -> None:\n    fpregs_lock()\n    init_user_regs()\n    fpregs_mark_activate()\n    fpregs_unlock()\n"
    )
    signals = scope("preempt migrate softirq signal", cpus=2)
    text = designs.BUILT_IN["early"].path.read_text() + "\n\n" + path.read_text()
    path.write_text(text)
    alone = check(str(path), signals, properties=["preserved"])
    assert [(c.property, c.exact) for c in alone.counterexamples] == [("preserved", True)]
    assert {c.property for c in check(str(path), signals).counterexamples} >= {"preserved", "served"}


def test_every_promise_has_a_witness():
    """Each property that a predicate or a check may find broken is somewhere noted as put to the test."""
    asked, witnessed = set(), set()
    for folder in ("model", "designs"):
        for path in (Path(pasidlab.__file__).parent / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args and isinstance(node.args[0], ast.Constant):
                    if node.func.id in ("never", "stuck", "check", "pending"):
                        asked.add(node.args[0].value)
                    elif node.func.id == "reached":
                        witnessed.add(node.args[0].value)
    assert asked == witnessed == {p.name for p in PROPERTIES}


