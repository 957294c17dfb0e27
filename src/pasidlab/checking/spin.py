"""SPIN, where it and a C compiler are installed: an engine that has nothing in common with this one explores an exported model."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pasidlab.checking.children import output_of
from pasidlab.checking.engine_run import EngineRun
from pasidlab.errors import PasidlabError
from pasidlab.lang.back.promela import Export

_ALWAYS = ("-DSAFETY", "-DMEMLIM=16000", "-w")
REDUCED, UNREDUCED = (), ("-DNOREDUCE",)  # with SPIN's partial order reduction, and without
_DEEPEST = 20_000_000  # longest path of a depth-first search
_STATES, _TRANSITIONS = re.compile(rb"(\d+) states, stored"), re.compile(rb"(\d+) transitions")
_MEMORY = re.compile(rb"([\d.]+)\s+total actual memory usage")  # MB
_ERRORS, _SECONDS = re.compile(rb"errors: (\d+)"), re.compile(rb"elapsed time ([\d.]+) seconds")
_BROKEN, _CUT = re.compile(rb"violated (\d+)"), re.compile(rb"max search depth too small|out of memory|memory limit")


def spin_is_there() -> bool:
    """Whether models can be explored by SPIN on this machine."""
    return shutil.which("spin") is not None and _compiler() is not None


def _compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


def verifier(text: str, folder: Path, *flags: str, options: Sequence[str] = (), reduction: Sequence[str] = UNREDUCED) -> Path:
    """Compile SPIN's verifier for a Promela text: ``options`` are SPIN's, ``flags`` the C compiler's.

    Raises PasidlabError without SPIN and a C compiler, or if they fail.
    """
    compiler = _compiler()
    if compiler is None or shutil.which("spin") is None:
        raise PasidlabError("SPIN and a C compiler are needed", hint="apt-get install spin gcc")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.pml").write_text(text, encoding="utf-8")
    output_of(["spin", "-a", *options, "model.pml"], folder)
    output_of([compiler, *_ALWAYS, *reduction, *flags, "-o", "pan", "pan.c"], folder)
    return folder / "pan"


def explored(pan: Path, *options: str) -> tuple[EngineRun, bytes]:
    """Explore everything with a verifier: what SPIN counts, and all it says. PasidlabError if it gave up before."""
    start = time.perf_counter()
    output = output_of([str(pan), *options], pan.parent)
    wall = time.perf_counter() - start
    states, transitions, errors, seconds = (p.search(output) for p in (_STATES, _TRANSITIONS, _ERRORS, _SECONDS))
    if states is None or transitions is None or errors is None or _CUT.search(output):
        raise PasidlabError(f"SPIN did not explore all of the model: {output.decode(errors='replace')[:500]}")
    elapsed, memory = float(seconds[1]) if seconds else 0.0, _MEMORY.search(output)
    taken = int(float(memory[1]) * 1e6) if memory else 0
    return EngineRun(int(states[1]), int(transitions[1]), int(errors[1]), elapsed or wall, memory=taken), output


def export_verifier(export: Export, folder: Path, level: str = "-O0", reduction: Sequence[str] = UNREDUCED) -> Path:
    """The verifier of an exported model. Without optimisation: in small scopes most of the time goes into compiling.

    -o2: variables that are never read belong to a state, too.
    """
    return verifier(export.text, folder, level, "-DPRINTF", options=["-o2"], reduction=reduction)


def export_explored(pan: Path, export: Export) -> EngineRun:
    """An exported model explored, as it counts: without transitions that only look, and without states before the first."""
    run, output = explored(pan, f"-m{_DEEPEST}", "-c0", "-E")  # -c0: errors do not end it, -E: nor does the end
    states = run.states - bool(export.begins)
    transitions = run.transitions - 1 - export.begins - export.watchers * states  # SPIN counts its start as one
    broken = frozenset(export.properties[int(number)] for number in _BROKEN.findall(output))
    return replace(run, states=states, transitions=transitions, broken=broken)
