"""What the tests of all folders need to run the command line, and to leave out what stands for too much time."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pasidlab.cli import main

ROOT = Path(__file__).parents[1]
LONG = bool(os.environ.get("PASIDLAB_LONG"))
"""Every case where some stand for all: ``PASIDLAB_LONG=1 make test``."""

Case = TypeVar("Case")


def complaints(page: Any) -> list[str]:
    """What goes wrong on a page of playwright from now on: scripts, the console, loads that fail, are forbidden or leave the machine."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda said: found.append(said.text) if said.type in ("error", "warning") else None)
    page.on("requestfailed", lambda asked: found.append(f"failed: {asked.url}"))
    page.on("request", lambda asked: None if asked.url.startswith(_NEAR) else found.append(f"asked for: {asked.url}"))
    page.add_init_script("addEventListener('securitypolicyviolation', (e) => console.error(e.violatedDirective, e.blockedURI))")
    return found


_NEAR = ("file:", "data:", "blob:", "http://127.0.0.1:")


def some(cases: Iterable[Case], every: int, always: Iterable[Case] = ()) -> list[Case]:
    """Each ``every``-th case and those of ``always``; all of them in the long mode."""
    listed, kept = list(cases), list(always)
    return listed if LONG else [case for n, case in enumerate(listed) if n % every == 0 or case in kept]


def pasidlab(*words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command, run in this process: its exit status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    arguments = [str(word) for word in words]
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
            status = 0
        except SystemExit as end:
            assert end.code is None or isinstance(end.code, int)
            status = end.code or 0
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())
