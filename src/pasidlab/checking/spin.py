"""SPIN, where it and a C compiler are installed: an engine that has nothing in common with this one explores an exported model."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pasidlab.errors import PasidlabError
from pasidlab.lang.back.promela import Export

_ALWAYS = ("-DSAFETY", "-DNOREDUCE", "-DPRINTF", "-DMEMLIM=16000", "-w")
_DEEPEST = 20_000_000  # longest path of a depth-first search
_STATES, _TRANSITIONS = re.compile(rb"(\d+) states, stored"), re.compile(rb"(\d+) transitions")
_ERRORS, _SECONDS = re.compile(rb"errors: (\d+)"), re.compile(rb"elapsed time ([\d.]+) seconds")
_BROKEN, _CUT = re.compile(rb"violated (\d+)"), re.compile(rb"max search depth too small|out of memory|memory limit")


@dataclass(frozen=True)
class SpinRun:
    """One exploration by SPIN, as the model counts: without the transitions that only look, and without states before the first."""

    states: int
    transitions: int
    errors: int  # guards that were wrong; 0 unless the export itself is
    broken: frozenset[str]  # promises
    seconds: float  # as SPIN itself reports them


def spin_is_there() -> bool:
    """Whether models can be explored by SPIN on this machine."""
    return shutil.which("spin") is not None and _compiler() is not None


def _compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


def build_spin(export: Export, folder: Path) -> Path:
    """Compile SPIN's verifier for an exported model. PasidlabError without spin and a C compiler, or if they fail.

    Without optimisation: in small scopes most of the time goes into compiling.
    """
    compiler = _compiler()
    if compiler is None or shutil.which("spin") is None:
        raise PasidlabError("SPIN and a C compiler are needed", hint="apt-get install spin gcc")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pml").write_text(export.text, encoding="utf-8")
    _run(["spin", "-a", "-o2", "model.pml"], folder)  # -o2: variables that are never read belong to a state, too
    _run([compiler, "-O0", *_ALWAYS, "-o", "pan", "pan.c"], folder)
    return folder / "pan"


def run_spin(verifier: Path, export: Export) -> SpinRun:
    """Explore everything. PasidlabError if SPIN gave up before."""
    start = time.perf_counter()
    output = _run([str(verifier), "-c0", "-E", f"-m{_DEEPEST}"], verifier.parent)  # -c0: errors do not end it, -E: nor does the end
    wall = time.perf_counter() - start
    states, transitions, errors, seconds = (p.search(output) for p in (_STATES, _TRANSITIONS, _ERRORS, _SECONDS))
    if states is None or transitions is None or errors is None or _CUT.search(output):
        raise PasidlabError(f"SPIN did not explore all of the model: {output.decode(errors='replace')[:500]}")
    count = int(states[1]) - bool(export.begins)
    steps = int(transitions[1]) - 1 - export.begins - export.watchers * count  # SPIN counts its start as one
    broken = frozenset(export.properties[int(number)] for number in _BROKEN.findall(output))
    elapsed = float(seconds[1]) if seconds else 0.0
    return SpinRun(count, steps, int(errors[1]), broken, elapsed or wall)


def _run(command: list[str], folder: Path) -> bytes:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise PasidlabError(f"{' '.join(command)} ended with {done.returncode}: {said[-500:]}")
    return done.stdout
