"""``pasidlab zoo``: the bugs of the past and their verdicts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pasidlab.report.json import heading
from pasidlab.trace.look import Look, look_of
from pasidlab.zoo.catalogue import CATALOGUE, Bug

if TYPE_CHECKING:
    from pasidlab.checking.processes import Report
    from pasidlab.checking.result import CheckResult
    from pasidlab.interrupts import StopFlag


@dataclass(frozen=True)
class BugRow:
    """What was found out about one bug: is it caught, and does its fixed twin hold?"""

    bug: Bug
    caught: CheckResult | None = None
    repaired: CheckResult | None = None

    @property
    def examined(self) -> bool:
        """False: Ctrl-C came before anything was found out."""
        return bool(self.bug.reason) or self.repaired is not None

    @property
    def steps(self) -> int | None:
        """Length of the shortest counterexample for the property the bug breaks."""
        found = self.caught.counterexamples if self.caught else ()
        return next((len(c.steps) for c in found if c.property == self.bug.breaks), None)

    @property
    def as_expected(self) -> bool:
        """The bug is caught and the fix holds; a bug outside the model asks nothing."""
        return bool(self.bug.reason) or (self.steps is not None and self.repaired is not None and self.repaired.holds)


def examine(bug: Bug, jobs: int | None = None, interrupted: StopFlag | None = None) -> BugRow:
    """Check a bug and its fixed twin in the bug's scope. Raises KeyboardInterrupt once the flag is set, or by Ctrl-C."""
    from pasidlab.checking.api import check
    from pasidlab.zoo.specimen import buggy, fixed

    if bug.reason:
        return BugRow(bug)
    results = []
    for make in (buggy, fixed):
        results.append(check(make(bug), bug.scope, jobs=jobs, interrupted=interrupted))
        if results[-1].interrupted:
            raise KeyboardInterrupt
    return BugRow(bug, *results)


def _side(bug: Bug, _report: Report, interrupted: StopFlag) -> BugRow:
    """The row of a bug; after Ctrl-C one that is not examined, so that those of later bugs, which may be known, still come."""
    try:
        return BugRow(bug) if interrupted.is_set() else examine(bug, 1, interrupted)
    except KeyboardInterrupt:
        return BugRow(bug)


@click.command("zoo", epilog="Exit codes: 0 every bug caught and every fix holds, 1 otherwise, 2 bad input or usage.")
@click.argument("name", required=False)
@click.option("--jobs", type=click.IntRange(1), help="CPUs to use (default: all).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (see `pasidlab schema zoo`).")
@click.option("-v", "--verbose", is_flag=True, help="Show every line that was executed.")
def zoo_command(name: str | None, jobs: int | None, as_json: bool, verbose: bool) -> int:
    """Bugs of FPU and PASID handling, of the past and (mutants) easy to make: each is caught, its fixed twin holds.

    With a NAME: what the bug is, what its fix changes, and its shortest counterexample.
    """
    from pasidlab.zoo.specimen import find_bug

    if name is not None:
        row = examine(find_bug(name), jobs)
        click.echo(_json([row]) if as_json else _portrait(row, verbose, look_of(sys.stdout)))
        return 0 if row.as_expected else 1
    from pasidlab.checking.processes import available_cpus, side_by_side

    rows: list[BugRow] = []
    look = look_of(sys.stdout)
    if not as_json and _has_room(look):
        click.echo(look.paint("dim", HEADING))
    try:
        for row in side_by_side([partial(_side, bug) for bug in CATALOGUE], jobs or available_cpus()):
            if not row.examined:
                continue
            rows.append(row)
            if not as_json:
                click.echo(_line(row, look))
    finally:
        if len(rows) < len(CATALOGUE):
            click.echo(f"not examined: {len(CATALOGUE) - len(rows)} of {len(CATALOGUE)} bugs", err=True)
    if len(rows) < len(CATALOGUE):
        raise KeyboardInterrupt
    if as_json:
        click.echo(_json(rows))
    else:
        click.echo("\n" + "\n".join(look.prose(summary(rows))))
    return 0 if all(row.as_expected for row in rows) else 1


