"""What the tests of the C front end share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pasidlab.checking.api import CheckResult, check
from pasidlab.designs import Opening
from pasidlab.model.scope import Scope

TINY = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., CheckResult]:
    """Check C text in a tiny scope."""

    def run(text: str, scope: Scope = TINY, name: str = "fix.c", **options: object) -> CheckResult:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return check(Opening(str(path), **options).design(), scope)  # type: ignore[arg-type]

    return run
