"""A limit on an event bounds every occurrence, rules and choices alike, and holds up nothing that an occurrence has made due."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import some
from pasidlab.checking.api import check
from pasidlab.designs import BUILT_IN
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import EVENTS, Scope

TWICE = '''
def note(task: Task) -> None:
    check("refused", not task.has_valid_pasid, "it happens twice")
    task.has_valid_pasid = True
'''
WHERE = {
    "signal": '''
@instruction
def push_frame() -> None:
    note(current)
    current.frame_at_enqcmd = current.at_enqcmd
    current.at_enqcmd = False
    current.in_handler = True
''',
    "fault": '''
def fault_in_user_page() -> None:
    note(current)
''',
    "softirq": '''
def softirq_uses_fpu() -> None:
    if current is not None:
        note(current)
''',
    "device": '''
@instruction
def submit_work(pasid: int) -> None:
    note(current)
    pasid_entry(pasid).in_flight = True
''',
    "preempt": '''
def switch_fpu_finish(task: Task) -> None:
    note(task)
    task.need_fpu_load = True
''',
}
OTHERS = {"signal": "preempt", "fault": "signal", "softirq": "hardirq", "device": "preempt", "preempt": "softirq"}


def small(*words: str) -> Scope:
    return Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset()).with_events(words)


@pytest.mark.parametrize("event", some(WHERE, 2))
def test_a_limit_counts_every_occurrence(event: str, tmp_path: Path) -> None:
    path = tmp_path / "noted.py"
    path.write_text(BUILT_IN["early-read"].path.read_text(encoding="utf-8") + TWICE + WHERE[event], encoding="utf-8")
    once, twice = (check(str(path), small(f"{event}:{count}", OTHERS[event]), properties=["refused"]) for count in (1, 2))
    assert [p.holds for result in (once, twice) for p in result.properties] == [True, False]


@pytest.mark.parametrize("design", some(["task-work", "early-read"], 2))
def test_what_has_begun_comes_to_its_end(design: str) -> None:
    """Descriptors are completed, page requests answered, handlers return: nobody waits for ever."""
    scope = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset())
    result = check(design, scope.with_events(["ipi", "bind", "unbind:2", "exit", "device:1", "kthread:1"]))
    assert result.holds and all(part.reason == "complete" for part in result.parts)
    assert check(design, small("signal:1", "bind", "unbind:1", "exit", "device:1")).holds


@pytest.mark.parametrize(("word", "why"), [("ipi:1", "what a design has sent must arrive"), ("migrate:2", "count preempt instead")])
def test_what_cannot_be_counted(word: str, why: str) -> None:
    with pytest.raises(PasidlabError) as error:
        small(word)
    assert f"'{word.split(':')[0]}' cannot be counted: " in str(error.value) and why in str(error.value)


def test_all_events_with_a_limit() -> None:
    scope = small("all:2")
    assert scope.events == frozenset(EVENTS)
    assert scope.bounds == dict.fromkeys(set(EVENTS) - {"ipi", "migrate"}, 2)
