"""``pasidlab replay``: a saved counterexample, step by step through the interpreter."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pasidlab import designs
from pasidlab.errors import PasidlabError

if TYPE_CHECKING:
    from pasidlab.commands.saved import Document, Saved
    from pasidlab.designs import AnyScope, Design
    from pasidlab.trace.steps import Counterexample, Recipe


@click.command("replay", epilog="Exit codes: 1 every violation shows again, 0 a path is made again, 2 neither, or bad input, usage or I/O.")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--design", "only", metavar="NAME", help="Replay only this design's counterexamples.")
@click.option("--property", "name", metavar="NAME", help="Replay only the counterexample of this property.")
@click.option("-v", "--verbose", is_flag=True, help="Show every line that was executed.")
def replay_command(trace: Path, only: str | None, name: str | None, verbose: bool) -> int:
    """Re-execute the counterexamples that `pasidlab check -o FILE.json` saved, or a path of `pasidlab explore`.

    Every step is made again by the interpreter, from the design as it is now. Exit code 1: the violation shows again. `-` reads standard
    input.
    """
    from pasidlab.commands.saved import HINT, read
    from pasidlab.trace.columns import trace_text
    from pasidlab.trace.look import look_of

    document = read(trace)
    every = [(saved, *found) for saved in document.results for found in saved.recipes]
    chosen = [(s, c, scope) for s, c, scope in every if only in (None, s.design) and name in (None, c.property)]
    if not every:
        raise PasidlabError(f"{trace} holds no counterexample to replay", hint=HINT)
    if not chosen:
        have = ", ".join(f"{saved.design}: {found.property}" for saved, found, _ in every)
        raise PasidlabError(f"{trace} holds no such counterexample", hint=f"it holds {have}")
    for saved, asked, scope in chosen:
        design = opened_again(saved, document)
        replayed = _replayed(trace, design, asked, scope)
        look = look_of(sys.stdout)
        click.echo("\n".join(look.broken(f"{design.name}: every step made again by the interpreter")) + "\n")
        click.echo(trace_text(replayed, scope.cpus, verbose=verbose, look=look) + "\n")
    return 1 if any(asked.property for _, asked, _ in chosen) else 0


def opened_again(saved: Saved, document: Document) -> Design:
    """The design, opened as it was then, from the text that was saved.

    A document of an older version holds no text: the file is then looked for, also in the folder the check was made in.
    """
    from pasidlab.report.account import PACKAGE

    def found(name: str) -> str:
        there = document.directory / name if document.directory and name not in ("", "-") else None
        return str(there) if there and not Path(name).exists() and there.exists() else name

    if saved.opened:
        if saved.opened.texts:
            return saved.opened.design()
        if saved.opened.name == "-":
            raise PasidlabError(f"{saved.design} was read from standard input", hint="check it again: its text is then saved")
        kernel = saved.opened.kernel and found(saved.opened.kernel)
        return replace(saved.opened, name=found(saved.opened.name), kernel=kernel).design()
    own = saved.file.removeprefix("{pasidlab}/")
    if own != saved.file and saved.design in designs.BUILT_IN:
        return designs.BUILT_IN[saved.design]
    return designs.Opening(str(PACKAGE / own) if own != saved.file else found(saved.file)).design()


def _replayed(trace: Path, design: Design, asked: Recipe, scope: AnyScope) -> Counterexample:
    """The counterexample, made again. Raises PasidlabError if its moves do not lead to it."""
    from pasidlab.checking.model import design_model
    from pasidlab.checking.reductions import Reductions
    from pasidlab.lang.interpreter import Interpreter, param_values
    from pasidlab.trace.replay import Replayer

    model = design_model(design, scope, reductions=Reductions(forgetting=not asked.exact, local_first=False))
    known = {action.name: set(param_values(action)) for action in model.actions}
    possible = all(move.params in known.get(move.action, ()) for move in asked.moves)
    replayed = Replayer(Interpreter(model), design.shown).remade(asked) if possible else None
    if replayed is None:
        end = f"'{asked.property}'" if asked.property else "the end of the path"
        raise PasidlabError(
            f"{trace}: the {len(asked.moves)} steps to {end} of {design.name} cannot be made again",
            hint="the design has changed since, or the file is damaged: check the design again",
        )
    return replayed
