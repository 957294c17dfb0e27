"""Mistakes of a design that are no verdict: reported at their place, after what is broken before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pasidlab.checking.api import check
from pasidlab.designs import BUILT_IN
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope

SMALL = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))
NOTHING = "\ndef try_fixup_enqcmd_gp() -> bool:\n    return False\n"
WRONG = '''
@instruction
def {name}() -> None:
    this_cpu.user_regs = 9
'''

IN_SOFTIRQ = WRONG.format(name="softirq_uses_fpu").replace("@instruction", '@context("softirq", event="softirq")')


def design(folder: Path, *texts: str) -> str:
    path = folder / "mine.py"
    path.write_text("".join((BUILT_IN["early"].path.read_text(), "\n", *texts)))
    return str(path)


def test_a_shorter_violation_is_reported_before_the_error(tmp_path):
    found = check(design(tmp_path, NOTHING, WRONG.format(name="exit_thread")), SMALL)
    assert {c.property: len(c.steps) for c in found.counterexamples} == {"served": 2}
    assert found.verdict == "violated" and found.error is not None
    assert str(found.error) == "9 stored to Cpu.user_regs, whose domain is 0..2, in exit_thread() after 19 steps"
    assert {p.name: p.holds for p in found.properties}["owned"] is None, "nothing is proved"


def test_an_error_comes_before_a_longer_violation(tmp_path):
    with pytest.raises(PasidlabError) as error:
        check(design(tmp_path, NOTHING, IN_SOFTIRQ), SMALL)
    assert str(error.value).splitlines()[0].endswith(
        "mine.py:30:5: 9 stored to Cpu.user_regs, whose domain is 0..2, in softirq_uses_fpu() after 1 step"
    )


def test_an_error_in_a_later_part_does_not_hide_what_is_broken(tmp_path):
    parts = {"one": SMALL.with_events(["-softirq"]), "two": SMALL}
    with pytest.raises(PasidlabError):
        check(design(tmp_path, IN_SOFTIRQ), parts)
    found = check(design(tmp_path, NOTHING, IN_SOFTIRQ), parts)
    assert [c.property for c in found.counterexamples] == ["served"]
    assert [part.error is None for part in found.parts] == [True, False]


def test_a_property_that_follows_null(tmp_path):
    text = '''
@never("owned", "the owner is loading")
def owner_loads(cpu: Cpu) -> bool:
    return cpu.fpregs_owner.need_fpu_load and False
'''
    with pytest.raises(PasidlabError) as error:
        check(design(tmp_path, text), SMALL)
    assert "mine.py:27:12: NULL pointer dereference: Task.need_fpu_load of nothing" in str(error.value)
    assert "hint: ask first: 'x is not None and ...'" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def mm_valid_pasid(mm: Mm) -> bool:\n    return event('premept') or mm.pasid != 0\n", ":2:12: unknown event 'premept'"),
        ("@rule(event='sofirq')\ndef f(cpu: Cpu) -> None:\n    require(False)\n", ":2:1: unknown event 'sofirq'"),
    ],
)
def test_an_event_there_is_not(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(PasidlabError) as error:
        check(str(path), SMALL)
    assert message in str(error.value) and "hint: did you mean 'preempt'?" in str(error.value).replace("softirq", "preempt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def try_fixup_enqcmd() -> bool:\n    return True\n",
            ":1:1: nothing calls try_fixup_enqcmd()\n  hint: did you mean 'try_fixup_enqcmd_gp'?",
        ),
        ("def flush_thread() -> None:\n    curent.pasid_activated = False\n", ":2:5: unknown name 'curent'"),
    ],
)
def test_a_function_that_is_not_part_of_the_model_is_looked_at(tmp_path, text, message):
    """A name nobody calls, a mistake in a function that this scope has no use for."""
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(PasidlabError) as error:
        check(str(path), SMALL)
    assert message in str(error.value)
