"""Runs small programs under ``pasidlab run`` in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
RUN = """
import sys
from pasidlab.errors import PasidlabError
from pasidlab.live.command import run
try:
    run()
except PasidlabError as error:
    print(f"pasidlab: {error}", file=sys.stderr)
    sys.exit(2)
"""


@dataclass
class Run:
    """What came of one run."""

    code: int
    out: str
    err: str
    report: dict[str, Any]


def run(*command: str, options: tuple[str, ...] = (), timeout: float = 60, env: dict[str, str] | None = None) -> Run:
    """``pasidlab run OPTIONS --json FILE -- COMMAND``."""
    report = Path(os.environ.get("TMPDIR", "/tmp")) / f"pasidlab-test-{os.getpid()}.json"
    report.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN, *options, "--json", str(report), "--", *command],
        capture_output=True, text=True, timeout=timeout, env={**os.environ, "PYTHONPATH": str(HERE), **(env or {})},
    )  # fmt: skip
    data = json.loads(report.read_text()) if report.exists() else {}
    report.unlink(missing_ok=True)
    return Run(done.returncode, done.stdout, done.stderr, data)


def run_python(script: str, *options: str, arguments: tuple[str, ...] = (), timeout: float = 60) -> Run:
    """A Python program that starts with everything of ``client`` imported."""
    source = "from client import *\n" + textwrap.dedent(script)
    return run(sys.executable, "-c", source, *arguments, options=options, timeout=timeout)


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
