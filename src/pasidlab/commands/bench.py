"""``pasidlab bench``: the engine beside its peers and the machine's limit; ``bench run``: what emulation costs."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pasidlab.errors import PasidlabError
from pasidlab.output import must_be_writable, write

if TYPE_CHECKING:
    from pasidlab.checking.bench import Measurement
    from pasidlab.lang.back.native import CompiledModel

_PICTURES = {".svg", ".png", ".pdf"}
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
@click.option("--quick", is_flag=True, help="Small models, one round: some seconds. The ratios are worth little.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of each contender (default: 3).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "-o", "--output", "outputs", multiple=True, metavar="FILE",
    help="Also write a page of tables (.md) or a picture (.svg, .png, .pdf; extra pasidlab[plot]); may be repeated.",
)  # fmt: skip
@click.pass_context
def bench_command(ctx: click.Context, quick: bool, rounds: int | None, as_json: bool, outputs: tuple[str, ...]) -> None:
    """Measure the engine: models that grow, other engines on the same models, each reduction alone, and the machine's limit.

    SPIN, Rumur and minicheck take part where they are installed. Contenders take turns; ratios come with their spread. About four
    minutes with all of them.

    `pasidlab bench run` measures what emulated submissions and bulk operations cost.
    """
    if ctx.invoked_subcommand is not None:
        return
    from pasidlab.checking import bench, bench_contests
    from pasidlab.checking.bench_peers import missing

    for name in outputs:
        _must_be_known(name)
        must_be_writable(name)
    sizes = bench_contests.QUICK if quick else bench_contests.FULL
    machine, absent = bench.machine(), list(missing())
    with tempfile.TemporaryDirectory() as folder:
        found = bench.measured(bench_contests.contests(sizes, lazyreg, Path(folder)), rounds or sizes.rounds)
        measurements = list(found if as_json else _told(machine, absent, found))
    if as_json:
        document = {"machine": machine, "missing": absent, "measurements": [one.to_json() for one in measurements]}
        click.echo(json.dumps(document, indent=2))
    picture = next((name for name in outputs if Path(name).suffix in _PICTURES), "")
    for name in outputs:
        _write(name, machine, measurements, absent, picture)


def _must_be_known(name: str) -> None:
    if Path(name).suffix not in _PICTURES | {".md"}:
        raise PasidlabError(f"cannot write '{name}'", hint="the name ends in .md, .svg, .png or .pdf")
    if Path(name).suffix in _PICTURES:
        from pasidlab.report.benchmark_plot import plotting

        plotting()


def _told(machine: dict[str, str], absent: list[str], found: Iterator[Measurement]) -> Iterator[Measurement]:
    """Tell each measurement as it comes."""
    from pasidlab.report import benchmark

    click.echo(", ".join(f"{name} {value}" for name, value in machine.items()))
    for one in absent:
        click.echo(one)
    before = ""
    for measurement in found:
        if (title := benchmark.title(measurement)) != before:
            click.echo(f"\n{title}\n{benchmark.column_names()}")
            before = title
        click.echo(benchmark.line(measurement))
        yield measurement


def _write(name: str, machine: dict[str, str], measurements: list[Measurement], absent: list[str], picture: str) -> None:
    if Path(name).suffix == ".md":
        from pasidlab.report.benchmark import markdown

        seen = os.path.relpath(picture, Path(name).parent) if picture else ""
        write(name, markdown(machine, measurements, absent, seen))
        return
    from pasidlab.report.benchmark_plot import save_picture

    try:
        save_picture(measurements, name)
    except OSError as error:
        raise PasidlabError(f"cannot write {name}: {error.strerror or error}") from None
