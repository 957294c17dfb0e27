"""``pasidlab export``: a model for another engine; ``--compare``: what that engine finds in it, beside what is found here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pasidlab import designs
from pasidlab.commands.scopes import AskedScope, asked_scope
from pasidlab.errors import PasidlabError
from pasidlab.output import must_be_writable, write
from pasidlab.zoo.catalogue import CATALOGUE

if TYPE_CHECKING:
    from pasidlab.checking.agreement import Agreement
    from pasidlab.designs import AnyScope, Design
    from pasidlab.model.scope import Scope

BUGS = (
    "supervisor-not-saved", "valid-bit-missing", "pasid-drop-in-mmput", "unbind-after-drop", "drain-under-spinlock",
    "open-error-path", "clear-ipi-too-early", "frame-from-image",
)  # fmt: skip
"""The bugs of the zoo that are compared: those whose own scope is small enough for SPIN to take seconds."""


@click.command("export", epilog="Exit codes: 0 written, or all engines agree; 1 they differ; 2 bad input or usage, or no such engine.")
@click.argument("names", nargs=-1, metavar="[DESIGN | BUG | FILE]...")
@click.option("--to", "language", type=click.Choice(["promela", "tla"]), default="promela", help="For SPIN (default) or for TLC.")
@click.option("--cpus", type=int, help="CPUs (1 to 4).")
@click.option("--tasks", type=int, help="Task slots (1 to 4).")
@click.option("--mms", type=int, help="Address spaces (1 to 4).")
@click.option("--pasids", type=int, help="PASIDs (at least as many as address spaces).")
@click.option("--size", multiple=True, metavar="NAME=N", help="A size by its name, as a model of your own declares it.")
@click.option("--events", metavar="LIST", help="a,b: just these; +a,-b: change the default; a:1: at most once; all.")
@click.option("-o", "--output", metavar="FILE", help="Write to a file (default: standard output).")
@click.option("--compare", is_flag=True, help="Let SPIN or TLC explore the models, and say what it finds beside what is found here.")
@click.option("--json", "as_json", is_flag=True, help="With --compare: print JSON.")
def export_command(
    names: tuple[str, ...], language: str, size: tuple[str, ...], events: str | None, output: str | None, compare: bool, as_json: bool,
    **named: int | None,
) -> int:  # fmt: skip
    """Write the model of a design as it is lowered, before anything is simplified, merged, left out or forgotten.

    The text says how SPIN or TLC explores it; beside a FILE.tla goes FILE.cfg, for TLC. Without a scope: 2 CPUs, 1 task, 1 address
    space, events preempt and migrate; for a bug of the zoo the bug's own. With --compare and no name: every built-in design in two
    scopes, and some bugs of the zoo.
    """
    scope = asked_scope(named, size, events)
    if compare:
        if output:
            raise PasidlabError("--compare writes no file", hint="leave out --output")
        whole = not (names or scope.sizes or scope.events is not None)
        return _compare(list(_table() if whole else _pairs(names, scope)), "TLC" if language == "tla" else "SPIN", as_json)
    if len(names) != 1:
        raise PasidlabError(f"one design is exported, {len(names)} are named", hint="pasidlab designs")
    files = _files(language, output)
    for name in files:
        must_be_writable(name)
    ((design, chosen),) = _pairs(names, scope)
    texts = _texts(design, chosen, language, files)
    for name, text in zip(files, texts, strict=False):
        write(name, text)
    if not files:
        click.echo(texts[0], nl=False)
    return 0


def _files(language: str, output: str | None) -> list[str]:
    """What is written: the model, and for TLC what it is asked."""
    if output is None or language == "promela":
        return [output] if output else []
    if not output.endswith(".tla"):
        raise PasidlabError(f"cannot write '{output}'", hint="the file name of a module ends in .tla")
    return [output, output.removesuffix(".tla") + ".cfg"]


def _texts(design: Design, scope: AnyScope, language: str, files: Sequence[str]) -> list[str]:
    from pasidlab.checking.agreement import exported, exported_tla

    if language == "promela":
        return [exported(design, scope).text]
    module = exported_tla(design, scope, Path(files[0]).stem if files else "")
    return [module.text, module.configuration]


def _small() -> tuple[Scope, Scope]:
    """The scopes in which designs are compared: the race for the registers on two CPUs, and life and death of a PASID on one."""
    from pasidlab.model.scope import Scope

    race = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate"}))
    life = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq", "ipi", "bind", "exit"}))
    return race, life


def _pairs(names: Sequence[str], scope: AskedScope) -> Iterator[tuple[Design, AnyScope]]:
    """The designs and bugs named, all built-in designs if none is, each with the scope it is explored in."""
    from pasidlab.zoo.specimen import buggy

    bugs = {bug.name: bug for bug in CATALOGUE if not bug.reason}
    for name in names or designs.BUILT_IN:
        if name in bugs and name not in designs.BUILT_IN:
            bug = buggy(bugs[name])
            yield bug, scope.of(bug) or bugs[name].scope
        else:
            design = designs.Opening(name).design()
            yield design, scope.of(design) or (design.own.scope() if design.own else _small()[0])


def _table() -> Iterator[tuple[Design, AnyScope]]:
    """What is compared when nothing is named."""
    for scope in _small():
        yield from ((design, scope) for design in designs.BUILT_IN.values())
    yield from _pairs(BUGS, AskedScope({}, None))


def _compare(pairs: Sequence[tuple[Design, AnyScope]], engine: str, as_json: bool) -> int:
    from pasidlab.checking import tlc
    from pasidlab.checking.agreement import compare_engines
    from pasidlab.checking.spin import spin_is_there

    if engine == "SPIN" and not spin_is_there():
        raise PasidlabError("SPIN and a C compiler are needed to compare", hint="apt-get install spin gcc")
    if engine == "TLC" and not tlc.tlc_is_there():
        raise PasidlabError("a JVM and tla2tools.jar are needed to compare", hint=tlc.HINT)
    rows: list[Agreement] = []
    if not as_json:
        click.echo(_heading(engine))
    for design, scope in pairs:
        rows.append(compare_engines(design, scope, engine=engine))
        if not as_json:
            click.echo(_line(rows[-1], new_scope=len(rows) == 1 or rows[-2].scope != scope))
    if as_json:
        click.echo(json.dumps({"comparisons": [row.to_json() for row in rows]}, indent=2))
    return 0 if all(row.equal for row in rows) else 1


_WIDTH = max(map(len, [*designs.BUILT_IN, *BUGS]))


def _heading(engine: str) -> str:
    there = f"of {engine}"
    counts = f"{'states':>9}  {there:>9}  {'steps':>10}  {there:>10}  {'s':>6}  {there:>7}"
    return f"{'design':<{_WIDTH}}  {counts}  broken, here and in {engine}"


def _line(row: Agreement, *, new_scope: bool) -> str:
    times = f"{row.seconds:>6.1f}  {row.other.seconds:>7.1f}"
    counts = f"{row.states:>9,}  {row.other.states:>9,}  {row.transitions:>10,}  {row.other.transitions:>10,}  {times}"
    said = [", ".join(name for name, *holds in row.verdicts() if not holds[engine]) or "-" for engine in range(3)]
    verdicts = said[0] if row.equal else f"DIFFER: {said[0]} here, {said[1]} in {row.engine}, {said[2]} reduced"
    head = f"{row.scope}:\n" if new_scope else ""
    return f"{head}{row.design:<{_WIDTH}}  {counts}  {verdicts}"
