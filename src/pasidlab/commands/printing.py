"""What ``check`` prints, and in which order: designs as they become known, the verdict table last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import click

from pasidlab.report.text import VerdictTable, comparison_text, verdict_table
from pasidlab.trace.look import Look

if TYPE_CHECKING:
    from pasidlab.checking.result import CheckResult
    from pasidlab.commands.asked import Asked
    from pasidlab.report.account import Account


class Printer(Protocol):
    """Prints what a check finds."""

    def result(self, result: CheckResult) -> None:
        """One design has been explored."""

    def end(self, account: Account) -> None:
        """No more will follow."""


def printer(asked: Asked, names: Sequence[str], look: Look) -> Printer:
    """The way to print that the options ask for."""
    if asked.as_json:
        return AsJson()
    if asked.quiet or not (asked.names or asked.kernel or asked.verbose):
        return AsTable(VerdictTable(names, look, walked=asked.simulate is not None), look, hint=not asked.quiet)
    return InFull(look, asked.verbose)


class AsJson:
    """One document at the end."""

    def result(self, result: CheckResult) -> None:
        """Nothing yet."""

    def end(self, account: Account) -> None:
        """The document."""
        from pasidlab.report.json import results_json

        click.echo(json.dumps(results_json(account), indent=2))


class AsTable:
    """The verdict table, row by row; on a terminal, where to see more."""

    def __init__(self, table: VerdictTable, look: Look, hint: bool) -> None:
        self.table, self.look, self.hint = table, look, hint
        self.begun = False

    def result(self, result: CheckResult) -> None:
        """A row, after the heading."""
        if not self.begun and (heading := self.table.heading()):
            click.echo(heading)
        self.begun = True
        click.echo(self.table.row(result))
        for line in result.account_text(self.look):
            click.echo(line)

    def end(self, account: Account) -> None:
        """The comparison, if there is one; how to see a counterexample."""
        _compare(account, self.look)
        broken = next((result.design for result in account.results if result.counterexamples), None)
        if broken and self.hint and self.look.terminal:
            text = f"pasidlab check {broken} shows its counterexamples, -o found.html makes a page to step through them"
            click.echo("\n" + "\n".join(self.look.paint("dim", line) for line in self.look.prose(text)))


class InFull:
    """All about each design, then the table."""

    def __init__(self, look: Look, verbose: bool) -> None:
        self.look, self.verbose = look, verbose

    def result(self, result: CheckResult) -> None:
        """Parts, properties, counterexamples."""
        click.echo(result.text(verbose=self.verbose, look=self.look) + "\n")

    def end(self, account: Account) -> None:
        """The table."""
        click.echo(verdict_table(account.results, self.look))
        _compare(account, self.look)


def _compare(account: Account, look: Look) -> None:
    if account.comparison is not None:
        click.echo("\n" + "\n".join(comparison_text(account.comparison, look)))