def summary(rows: Sequence[BugRow]) -> str:
    """How many bugs are caught, how many of them are mutants, and how many the model does not express."""
    inside = [row for row in rows if not row.bug.reason]
    good, mutants = sum(row.as_expected for row in inside), sum(row.bug.mutant for row in inside)
    return (
        f"{good} of {len(inside)} bugs caught with a fix that holds ({mutants} of them mutants, in no kernel); "
        f"{len(rows) - len(inside)} more are outside the model"
    )


def _json(rows: Sequence[BugRow]) -> str:
    document = {**heading("zoo", click.get_current_context().obj or ()), "zoo": [_document(row) for row in rows]}
    return json.dumps(document, indent=2)


NAME = max(len(bug.name) for bug in CATALOGUE) + 2
FIX = max(len(bug.fix) for bug in CATALOGUE) + 2


def _columns(name: str, fix: str, breaks: str, caught: str, twin: str) -> str:
    return f"{name:<{NAME}}{fix:<{FIX}}{breaks:<14}{caught:<12}{twin}"


HEADING = _columns("bug", "fixed by", "breaks", "caught", "fixed twin")


WIDE = len(HEADING) + 20
"""Columns of a terminal that has room for the table."""


def _has_room(look: Look) -> bool:
    return look.table is None or look.table >= WIDE


def _line(row: BugRow, look: Look) -> str:
    """One bug: a row of the table, or a few lines where there is no room for it."""
    bug = row.bug
    caught = f"{row.steps} steps" if row.steps is not None else "NOT CAUGHT"
    twin = f"{row.repaired.verdict} ({row.repaired.states:,} states)" if row.repaired else ""
    if not _has_room(look):
        said = f"not expressed: {bug.reason}" if bug.reason else f"breaks {bug.breaks}; caught: {caught}; fixed twin: {twin}"
        return "\n".join([look.paint("strong", bug.name), *look.prose(f"fixed by {bug.fix}; {said}", "  ", "  ")])
    if bug.reason:
        return f"{bug.name:<{NAME}}{bug.fix:<{FIX}}{'-':<14}not expressed: {bug.reason}"
    return _columns(bug.name, bug.fix, bug.breaks, caught, twin)


def _portrait(row: BugRow, verbose: bool, look: Look) -> str:
    from pasidlab.trace.columns import trace_text
    from pasidlab.zoo.difference import difference
    from pasidlab.zoo.specimen import FIXED_EAGER

    bug = row.bug
    blocks = [f"{bug.name}\n{'=' * len(bug.name)}", "\n".join(look.prose(bug.mechanism)), f"Fixed by: {bug.fix}"]
    if bug.reason:
        return "\n\n".join([*blocks, "\n".join(look.prose(f"Not expressed: {bug.reason}."))])
    assert row.caught is not None
    changes = difference(bug)
    if changes:
        blocks.append(f"What the fix changes ({bug.path.name}, in the kernel around '{bug.base}'):")
        blocks.append("\n".join(f"    {line}".rstrip() for line in changes if not line.startswith("@@")))
    else:
        blocks.append(f"The bug is the design '{bug.base}'; '{FIXED_EAGER}' takes its place as the fixed twin.")
    blocks.append(f"Scope: {bug.scope}")
    found = next((c for c in row.caught.counterexamples if c.property == bug.breaks), None)
    if found is not None:
        blocks.append(trace_text(found, bug.scope.cpus, verbose=verbose, look=look))
    return "\n\n".join([*blocks, "\n".join([*([HEADING] if _has_room(look) else []), _line(row, look)])])


def _document(row: BugRow) -> dict[str, Any]:
    bug = row.bug
    document: dict[str, Any] = {"name": bug.name, "fix": bug.fix, "mechanism": bug.mechanism, "mutant": bug.mutant}
    if bug.reason:
        return {**document, "reason": bug.reason}
    from pasidlab.zoo.difference import difference

    assert row.caught is not None and row.repaired is not None
    return {
        **document, "property": bug.breaks, "steps": row.steps, "base": bug.base, "file": bug.file, "diff": difference(bug),
        "scope": str(bug.scope), "verdict": row.caught.verdict, "states": row.caught.states,
        "fixed": row.repaired.verdict, "fixed_states": row.repaired.states,
    }  # fmt: skip
