"""``pasidlab observe``: a live kernel's trace events, recorded and looked at."""

from __future__ import annotations

import json

import click

from pasidlab.output import must_be_writable


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

    Needs root. Everything happens in a trace instance of its own, which is removed in the end.
    """
    from pasidlab.observe.record import Wanted, record

    must_be_writable(path)
    done = record(path, Wanted(seconds, command, buffer_kib, functions))
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


@observe_group.command("stats", epilog="Exit codes: 0, or 2: bad input.")
@click.argument("path", metavar="FILE", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--most", type=click.IntRange(0), default=20, show_default=True, help="Tasks that are listed.")
def stats_command(path: str, as_json: bool, most: int) -> None:
    """Count what a recording shows: saves and restores of registers, switches, by task."""
    from pasidlab.observe.stats import stats

    found = stats(path)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else found.text(most))


