"""Explore, run and observe how Linux hands a process its PASID (ENQCMD, IA32_PASID, lazily restored xstate).

``check(designs.early, Scope(cpus=2)).holds``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pasidlab.version import VERSION as __version__

__all__ = ["Budget", "CheckResult", "Counterexample", "PasidlabError", "Scope", "__version__", "check", "designs"]

if TYPE_CHECKING:
    from pasidlab import designs
    from pasidlab.check.api import check
    from pasidlab.check.findings import CheckResult
    from pasidlab.check.result import Budget
    from pasidlab.check.scope import Scope
    from pasidlab.check.trace import Counterexample
    from pasidlab.errors import PasidlabError

_HOME = {
    "Budget": "pasidlab.check.result",
    "CheckResult": "pasidlab.check.findings",
    "Counterexample": "pasidlab.check.trace",
    "PasidlabError": "pasidlab.errors",
    "Scope": "pasidlab.check.scope",
}


def __getattr__(name: str) -> Any:
    """Import on first use: ``pasidlab --help`` must not load a compiler."""
    from importlib import import_module

    if name == "check":
        return import_module("pasidlab.check")  # callable
    if name == "designs":
        return import_module("pasidlab.designs")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'pasidlab' has no attribute '{name}'")
