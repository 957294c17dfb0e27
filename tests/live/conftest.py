"""Tests that run programs are skipped, with the reason, where programs cannot be traced."""

from __future__ import annotations

from functools import cache

import pytest
from running import run


@cache
def _why_not() -> str:
    done = run("/bin/true")
    return "" if done.code == 0 else done.err.strip()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without ptrace nothing here can run."""
    for item in items:
        if "needs_run" in item.keywords and _why_not():
            item.add_marker(pytest.mark.skip(reason=f"programs cannot be traced here: {_why_not()}"))


def pytest_configure(config: pytest.Config) -> None:
    """The marker of tests that run programs."""
    config.addinivalue_line("markers", "needs_run: runs a program under pasidlab run")
