"""Evidence for a verdict: a kernel with one mistake is caught in the same part, or the property is not put to the test there."""

from __future__ import annotations

import ast
import json
import os

import pytest

from harness import pasidlab
from pasidlab.checking import evidence
from pasidlab.checking.api import check
from pasidlab.checking.evidence import with_evidence
from pasidlab.checking.findings import Evidence
from pasidlab.checking.model import design_model
from pasidlab.designs import BUILT_IN, Design
from pasidlab.lang.source import collect
from pasidlab.model.promises import NAMES
from pasidlab.model.scope import Scope
from pasidlab.model.sources import MODEL_FILES
from pasidlab.zoo.mistakes import MISTAKES, Mistake, NotThere

SMALL = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))
LIFE = Scope(cpus=1, tasks=2, mms=2, pasids=2, events=frozenset({"preempt", "fork", "exit", "bind", "unbind"}))
EARLY_READ = BUILT_IN["early-read"]


def looked_for(design: Design, scope: Scope, properties: tuple[str, ...] = NAMES) -> dict[str, Evidence]:
    result = with_evidence(design, check(design, scope, properties=properties, jobs=1), MISTAKES, NotThere, jobs=1)
    assert {e.part for e in result.evidence} == {"scope"}
    return {e.property: e for e in result.evidence}


def test_what_each_property_catches() -> None:
    found = looked_for(EARLY_READ, SMALL)
    assert {name: e.steps for name, e in found.items()} == {
        "coherent": 10, "owned": 6, "isolated": 6, "served": 2, "refused": 0, "preserved": 7, "no_leak": 0, "no_stale": 0,
        "sound_kernel": 6,
    }  # fmt: skip
    assert found["coherent"].mistake == "switch_fpu_prepare() without `save_fpregs_to_fpstate(prev)`"
    assert found["no_leak"].mistake == "" and len(found["no_leak"].tried) == 2


@pytest.mark.skipif(not os.environ.get("PASIDLAB_LONG"), reason="half a minute: PASIDLAB_LONG=1 runs it")
def test_where_processes_come_and_go_more_is_put_to_the_test() -> None:
    found = looked_for(EARLY_READ, LIFE, ("refused", "no_leak", "no_stale"))
    assert [name for name in found if not found[name].mistake] == []


def test_a_property_that_nothing_breaks_proves_nothing() -> None:
    result = check(EARLY_READ, SMALL, properties=["owned"], jobs=1)
    assert result.verdict == "holds" and result.properties[0].reached
    tested = with_evidence(EARLY_READ, result, (), NotThere, jobs=1)
    assert (tested.verdict, tested.evidence) == ("inconclusive", (Evidence("owned", "scope"),))
    assert "not put to the test: no mistake that was tried breaks it" in str(tested)


def test_a_property_asked_for_alone_is_put_to_the_test() -> None:
    words = "check early-read --cpus 1 --mms 1 --pasids 1 --events preempt --json --property owned"
    document = json.loads(pasidlab(*words.split()).stdout)
    assert [e["steps"] for e in document["results"][0]["evidence"]] == [9]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.sentence)
def test_every_mistake_can_be_made(mistake: Mistake) -> None:
    """Its text is in the kernel as it is, and gone from the mistake."""
    known = collect(MODEL_FILES).functions[mistake.function]
    assert mistake.text in ast.unparse(known.node) and ast.unparse(mistake.mistaken(known).node) != ast.unparse(known.node)


def test_a_mistake_that_cannot_be_made() -> None:
    with pytest.raises(NotThere):
        design_model(Mistake("owned", "fpregs_restore_userregs", "no_such_call()").around(EARLY_READ), SMALL)


def test_what_is_cut_is_not_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    result = check(EARLY_READ, SMALL, properties=["coherent"], jobs=1)
    late = with_evidence(EARLY_READ, result, MISTAKES, NotThere, jobs=1, deadline=0.0)
    assert (late.verdict, late.evidence) == ("inconclusive", (Evidence("coherent", "scope", settled=False),))
    monkeypatch.setattr(evidence, "MOST_STATES", 10)
    cut = with_evidence(EARLY_READ, result, MISTAKES, NotThere, jobs=1)
    assert cut.verdict == "inconclusive" and not cut.evidence[0].settled
    assert "coherent      holds                  not put to the test so far: the search was cut" in str(cut)
