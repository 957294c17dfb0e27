"""Other programs, run to their end: SPIN's verifier, a C compiler, TLC, the program of a benchmark.

A child does not outlive pasidlab, whatever ends that: the kernel sends it SIGKILL then (PR_SET_PDEATHSIG, prctl(2)). The signal comes when
the thread that began the child ends. So a thread must wait for its child, which ``run_child`` does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

from pasidlab.errors import PasidlabError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)


def run_child(command: list[str], folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """The program run without input: its exit code and what it wrote. Raises OSError if it cannot be started.

    It runs in ``folder``; None: where pasidlab does.
    """
    begin = partial(_die_with, os.getpid())
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL, preexec_fn=begin)


def output_of(command: list[str], folder: Path) -> bytes:
    """What a program, run in ``folder``, wrote to its output. PasidlabError if it failed."""
    done = run_child(command, folder)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise PasidlabError(f"{' '.join(command)} ended with {done.returncode}: {said[-500:]}")
    return done.stdout


def _die_with(parent: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)
