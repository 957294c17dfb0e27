"""``pasidlab zoo``: the historical bugs and their verdicts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from pasidlab.zoo.catalogue import CATALOGUE, Bug

if TYPE_CHECKING:
    from pasidlab.check.findings import CheckResult
    from pasidlab.check.processes import Report
    from pasidlab.check.result import Flag


@dataclass(frozen=True)
class Row:
    """What was found out about one bug: is it caught, and does its fixed twin hold?"""

    bug: Bug
    caught: CheckResult | None = None
    repaired: CheckResult | None = None

    @property
    def steps(self) -> int | None:
        """Length of the shortest counterexample for the property the bug breaks."""
        found = self.caught.counterexamples if self.caught else ()
        return next((len(c.steps) for c in found if c.property == self.bug.breaks), None)

    @property
    def as_expected(self) -> bool:
        """The bug is caught and the fix holds; a bug outside the model asks nothing."""
        return bool(self.bug.reason) or (self.steps is not None and self.repaired is not None and self.repaired.holds)


def examine(bug: Bug, jobs: int | None = None) -> Row:
    """Check a bug and its fixed twin in the bug's scope."""
    from pasidlab.check.api import check
    from pasidlab.zoo.specimen import buggy, fixed

    if bug.reason:
        return Row(bug)
    return Row(bug, check(buggy(bug), bug.scope, jobs=jobs), check(fixed(bug), bug.scope, jobs=jobs))


def _side(bug: Bug, _report: Report, interrupted: Flag) -> Row | None:
    return None if interrupted.is_set() else examine(bug, 1)


@click.command("zoo", epilog="Exit codes: 0 every bug caught and every fix holds, 1 otherwise, 2 bad input or usage.")
@click.argument("name", required=False)
@click.option("--jobs", type=click.IntRange(1), help="CPUs to use (default: all).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def zoo_command(name: str | None, jobs: int | None, as_json: bool) -> int:
    """Historical bugs of FPU and PASID handling: each is caught, its fixed twin holds.

    With a NAME: what the bug is, what its fix changes, and its shortest counterexample.
    """
    from pasidlab.zoo.specimen import find

    if name is not None:
        row = examine(find(name), jobs)
        click.echo(json.dumps(_document(row), indent=2) if as_json else _portrait(row))
        return 0 if row.as_expected else 1
    from pasidlab.check.processes import available_cpus, side_by_side

    rows = []
    if not as_json:
        click.echo(HEADING)
    for row in side_by_side([partial(_side, bug) for bug in CATALOGUE], jobs or available_cpus()):
        rows.append(row)
        if not as_json:
            click.echo(_line(row))
    if len(rows) < len(CATALOGUE):
        raise KeyboardInterrupt
    if as_json:
        click.echo(json.dumps({"zoo": [_document(row) for row in rows]}, indent=2))
    else:
        inside = [row for row in rows if not row.bug.reason]
        good = sum(row.as_expected for row in inside)
        click.echo(f"\n{good} of {len(inside)} bugs caught with a fix that holds; {len(rows) - len(inside)} outside the model")
    return 0 if all(row.as_expected for row in rows) else 1


NAME = max(len(bug.name) for bug in CATALOGUE) + 2
FIX = max(len(bug.fix) for bug in CATALOGUE) + 2


def _columns(name: str, fix: str, breaks: str, caught: str, twin: str) -> str:
    return f"{name:<{NAME}}{fix:<{FIX}}{breaks:<14}{caught:<12}{twin}"


HEADING = _columns("bug", "fixed by", "breaks", "caught", "fixed twin")


def _line(row: Row) -> str:
    bug = row.bug
    if bug.reason:
        return f"{bug.name:<{NAME}}{bug.fix:<{FIX}}{'-':<14}not expressed: {bug.reason}"
    caught = f"{row.steps} steps" if row.steps is not None else "NOT CAUGHT"
    assert row.repaired is not None
    return _columns(bug.name, bug.fix, bug.breaks, caught, f"{row.repaired.verdict} ({row.repaired.states:,} states)")


def _portrait(row: Row) -> str:
    from pasidlab.report.trace import trace_text
    from pasidlab.zoo.difference import difference
    from pasidlab.zoo.specimen import FIXED_EAGER

    bug = row.bug
    blocks = [f"{bug.name}\n{'=' * len(bug.name)}", fill(bug.mechanism, 80), f"Fixed by: {bug.fix}"]
    if bug.reason:
        return "\n\n".join([*blocks, fill(f"Not expressed: {bug.reason}.", 80)])
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
        blocks.append(trace_text(found, bug.scope.cpus))
    return "\n\n".join([*blocks, HEADING + "\n" + _line(row)])


def _document(row: Row) -> dict[str, Any]:
    bug = row.bug
    document: dict[str, Any] = {"name": bug.name, "fix": bug.fix, "mechanism": bug.mechanism}
    if bug.reason:
        return {**document, "reason": bug.reason}
    from pasidlab.zoo.difference import difference

    assert row.caught is not None and row.repaired is not None
    return {
        **document, "property": bug.breaks, "steps": row.steps, "base": bug.base, "file": bug.file, "diff": difference(bug),
        "scope": str(bug.scope), "verdict": row.caught.verdict, "states": row.caught.states,
        "fixed": row.repaired.verdict, "fixed_states": row.repaired.states,
    }  # fmt: skip
