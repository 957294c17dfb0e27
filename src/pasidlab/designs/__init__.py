"""The designs of the debate, one file each: ``designs.early`` and so on. ``Opening`` opens these and any other."""

from __future__ import annotations

from pasidlab.designs.design import BUILT_IN, AnyScope, Design
from pasidlab.designs.opening import Opening

__all__ = ["BUILT_IN", "AnyScope", "Design", "Opening"]


def __getattr__(name: str) -> Design:
    design = BUILT_IN.get(name.replace("_", "-"))
    if design is None:
        raise AttributeError(name)
    return design
