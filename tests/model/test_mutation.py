"""The mutation score: up to twenty of the mutants caught are caught again, as recorded (``mutation.py`` tries them all)."""

from __future__ import annotations

from random import Random

import pytest
from known_bad import KNOWN_BAD
from mutation import DESIGNS, OWN, PARTS, UNEXPLAINED, Table, caught
from mutation import TABLE as FILE
from mutations import mutations
from small_parts import SMALL

SAMPLE, SEED = 20, 7
EVERYTHING = mutations()
TABLE = Table(EVERYTHING)
QUICK = ("interrupts", "kvm", "signals")


def sample():
    quick = {m.name: m for m in EVERYTHING if m.name in TABLE.caught and TABLE.caught[m.name].split(", ")[1] in QUICK}
    return Random(SEED).sample(sorted(quick.values(), key=str), min(SAMPLE, len(quick)))


@pytest.mark.parametrize("mutation", sample(), ids=str)
def test_it_is_caught_as_recorded(mutation):
    _, part, design = TABLE.caught[mutation.name].split(", ")
    assert part in SMALL
    assert str(caught(mutation, design, part)) == TABLE.caught[mutation.name]


def test_mutants_have_names_of_their_own():
    assert len(set(TABLE.names)) == len(TABLE.names) > 900
    assert len(sample()) >= 10


def test_every_mutant_is_caught_or_explained():
    assert [m.name for m in EVERYTHING if not TABLE.knows(m)] == [], "tried by: python tests/model/mutation.py"
    assert [name for name, why in TABLE.survivors.items() if why == UNEXPLAINED] == [], f"say why in {FILE.name}"


def test_what_caught_a_mutant_is_there():
    for found in TABLE.caught.values():
        _, part, design = found.split(", ")
        assert design in KNOWN_BAD if part == OWN else design in DESIGNS and part in PARTS
