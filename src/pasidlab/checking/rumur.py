"""Rumur, where it and a C compiler are installed: an explicit-state engine for Murphi."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

from pasidlab.checking.children import output_of
from pasidlab.checking.engine_run import EngineRun
from pasidlab.errors import PasidlabError

_COUNTS = re.compile(rb"(\d+) states, (\d+) rules fired")


def rumur_is_there() -> bool:
    """Whether models can be explored by Rumur on this machine."""
    return shutil.which("rumur") is not None and shutil.which("gcc") is not None


def rumur_verifier(text: str, folder: Path, threads: int) -> Path:
    """Compile Rumur's verifier for a Murphi text, without symmetry. PasidlabError if it fails."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.m").write_text(text, encoding="utf-8")
    options = ["--threads", str(threads), "--symmetry-reduction", "off", "--deadlock-detection", "off", "--colour", "off"]
    output_of(["rumur", "model.m", "--output", "model.c", *options], folder)
    output_of(["gcc", "-std=c11", "-O3", "-march=native", "-mcx16", "model.c", "-lpthread", "-o", "verifier"], folder)
    return folder / "verifier"


def rumur_explored(verifier: Path) -> EngineRun:
    """Explore everything. PasidlabError if it found an error or gave up."""
    start = time.perf_counter()
    output = output_of([str(verifier)], verifier.parent)
    wall = time.perf_counter() - start
    counts = _COUNTS.search(output)
    if counts is None or b"No error found" not in output:
        raise PasidlabError(f"Rumur did not explore all of the model: {output.decode(errors='replace')[-500:]}")
    return EngineRun(int(counts[1]), int(counts[2]), 0, wall)
