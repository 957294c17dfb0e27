"""Tests that run programs are skipped, with the reason, where programs cannot be traced. And a program for tests of the debugger."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import cache

import pytest
from running import HERE, run


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


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes a program of ``programs/``: its path."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    folder = tmp_path_factory.mktemp("compiled")

    def compile_once(name: str) -> str:
        place = folder / name
        if not place.exists():
            subprocess.run(["gcc", "-g", "-O1", "-pthread", "-o", place, HERE / "programs" / f"{name}.c"], check=True)
        return str(place)

    return compile_once


@pytest.fixture(scope="session")
def debugged(compiled: Callable[[str], str]) -> str:
    """What a debugger looks at."""
    return compiled("debugged")
