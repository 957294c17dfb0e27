"""Runs small programs under ``pasidlab run`` in processes of their own."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forked import forked

HERE = Path(__file__).parent
RUN = """
import sys
from pasidlab.cli import main
main(["run", *sys.argv[1:]])
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
    with tempfile.TemporaryDirectory(prefix="pasidlab-test-", ignore_cleanup_errors=True) as code:
        around = {**os.environ, "PYTHONPATH": str(HERE), "DSA_CLIENT_CODE": code, **(env or {})}
        done = forked(["run", *options, "--json", str(report), "--", *command], around, timeout)
    data = json.loads(report.read_text()) if report.exists() else {}
    report.unlink(missing_ok=True)
    return Run(done.returncode, done.stdout, done.stderr, data)


def run_python(
    script: str, *options: str, arguments: tuple[str, ...] = (), timeout: float = 60, env: dict[str, str] | None = None
) -> Run:
    """A Python program that starts with everything of ``dsa_client`` imported."""
    source = "from dsa_client import *\n" + textwrap.dedent(script)
    return run(sys.executable, "-u", "-c", source, *arguments, options=options, timeout=timeout, env=env)
