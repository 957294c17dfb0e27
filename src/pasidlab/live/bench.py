"""``pasidlab bench run``: how fast programs run, measured on this machine, against the limits the design sets itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click

_PROGRAM = [sys.executable, "-m", "pasidlab.live.benchprogram"]
_FAST = [sys.executable, "-m", "pasidlab.cli", "run", "--summary", "none", "--"]
_RUN = [*_FAST[:-1], "--exact", "--"]


@dataclass(frozen=True)
class Figure:
    """One measurement: ``limit`` is an upper bound, or a lower one where ``at_least``."""

    name: str
    value: float
    unit: str
    limit: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether the limit holds."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def _measure(what: str, number: int, *, native: bool = False, one_core: bool = False, fast: bool = False) -> float:
    run = _FAST if fast else _RUN
    command = [*([] if native else run), *_PROGRAM, what, str(number)]
    before = os.sched_getaffinity(0)
    if one_core:
        os.sched_setaffinity(0, {max(before)})
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        os.sched_setaffinity(0, before)
    if done.returncode:
        raise click.ClickException(f"the benchmark program failed ({done.returncode}): {done.stderr.strip()}")
    return float(done.stdout)


def _ratio(rounds: int = 40, pairs: int = 7) -> float:
    """Time of a program that never submits, run by pasidlab, over its own time."""
    native, ours = _pairs("work", rounds, pairs)
    return ours / native


def _pairs(what: str, number: int, pairs: int) -> tuple[float, float]:
    """A figure of the program by itself and under pasidlab: the best of alternating runs."""
    native, ours = [], []
    for _ in range(pairs):
        native.append(_measure(what, number, native=True, one_core=True))
        ours.append(_measure(what, number, one_core=True))
    return min(native), min(ours)


def figures() -> Iterator[Figure]:
    """All figures, as they are measured."""
    yield Figure("code that does not submit, time over native", _ratio(), "x", 1.02)
    native, ours = _pairs("arithmetic", 60, 5)
    yield Figure("arithmetic alone, CPU time over native", ours / native, "x", 1.02)
    native, ours = _pairs("calls", 200_000, 5)
    yield Figure("a system call costs more than native by", ours - native, "us", 0.05)
    for threads in (1, 64):
        name = f"submission of a 64-byte move, one core, {threads} thread{'s' * (threads > 1)}"
        yield Figure(name, _measure("submissions", threads, one_core=True), "us", 60)
    for threads in (1, 8):
        name = f"the same on all cores, {threads} thread{'s' * (threads > 1)}"
        yield Figure(name, _measure("submissions", threads), "us", 90)
    for threads in (1, 64):
        name = f"a submission that does not stop, all cores, {threads} thread{'s' * (threads > 1)}"
        yield Figure(name, _measure("unstopped", threads, fast=True), "ns", 100)
    yield Figure("a submission that stops, with 5000 mappings more, one core", _measure("mappings", 5000, one_core=True), "us", 60)
    yield Figure(
        "starting a thread costs more than native by",
        _measure("births", 200) - _measure("births", 200, native=True),
        "us",
        1500,
    )
    for opcode, name in (
        (3, "memory move over libc memmove"),
        (4, "fill over libc memset"),
        (5, "compare over numpy"),
        (16, "CRC over google_crc32c"),
    ):
        yield Figure(f"256 MiB {name}, speed", _measure("bulk", opcode), "x", 0.8, at_least=True)


@click.command("run")
@click.option("--json", "as_json", is_flag=True, help="Figures as JSON.")
def bench_run(as_json: bool) -> None:
    """Measure ``pasidlab run``: native speed, cost of a submission, bulk operations. About 20 seconds."""
    rows = []
    for figure in figures():
        rows.append(figure)
        if not as_json:
            sign = ">=" if figure.at_least else "<="
            verdict = "" if figure.kept else "   MISSED"
            click.echo(f"{figure.name:58}{figure.value:9.2f} {figure.unit:3}({sign} {figure.limit:g}){verdict}")
    if as_json:
        click.echo(json.dumps([asdict(row) | {"kept": row.kept} for row in rows], indent=2))
