"""``pasidlab bench``: the engine beside its peers and the machine's limit; ``bench run``: what emulation costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pasidlab.lang.back.native import CompiledModel

LAZYREG = Path(__file__).parents[1] / "examples" / "lazyreg.py"


def lazyreg(tasks: int = 3, cpus: int = 2, bug: bool = False) -> CompiledModel:
    """The benchmark model, compiled; ``bug`` seeds the mistake whose shortest counterexample has 12 steps."""
    from pasidlab.lang.back.native import compile_model
    from pasidlab.lang.ir import Property
    from pasidlab.lang.lowering.lower import build_model
    from pasidlab.lang.scope import Bounds

    properties = tuple(Property(name, name) for name in ("owner", "msrval", "coherent"))
    bounds = Bounds({"cpus": cpus, "tasks": tasks}, frozenset(["bug"] if bug else []))
    return compile_model(build_model("lazyreg", [LAZYREG], bounds, properties)).optimised()


class _Bench(click.Group):
    """Loads ``bench run`` when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["run"]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name != "run":
            return None
        from pasidlab.live.bench import bench_run

        return bench_run


@click.group("bench", cls=_Bench, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def bench_command(ctx: click.Context, as_json: bool) -> None:
    """Measure the engine: LazyReg on one and two threads, SPIN on the same model where installed, random hash-set inserts.

    `pasidlab bench run` measures what emulated submissions and bulk operations cost.
    """
    if ctx.invoked_subcommand is not None:
        return
    from pasidlab.checking.bench import bench

    document = bench(lazyreg).to_json()
    click.echo(json.dumps(document, indent=2) if as_json else _table(document))


def _table(document: object, indent: str = "") -> str:
    if not isinstance(document, dict):
        return str(document)
    lines = []
    for key, value in document.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", _table(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key:<28} {_shown(value)}")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
