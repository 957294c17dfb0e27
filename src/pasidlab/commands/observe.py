"""``pasidlab observe``: a live kernel's trace events, recorded and looked at."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pasidlab.errors import PasidlabError
from pasidlab.observe.assumptions import ASSUMPTIONS
from pasidlab.output import must_be_writable, write


@click.group("observe")
def observe_group() -> None:
    """Record the trace events of this machine's kernel, and hold them against the model."""


@observe_group.command("record", epilog="Exit codes: 0 recorded, 2 it could not be recorded.")
@click.option("-o", "--output", "path", default="pasidlab.rec", show_default=True, metavar="FILE", help="Where the recording goes.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End after this time.")
@click.option("--buffer", "buffer_kib", type=click.IntRange(64), default=8192, show_default=True, metavar="KIB", help="For each CPU.")
@click.option("--functions", is_flag=True, help="Also calls of FPU functions, by the function tracer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def record_command(path: str, seconds: float | None, buffer_kib: int, functions: bool, as_json: bool, command: tuple[str, ...]) -> int:
    """Record x86_fpu and scheduler events of the whole machine until COMMAND ends, the time is up, or Ctrl-C.

    Needs root. Everything happens in a trace instance of its own, which is removed in the end. A COMMAND that outlives the recording goes
    on, as it does if the recorder is killed.
    """
    from pasidlab.observe.record import Wanted, record, signals_are_late, stopped_by_signals

    must_be_writable(path)
    _must_be_finite(seconds)
    try:
        done = record(path, Wanted(seconds, command, buffer_kib, functions), stopped_by_signals())
    finally:
        signals_are_late()
    document = {
        "file": path, "events": done.events, "lost": done.lost, "bytes": done.bytes, "seconds": round(done.seconds, 3),
        "status": done.status, "missing": list(done.missing), "notes": done.notes,
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return 0
    rate = done.events / done.seconds if done.seconds else 0
    click.echo(f"{path}: {done.events:,} events in {done.seconds:.1f} s ({rate:,.0f} a second), {done.bytes:,} bytes", err=True)
    if done.lost:
        click.echo(f"{done.lost:,} events were lost: what they would have shown is unknown; a larger --buffer loses fewer", err=True)
    if done.status:
        click.echo(f"{command[0]} ended with status {done.status}", err=True)
    for note in done.notes:
        click.echo(note, err=True)
    return 0


def _must_be_finite(*numbers: float | None) -> None:
    """click's FloatRange takes nan and inf."""
    for number in numbers:
        if number is not None and not math.isfinite(number):
            raise PasidlabError(f"{number} is no length of time", hint="a number of seconds, 2.5 say")


def _reads(command: Callable[..., Any]) -> Callable[..., Any]:
    """A file of any program that records, and what the user must say where it does not."""
    command = click.option(
        "--recorded", multiple=True, metavar="EVENT", help="An event, or a system, that was recorded and may never have come; for text."
    )(command)
    of = "The kernel's release, where the file does not tell it."
    command = click.option("--kernel", default="", metavar="RELEASE", help=of)(command)
    return click.argument("path", metavar="FILE", type=click.Path())(command)


@observe_group.command("stats", epilog="Exit codes: 0, or 2: bad input.")
@_reads
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--most", type=click.IntRange(0), default=20, show_default=True, help="Tasks that are listed.")
def stats_command(path: str, kernel: str, recorded: tuple[str, ...], as_json: bool, most: int) -> None:
    """Count what a recording shows: saves and restores of registers, switches, by task."""
    from pasidlab.observe.source import opened_recording
    from pasidlab.observe.stats import stats
    from pasidlab.observe.text import Told

    found = stats(opened_recording(path, Told(kernel, recorded)))
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else found.text(most))


@observe_group.command("verify", epilog="Exit codes: 0 conforms, 1 a contradiction, 2 bad input, 3 cannot decide.")
@_reads
@click.option(
    "--assume", "assumed", multiple=True, type=click.Choice(list(ASSUMPTIONS)), help="What this kernel does not do; less is guessed then."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify_command(path: str, kernel: str, recorded: tuple[str, ...], assumed: tuple[str, ...], as_json: bool) -> int:
    """Hold a recording against the model: is what its events show a behaviour of the model's own functions?

    Steps without an event (the kernel uses the FPU, a restore is skipped) are found, and counted. FILE may also be trace-cmd's trace.dat,
    or text: of `perf script --header`, of `trace-cmd report`, or the file trace of tracefs; - is text on standard input.
    """
    from pasidlab.observe.source import opened_recording
    from pasidlab.observe.telling import verdict_json, verdict_text
    from pasidlab.observe.text import Told
    from pasidlab.observe.verify import verify

    with _Progress() as progress:
        verdict = verify(opened_recording(path, Told(kernel, recorded)), progress.update, assumed)
    click.echo(json.dumps(verdict_json(verdict), indent=2) if as_json else verdict_text(verdict))
    return verdict.status


@observe_group.command("coverage", epilog="Exit codes: 0, 1 the kernel did what the model cannot do, 2 bad input.")
@_reads
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def coverage_command(path: str, kernel: str, recorded: tuple[str, ...], as_json: bool) -> int:
    """List what the model can do, and how often a recording shows it."""
    from pasidlab.observe.source import opened_recording
    from pasidlab.observe.telling import verdict_text
    from pasidlab.observe.text import Told
    from pasidlab.observe.verify import verify

    with _Progress() as progress:
        verdict = verify(opened_recording(path, Told(kernel, recorded)), progress.update)
    if verdict.contradiction:
        click.echo(verdict_text(verdict))
        return 1
    click.echo(json.dumps(verdict.coverage.to_json(), indent=2) if as_json else verdict.coverage.text())
    return 0


@observe_group.command("lanes", epilog="Exit codes: 0, or 2: bad input.")
@_reads
@click.option("-o", "--output", required=True, metavar="FILE", help="A page (.html), or tracks for Perfetto (.perfetto).")
@click.option("--from", "start", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Begin this long after the first event.")
@click.option("--for", "length", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="So long; else to the end.")
@click.option("--most", type=click.IntRange(1), help="Events at most.  [default: 5000 on a page, else 1000000]")
def lanes_command(
    path: str, kernel: str, recorded: tuple[str, ...], output: str, start: float, length: float | None, most: int | None
) -> None:
    """Draw a stretch of a recording: for each CPU a lane with who runs, and whose registers it has."""
    from pasidlab.observe.lanes import lanes
    from pasidlab.observe.source import opened_recording
    from pasidlab.observe.text import Told
    from pasidlab.report.recorded import lanes_page, lanes_perfetto

    _must_be_finite(start, length)
    kind = Path(output).suffix
    if kind not in (".html", ".perfetto"):
        raise PasidlabError(f"no way to draw {output}", hint="a name that ends with .html or .perfetto")
    must_be_writable(output)
    found = lanes(opened_recording(path, Told(kernel, recorded)), start, length, most or (5000 if kind == ".html" else 1_000_000))
    if not found.events:
        raise PasidlabError(f"{path} has no events there", hint="--from counts seconds from the first event on")
    if kind == ".html":
        write(output, lanes_page(found, Path(path).name, ["pasidlab", *sys.argv[1:]]))
    else:
        write(output, json.dumps(lanes_perfetto(found)))
    more = ", and more were left out" if found.left_out else ""
    click.echo(f"{output}: {found.events:,} events of {(found.end - found.begin) / 1e6:,.3f} ms{more}", err=True)


class _Progress:
    """How many events have been judged, on standard error if that is a terminal."""

    def __enter__(self) -> _Progress:
        self.shown = False
        return self

    def __exit__(self, *error: object) -> None:
        if self.shown:
            click.echo("\r" + " " * 40 + "\r", err=True, nl=False)

    def update(self, events: int) -> None:
        """So many so far."""
        if sys.stderr.isatty():
            self.shown = True
            click.echo(f"\r{events:,} events", err=True, nl=False)
