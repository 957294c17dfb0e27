"""``pasidlab check`` and ``pasidlab designs``."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pasidlab import designs
from pasidlab.errors import PasidlabError
from pasidlab.output import must_be_writable, write

if TYPE_CHECKING:
    from pasidlab.check.findings import CheckResult
    from pasidlab.check.scope import Scope

SIZES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def number(text: str | None, option: str) -> int | None:
    """A whole number with K, M or G."""
    if text is None:
        return None
    digits, suffix = (text[:-1], text[-1].upper()) if text[-1:].upper() in ("K", "M", "G") else (text, "")
    try:
        value = int(float(digits) * SIZES[suffix])
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        raise PasidlabError(f"{option} {text} is not a positive number", hint="for example 500K, 20M, 4G")
    return value


@click.command("check", epilog="Exit codes: 0 holds, 1 violated, 2 bad input or usage, 3 inconclusive.")
@click.argument("names", nargs=-1, metavar="[DESIGN | FILE.py | FILE.c | FILE.patch | FILE.mbox | -]...")
@click.option("--kernel", metavar="TREE", help="Take the kernel around it from a Linux source tree; alone: check the tree's own design.")
@click.option("--base", metavar="DESIGN", help="The design a C file or patch changes (default: by the functions it defines).")
@click.option("--config", multiple=True, metavar="CONFIG_X=n", help="A kernel configuration option; may be repeated.")
@click.option("--stub", multiple=True, metavar="NAME=HOW", help="noop, or unconstrained: every value is tried; may be repeated.")
@click.option("--cpus", type=int, help="CPUs (1 to 3).")
@click.option("--tasks", type=int, help="Task slots (1 to 3).")
@click.option("--mms", type=int, help="Address spaces (1 to 3).")
@click.option("--pasids", type=int, help="PASIDs (at least as many as address spaces).")
@click.option("--events", metavar="LIST", help="a,b: just these; +a,-b: change the default; a:1: at most once; all.")
@click.option("--property", "properties", multiple=True, metavar="NAME", help="Judge this property only; may be repeated.")
@click.option("--jobs", type=click.IntRange(1), help="CPUs to use (default: all).")
@click.option("--max-states", metavar="N", help="Give up after this many states (K, M, G).")
@click.option("--max-memory", metavar="BYTES", help="Give up before using more memory (K, M, G).")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Give up after this time (each part).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-o", "--output", "outputs", multiple=True, metavar="FILE",
              help="Also write the results: a page to step through (.html), JSON for replay (.json), SARIF for code review (.sarif), "
                   "JUnit for CI (.xml); may be repeated.")  # fmt: skip
@click.option("--no-merge", is_flag=True, help="Keep every access to state a step of its own.")
@click.option("--no-symmetry", is_flag=True, help="Keep states apart that differ only in which CPU, task or mm is which.")
@click.option("--no-forget", is_flag=True, help="Keep states apart that differ only in contents nobody may rely on.")
@click.option("-q", "--quiet", is_flag=True, help="The verdict table only.")
@click.option("-v", "--verbose", is_flag=True, help="Traces with every line that was executed.")
def check_command(
    names: tuple[str, ...], kernel: str | None, base: str | None, config: tuple[str, ...], stub: tuple[str, ...],
    cpus: int | None, tasks: int | None, mms: int | None, pasids: int | None, events: str | None,
    properties: tuple[str, ...], jobs: int | None, max_states: str | None, max_memory: str | None, timeout: float | None, as_json: bool,
    outputs: tuple[str, ...], no_merge: bool, no_symmetry: bool, no_forget: bool, quiet: bool, verbose: bool,
) -> int:  # fmt: skip
    """Explore designs exhaustively.

    Without a name every built-in design is explored and the verdict table printed. Without a scope each is explored in the default
    parts (see `pasidlab designs`); any of --cpus, --tasks, --mms, --pasids, --events makes one scope of your own.
    """
    from pasidlab.commands.formats import FORMATS
    from pasidlab.commands.kernel_c import open_design

    for output in outputs:
        if Path(output).suffix not in FORMATS:
            raise PasidlabError(f"cannot write '{output}'", hint=f"the file name must end in {', '.join(FORMATS)}")
        must_be_writable(output)
    if timeout is not None and isnan(timeout):
        raise PasidlabError("--timeout nan is not a number of seconds")
    scope = scope_from(cpus, tasks, mms, pasids, events)
    chosen = [
        open_design(name, base=base, config=config, stubs=stub, kernel=kernel, quiet=quiet or as_json)
        for name in names or ([""] if kernel else designs.BUILT_IN)
    ]
    from pasidlab.check.api import check_each, wanted_properties  # not before bad input has been told: it takes a second
    from pasidlab.check.result import Budget
    from pasidlab.commands.progress import Progress
    from pasidlab.report.json import results_json
    from pasidlab.report.text import verdict_table

    wanted_properties(properties)
    budget = Budget(number(max_states, "--max-states"), number(max_memory, "--max-memory"), timeout)
    results: list[CheckResult] = []
    ended: BaseException | None = None
    with Progress() as progress:
        found = check_each(
            chosen, scope, properties=properties, jobs=jobs, budget=budget, progress=progress.update, merged=not no_merge,
            symmetric=not no_symmetry, forgetting=not no_forget,
        )  # fmt: skip
        try:
            for result in found:
                results.append(result)
                progress.stop(result.design)
                if not (as_json or quiet):
                    _print(result, verbose, whole=bool(names or kernel))
        except (KeyboardInterrupt, PasidlabError) as error:
            ended = error
    if ended and not results:
        raise ended
    document = results_json(results, {d.name: d.origin or str(d.path) for d in chosen})
    for entry, design, name in zip(document["results"], chosen, names or [""] * len(chosen), strict=False):
        if design.origin:
            entry["opened"] = {"name": name, "base": base, "config": list(config), "stubs": list(stub), "kernel": kernel}
            entry["base"], entry["notes"] = design.path.stem.replace("_", "-"), list(design.notes)
            entry["provenance"] = [dict(zip(("function", "place", "why"), row, strict=True)) for row in design.provenance]
    for output in outputs:
        write(output, FORMATS[Path(output).suffix](results, document))
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(verdict_table(results))
    if missing := [design.name for design in chosen[len(results) :]]:
        click.echo(f"not explored: {', '.join(missing)}", err=True)
    if isinstance(ended, PasidlabError):
        raise ended
    return exit_code(results, complete=not missing)


def scope_from(cpus: int | None, tasks: int | None, mms: int | None, pasids: int | None, events: str | None) -> Scope | None:
    """The scope the options ask for; None if they ask for none."""
    from pasidlab.check.scope import Scope

    if all(option is None for option in (cpus, tasks, mms, pasids, events)):
        return None
    mms = mms if mms is not None else Scope().mms
    base = Scope(
        cpus=cpus if cpus is not None else Scope().cpus, tasks=tasks if tasks is not None else Scope().tasks, mms=mms,
        pasids=pasids if pasids is not None else max(mms, 1),
    )  # fmt: skip
    return replace(base.with_events(events.split(","))) if events is not None else base


def exit_code(results: list[CheckResult], complete: bool = True) -> int:
    """1 if anything is violated, else 3 if anything is inconclusive or was not explored, else 0."""
    verdicts = {r.verdict for r in results}
    return 1 if "violated" in verdicts else 3 if "inconclusive" in verdicts or not complete else 0


def _print(result: CheckResult, verbose: bool, whole: bool) -> None:
    """One design, as soon as it is explored: all about it, or its first counterexample."""
    from pasidlab.report.text import result_text
    from pasidlab.report.trace import trace_text

    if whole:
        click.echo(result_text(result, verbose=verbose) + "\n")
    elif result.counterexamples:
        first = result.counterexamples[0]
        text = trace_text(first, result.scope_of(first).cpus, verbose=verbose)
        click.echo(f"{result.design}\n{'=' * len(result.design)}\n{text}\n")
    sys.stdout.flush()


@click.command("designs")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def designs_command(as_json: bool) -> None:
    """The designs of the debate, the parts every check explores by default, events and properties."""
    from pasidlab.check.scope import DEFAULT_PARTS, EVENTS
    from pasidlab.linux.promises import PROPERTIES
    from pasidlab.report.text import definitions

    if as_json:
        document = {
            "designs": [{"name": d.name, "idea": d.idea, "file": str(d.path)} for d in designs.BUILT_IN.values()],
            "parts": {name: str(scope) for name, scope in DEFAULT_PARTS.items()},
            "events": EVENTS,
            "properties": {p.name: p.sentence for p in PROPERTIES},
        }
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(definitions("Designs", {d.name: d.idea for d in designs.BUILT_IN.values()}))
    click.echo(definitions("Parts explored when no scope is given", {name: str(scope) for name, scope in DEFAULT_PARTS.items()}))
    click.echo(definitions("Events", EVENTS))
    click.echo(definitions("Properties", {p.name: p.sentence for p in PROPERTIES}))
