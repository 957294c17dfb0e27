"""The models of examples/models: exact numbers of states, every mistake caught by the property it breaks, in so many steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pasidlab import check, designs

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "examples" / "models"


@dataclass(frozen=True)
class Expected:
    """Of one model in one scope: its states, and what is broken in how many steps."""

    model: str
    states: int
    broken: dict[str, int] = field(default_factory=dict)
    events: str | None = None
    sizes: dict[str, int] = field(default_factory=dict)


TABLE = [
    Expected("ticket_lock", 2_132),
    Expected("ticket_lock", 17_404, sizes={"cpus": 3}),
    Expected("ticket_lock", 13_700, {"progress": 10}, "+no_irqsave"),
    Expected("ticket_lock", 1_984, {"progress": 38}, "+carry"),
    Expected("ticket_lock", 33_828, {"mutex": 11, "progress": 23}, "+no_cmpxchg"),
    Expected("ticket_lock", 1_566, {"mutex": 11}, sizes={"tickets": 1}),
    Expected("mcs_lock", 4_633),
    Expected("mcs_lock", 5_047, {"progress": 20}, "+late_init"),
    Expected("mcs_lock", 6_640, {"progress": 21}, "+no_cmpxchg"),
    Expected("mcs_lock", 5_002, {"progress": 21}, "+no_wait"),
    Expected("mcs_lock", 5_318, {"progress": 26}, "+late_count"),
]


def name_of(one: Expected) -> str:
    return " ".join([one.model, one.events or "", *(f"{name}={count}" for name, count in one.sizes.items())])


@pytest.mark.parametrize("one", TABLE, ids=name_of)
def test_states_and_verdicts(one):
    design = designs.Opening(str(MODELS / f"{one.model}.py")).design()
    result = check(design, design.scope(events=one.events, **one.sizes), jobs=1)
    assert (result.states, {c.property: len(c.steps) for c in result.counterexamples}) == (one.states, one.broken)
    assert result.verdict == ("violated" if one.broken else "holds")
    assert all(p.reached for p in result.properties if p.name != "sound_kernel"), "nothing holds because nothing happens"


def test_every_mistake_of_every_model_is_in_the_table():
    for path in MODELS.glob("*.py"):
        own = designs.Opening(str(path)).design().own
        assert own is not None and own.mistakes
        caught = {one.events for one in TABLE if one.model == path.stem and one.broken}
        assert {f"+{name}" for name in own.mistakes} <= caught
        assert any(one.model == path.stem and not one.broken for one in TABLE)
