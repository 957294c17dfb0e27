"""``pasidlab schema``: the JSON Schemas of what ``--json`` prints."""

from __future__ import annotations

import click

from pasidlab.report.schema import VERSIONS, schema_text


@click.command("schema")
@click.argument("document", type=click.Choice(list(VERSIONS)), default="check")
def schema_command(document: str) -> None:
    """Print the JSON Schema (2020-12) of a document: of `check --json` and `check -o FILE.json`, `check --prove --json` (proof),
    `designs --json`, `zoo --json`, or a path that `explore` saved.

    A document names its schema and version in "schema". A version only ever gains fields.
    """
    click.echo(schema_text(document), nl=False)
