"""A model explored twice: by the search here, and by SPIN or TLC, which share nothing with it but the lowered code.

What both explore is the model as it is lowered, with nothing simplified, merged, left out or forgotten, without symmetry. A third
exploration, with all of these, must come to the same verdicts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pasidlab.checking.engine_run import EngineRun
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import EVERY_STEP
from pasidlab.checking.spin import export_explored, export_verifier
from pasidlab.checking.tlc import tlc_explored
from pasidlab.designs import AnyScope, Design
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.back.promela import Export, promela
from pasidlab.lang.back.tla import TlaModule, tla
from pasidlab.lang.back.tla_steps import MODEL_ERROR
from pasidlab.lang.ir import Model
from pasidlab.search.breadth_first import search


@dataclass(frozen=True)
class Agreement:
    """What the engines found about one design in one scope."""

    design: str
    scope: AnyScope
    states: int
    transitions: int
    seconds: float  # of the search here, of the model as it is lowered
    broken: frozenset[str]  # promises a state or a step breaks
    engine: str  # SPIN or TLC
    other: EngineRun
    broken_reduced: frozenset[str]  # likewise, in the exploration with every reduction
    names: tuple[str, ...]  # of all promises

    @property
    def equal(self) -> bool:
        """Same states, same verdict for each promise, same transitions, and no guard of the export was wrong.

        A step that breaks a promise half way and leads nowhere is a transition in SPIN alone.
        Two ways of a step to one state are one transition in TLC.
        """
        same = (self.states, self.broken, self.broken_reduced) == (self.other.states, self.other.broken, self.broken)
        more = self.other.transitions - self.transitions
        allowed = more <= 0 if self.engine == "TLC" else more == 0 or (more > 0 and bool(self.broken))
        return same and self.other.errors == 0 and allowed

    def verdicts(self) -> Iterator[tuple[str, bool, bool, bool]]:
        """Each promise, and whether it holds here, in the other engine and in the reduced exploration."""
        for name in self.names:
            yield name, name not in self.broken, name not in self.other.broken, name not in self.broken_reduced

    def to_json(self) -> dict[str, Any]:
        """The agreement as JSON: what `pasidlab export --compare --json` prints."""
        engine = self.engine.lower()
        return {
            "design": self.design, "scope": str(self.scope), "equal": self.equal,
            "states": self.states, f"{engine}_states": self.other.states,
            "transitions": self.transitions, "seconds": round(self.seconds, 3), f"{engine}_seconds": round(self.other.seconds, 3),
            f"{engine}_transitions": self.other.transitions,
            "properties": [
                {"name": name, "holds": here, f"{engine}_holds": there, "reduced_holds": reduced}
                for name, here, there, reduced in self.verdicts()
            ],
        }  # fmt: skip


def whole_model(design: Design, scope: AnyScope) -> Model:
    """The model of a design, lowered line by line."""
    return design_model(design, scope, reductions=replace(EVERY_STEP, forgetting=False), optimised=False)


def exported(design: Design, scope: AnyScope) -> Export:
    """The model before any reduction, in Promela."""
    return promela(whole_model(design, scope))


def exported_tla(design: Design, scope: AnyScope, module: str = "") -> TlaModule:
    """The model before any reduction, in TLA+."""
    return tla(whole_model(design, scope), module)


def compare_engines(design: Design, scope: AnyScope, jobs: int = 1, *, engine: str = "SPIN") -> Agreement:
    """Explore a design by all engines. PasidlabError if the other engine is not installed or gives up."""
    model = whole_model(design, scope)
    with tempfile.TemporaryDirectory() as folder:
        other = _by_tlc(model, Path(folder)) if engine == "TLC" else _by_spin(model, Path(folder))
    found = search(compile_model(model), jobs=jobs)
    broken = frozenset(model.properties[bit].name for bit in found.violations)
    if found.error:
        broken |= {MODEL_ERROR}
    reduced = _reduced(design, scope, jobs)
    counts = found.states, found.transitions, found.seconds
    return Agreement(design.name, scope, *counts, broken, engine, other, reduced, design.property_names)


def _by_spin(model: Model, folder: Path) -> EngineRun:
    export = promela(model)
    return export_explored(export_verifier(export, folder), export)


def _by_tlc(model: Model, folder: Path) -> EngineRun:
    return tlc_explored(tla(model), folder)


def _reduced(design: Design, scope: AnyScope, jobs: int) -> frozenset[str]:
    """The promises that a state or a step breaks in the exploration every check makes."""
    from pasidlab.checking.api import check

    result = check(design, scope, jobs=jobs)
    return frozenset(c.property for c in result.counterexamples if c.loop is None)
