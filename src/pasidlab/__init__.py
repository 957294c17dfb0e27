"""A model checker for one question: can Linux give a process its PASID without a race? It also runs programs that use ENQCMD.

``check(designs.early, Scope(cpus=2)).holds``
"""

from __future__ import annotations

from pasidlab.version import VERSION as __version__

TYPE_CHECKING = False  # typing is not imported: what comes before the first line of ``__main__`` cannot answer Ctrl-C

__all__ = ["Budget", "CheckResult", "Counterexample", "PasidlabError", "Reductions", "Scope", "__version__", "check", "designs"]

if TYPE_CHECKING:
    from typing import Any

    from pasidlab import designs
    from pasidlab.checking.api import check
    from pasidlab.checking.reductions import Reductions
    from pasidlab.checking.result import CheckResult
    from pasidlab.errors import PasidlabError
    from pasidlab.model.scope import Scope
    from pasidlab.search.result import Budget
    from pasidlab.trace.steps import Counterexample

_HOME = {
    "Budget": "pasidlab.search.result",
    "CheckResult": "pasidlab.checking.result",
    "Counterexample": "pasidlab.trace.steps",
    "PasidlabError": "pasidlab.errors",
    "Reductions": "pasidlab.checking.reductions",
    "check": "pasidlab.checking.api",
    "Scope": "pasidlab.model.scope",
}


def __getattr__(name: str) -> Any:
    """Import on first use: ``pasidlab --help`` must not load a compiler."""
    from importlib import import_module

    if name == "designs":
        return import_module("pasidlab.designs")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'pasidlab' has no attribute '{name}'")
