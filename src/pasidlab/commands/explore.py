"""``pasidlab explore``: the model of a design in the browser, step by step."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pasidlab import designs
from pasidlab.commands.scopes import AskedScope, asked_scope
from pasidlab.errors import PasidlabError

if TYPE_CHECKING:
    from pasidlab.designs import AnyScope, Design, Opening
    from pasidlab.explore.server import Explorer
    from pasidlab.explore.walk import Walk, Walker

EVENTS = "preempt,migrate,softirq"


@click.command("explore", epilog="Exit codes: 0 ended by Ctrl-C, 2 bad input, usage or I/O.")
@click.argument("name", metavar="DESIGN | FILE")
@click.option("--property", "wanted", metavar="NAME", help="Of a saved check: the counterexample of this property.")
@click.option("--cpus", type=int, help="CPUs (1 to 4; default: 2).")
@click.option("--tasks", type=int, help="Task slots (1 to 4; default: 1).")
@click.option("--mms", type=int, help="Address spaces (1 to 4; default: 1).")
@click.option("--pasids", type=int, help="PASIDs (default: as many as address spaces).")
@click.option("--size", multiple=True, metavar="NAME=N", help="A size by its name, as a model of your own declares it.")
@click.option("--events", metavar="LIST", help=f"As for `pasidlab check`; default: {EVENTS}.")
@click.option("--find", "expression", metavar="EXPRESSION", help="Begin at the end of a shortest way to a state where this is true.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port on 127.0.0.1 (default: any that is free).")
def explore_command(
    name: str, wanted: str | None, size: tuple[str, ...], events: str | None, expression: str | None, port: int, **named: int | None
) -> int:  # fmt: skip
    """Step through the model of a design in the browser: take any step, go back, look for a state.

    Name a design as for `pasidlab check`, or a file that `check -o FILE.json` or the explorer itself saved: its path is then taken as far
    as you like, and left where you like. In EXPRESSION the names cpu, task, mm and pasid stand for any.
    """
    from pasidlab.explore.goal import shortest_way
    from pasidlab.explore.walk import Walker

    if name.endswith(".json"):
        if size or events is not None or any(count is not None for count in named.values()):
            raise PasidlabError(f"{name} has a scope of its own", hint="leave --cpus, --tasks, --mms, --pasids, --size and --events out")
        walker, walk, opening = _saved(Path(name), wanted)
    else:
        opening = designs.Opening(name)
        design = opening.design()
        scope = _scope(design, asked_scope(named, size, events))
        walker, opening = Walker(design, scope), opening.carrying(design)
        walk = walker.walk(())
    if expression is not None:
        walk = shortest_way(walker, expression)
    with _served(walker, walk, _told(walker.design, opening), port) as server:
        end = f"#step={len(walk.path.steps)}" if expression is not None else ""
        click.echo(f"{walker.design.name}: {walker.scope}\n{server.url}{end}\nCtrl-C ends it.")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _scope(design: Design, asked: AskedScope) -> AnyScope:
    """What is asked for; what is not is small."""
    if design.own:
        return asked.of(design) or design.own.scope()
    small = AskedScope({"cpus": 2, "tasks": 1, "mms": 1, **asked.sizes}, asked.events or EVENTS).of(design)
    assert small is not None
    return small


def _served(walker: Walker, walk: Walk, opening: Opening | None, port: int) -> Explorer:
    from pasidlab.explore.server import Explorer

    try:
        return Explorer(walker, walk, opening, port)
    except OSError as error:
        raise PasidlabError(f"cannot listen on 127.0.0.1:{port}: {error.strerror}", hint="--port 0 takes any that is free") from None


def _told(design: Design, opening: Opening | None) -> Opening | None:
    """What opens the design again, where its name alone does not."""
    return None if design in designs.BUILT_IN.values() else opening


def _saved(file: Path, wanted: str | None) -> tuple[Walker, Walk, Opening | None]:
    """The walker of a saved check's design and scope, and the walk along its counterexample."""
    from pasidlab.commands.replay import opened_again
    from pasidlab.commands.saved import HINT, read
    from pasidlab.explore.walk import Walker

    document = read(file)
    for saved in document.results:
        for recipe, scope in saved.recipes:
            if wanted in (None, recipe.property):
                walker = Walker(opened_again(saved, document), scope)
                try:
                    return walker, walker.again(recipe.moves, recipe.initial), saved.opened
                except PasidlabError:
                    hint = "the design has changed since, or the file is damaged"
                    raise PasidlabError(f"{file}: its steps cannot be made again", hint=hint) from None
    raise PasidlabError(f"{file} holds no such path or counterexample", hint=HINT)
