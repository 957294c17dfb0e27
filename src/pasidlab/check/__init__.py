"""Scope, properties and the search of every state: what `pasidlab check` does.

The package is callable: ``from pasidlab import check`` is this package once it is imported, and ``check(design, scope)`` explores.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from pasidlab.check.api import check

        return check(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
