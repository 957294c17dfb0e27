"""The models of examples/models: exact numbers of states, every mistake caught by the property it breaks, in so many steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import LONG, some
from pasidlab import CheckResult, check, designs
from pasidlab.errors import PasidlabError

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "examples" / "models"


@dataclass(frozen=True)
class Expected:
    """Of one model in one scope: its states, and what is broken in how many steps."""

    model: str
    states: int | None  # None: the search ends some time after what it has found
    broken: dict[str, int] = field(default_factory=dict)
    events: str | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    seconds: int = 2  # on one CPU; what takes more than a few is for PASIDLAB_LONG=1


TABLE = [
    Expected("tls_register", 124),
    Expected("tls_register", 368, {"preserved": 6}, "+one_sided"),
    Expected("ticket_lock", 2_132),
    Expected("ticket_lock", 17_404, sizes={"cpus": 3}),
    Expected("ticket_lock", 13_700, {"progress": 10}, "+no_irqsave"),
    Expected("ticket_lock", 1_984, {"progress": 38}, "+carry"),
    Expected("ticket_lock", 18_080, {"mutex": 11, "progress": 23}, "+no_cmpxchg"),
    Expected("ticket_lock", 913, {"mutex": 11}, sizes={"tickets": 1}),
    Expected("mcs_lock", 4_633),
    Expected("mcs_lock", 5_047, {"progress": 20}, "+late_init"),
    Expected("mcs_lock", 6_640, {"progress": 21}, "+no_cmpxchg"),
    Expected("mcs_lock", 5_002, {"progress": 21}, "+no_wait"),
    Expected("mcs_lock", 5_318, {"progress": 26}, "+late_count"),
    Expected("asid", 2_696, sizes={"cpus": 1}),
    Expected("asid", 3_713, {"isolated": 46}, "+no_flush", {"cpus": 1}),
    Expected("asid", 7_336_356, seconds=20),
    Expected("asid", None, {"isolated": 86}, "+no_flush", seconds=10),
    Expected("asid", None, {"isolated": 131, "one_number": 147}, "+lost_reserved", {"generations": 3}, seconds=10),
    Expected("asid", None, {"isolated": 135}, "+blind_xchg", {"generations": 3}, seconds=10),
    Expected("fpsimd", 2_028, events="preempt,softirq"),
    Expected("fpsimd", 396_793, seconds=5),
    Expected("fpsimd", 292_311, events="preempt,softirq", sizes={"tasks": 2}, seconds=5),
    Expected("fpsimd", 3_057_968, events="preempt,sve", sizes={"tasks": 2}, seconds=20),
    Expected("fpsimd", None, {"sound_kernel": 9, "preserved": 56}, "preempt,softirq,softirqs_on", seconds=5),
    Expected("fpsimd", 1_386, {"preserved": 24}, "preempt,exec,keeps_cpu"),
    Expected("fpsimd", 733, {"preserved": 36}, "preempt,one_sided"),
    Expected("fpsimd", 5_847, {"kernel_mode": 21, "preserved": 33}, "preempt,neon,no_kernel_flag"),
    Expected("fpsimd", 5_767, {"sve": 35}, "preempt,sve,stale_copy"),
    Expected("amx_xfd", 4_071, sizes={"tasks": 1}),
    Expected("amx_xfd", 1_006_434, seconds=10),
    Expected("amx_xfd", 4_071, {"restored": 17}, "+xrstor_first", {"tasks": 1}),
    Expected("amx_xfd", 4_428, {"armed": 23}, "+no_restore", {"tasks": 1}),
    Expected("amx_xfd", None, {"armed": 22, "restored": 41, "preserved": 44}, "+no_lock", {"tasks": 1}, seconds=5),
    Expected("amx_xfd", 4_503, {"armed": 6}, "+no_update", {"tasks": 1}),
    Expected("amx_xfd", 14_612, {"armed": 16, "restored": 18, "preserved": 29}, "+stale_cache", {"tasks": 1}),
]


def name_of(one: Expected) -> str:
    return " ".join([one.model, one.events or "", *(f"{name}={count}" for name, count in one.sizes.items())])


@pytest.mark.parametrize("one", some([one for one in TABLE if LONG or one.seconds < 5], 2), ids=name_of)
def test_states_and_verdicts(one):
    design = designs.Opening(str(MODELS / f"{one.model}.py")).design()
    result = check(design, design.scope(events=one.events, **one.sizes), jobs=1)
    assert {c.property: len(c.steps) for c in result.counterexamples} == one.broken
    assert one.states in (None, result.states)
    assert result.verdict == ("violated" if one.broken else "holds")
    tested = {p.name for p in result.properties if p.reached}
    assert tested >= set(one.broken) and (tested or one.broken)
    if one.events is None:
        assert tested >= set(design.property_names) - {"sound_kernel"}, "nothing holds because nothing happens"


def test_every_mistake_of_every_model_is_in_the_table():
    for path in MODELS.glob("*.py"):
        own = designs.Opening(str(path)).design().own
        assert own is not None and own.mistakes
        caught = {name for one in TABLE if one.model == path.stem and one.broken for name in (one.events or "").strip("+").split(",")}
        assert own.mistakes.keys() <= caught
        assert any(one.model == path.stem and not one.broken for one in TABLE)


MANY = """
from pasidlab.declare import *
model(sizes={"ns": %d}, events={"turn": "it turns"})
@struct(count=size("ns"))
class Node:
    waits: bool = False
    turned: bool = False
@initial
def begin() -> None:
    at(Node, %d).waits = True
@rule(event="turn")
def turn(n: Node) -> None:
    require(index(n) < 2)
    n.turned = not n.turned
    %s
@pending("answered")
def waits(n: Node) -> bool:
    return n.waits
"""
PROMISE = """
@never("p%d", "it turned")
def broken_%d(n: Node) -> bool:
    return n.turned
"""


def of_many(tmp_path: Path, nodes: int, waits: int, properties: int) -> CheckResult:
    """What a model of so many nodes, of which one waits, comes to; it breaks so many properties."""
    witnesses = "; ".join(f"reached('{name}')" for name in ("answered", *(f"p{n}" for n in range(properties))))
    path = tmp_path / "many.py"
    path.write_text(MANY % (nodes, waits, witnesses) + "".join(PROMISE % (n, n) for n in range(properties)))
    return check(str(path), jobs=1)


@pytest.mark.parametrize(("nodes", "waits", "properties"), [(63, 62, 1), (63, 0, 1), (3, 2, 62)])
def test_each_of_many_is_seen(tmp_path: Path, nodes: int, waits: int, properties: int) -> None:
    result = of_many(tmp_path, nodes, waits, properties)
    assert {c.property for c in result.counterexamples} == {"answered", *(f"p{n}" for n in range(properties))}


def test_more_than_can_be_told_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PasidlabError, match="many: 65 properties are too many\n  hint: 64 are the most"):
        of_many(tmp_path, 3, 2, 63)
    with pytest.raises(PasidlabError, match="many: answered may wait for 64 elements\n  hint: 63 are the most"):
        of_many(tmp_path, 64, 63, 1)
