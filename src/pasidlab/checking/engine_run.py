"""What another engine counts when it explores a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineRun:
    """One exploration by an engine that is not this one. Of SPIN ``errors`` are assertions that failed: guards that were wrong."""

    states: int
    transitions: int
    errors: int
    seconds: float  # as the engine itself reports them
    broken: frozenset[str] = frozenset()  # promises of an export
    memory: int = 0  # bytes, of an engine that says so
