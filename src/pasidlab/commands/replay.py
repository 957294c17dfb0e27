"""``pasidlab replay``: a saved counterexample, step by step through the interpreter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pasidlab import designs
from pasidlab.errors import PasidlabError
from pasidlab.lang.source import read_text


@click.command("replay")
@click.argument("trace", type=click.Path(path_type=Path))
@click.option("--design", "only", metavar="NAME", help="Replay only this design's counterexamples.")
@click.option("--property", "name", metavar="NAME", help="Replay only the counterexample of this property.")
@click.option("-v", "--verbose", is_flag=True, help="Show every line that was executed.")
def replay_command(trace: Path, only: str | None, name: str | None, verbose: bool) -> int:
    """Re-execute the counterexamples that `pasidlab check -o FILE.json` saved.

    Every step is made again by the interpreter, from the design as it is now. Exit code 1: the violation shows again.
    """
    found = 0
    for result in _results(trace):
        for saved in result["counterexamples"]:
            if only in (None, result["design"]) and name in (None, saved["property"]):
                _replay(trace, result, saved, verbose)
                found += 1
    if not found:
        raise PasidlabError(f"{trace} holds no counterexample to replay", hint="write one with: pasidlab check DESIGN -o FILE.json")
    return 1


def _results(trace: Path) -> list[dict[str, Any]]:
    try:
        document = json.loads(read_text(trace))
        results = document["results"]
        for result in results:
            assert isinstance(result["design"], str) and isinstance(result["file"], str)
            for saved in result["counterexamples"]:
                assert isinstance(saved["property"], str) and isinstance(saved["sentence"], str)
                assert all(isinstance(a, str) and isinstance(p, list) and isinstance(c, list) for a, p, c in saved["moves"])
    except json.JSONDecodeError as error:
        raise PasidlabError(f"{trace}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except (KeyError, TypeError, ValueError, AssertionError, AttributeError, RecursionError) as error:
        raise PasidlabError(
            f"{trace} is not a saved check ({type(error).__name__}: {error})",
            hint="write one with: pasidlab check DESIGN -o FILE.json",
        ) from None
    return list(results)


def _replay(trace: Path, result: dict[str, Any], saved: dict[str, Any], verbose: bool) -> None:
    from pasidlab.check.model import design_model
    from pasidlab.check.scope import Scope
    from pasidlab.check.trace import Counterexample, Replayer, Step
    from pasidlab.commands.kernel_c import open_design
    from pasidlab.lang.interpreter import Interpreter
    from pasidlab.report.trace import trace_text

    try:
        opened = result.get("opened")
        design = open_design(**opened) if opened else designs.BUILT_IN.get(result["design"]) or designs.find(result["file"])
        s = saved["scope"]
        scope = Scope(s["cpus"], s["tasks"], s["mms"], s["pasids"], frozenset(s["events"]), dict(s["bounds"]))
        moves = tuple(Step(None, "", None, a, (), (), (), tuple(p), tuple(c)) for a, p, c in saved["moves"])
        asked = Counterexample(
            saved["property"],
            saved["sentence"],
            (),
            moves,
            bool(saved["broken_by_step"]),
            saved["loop"],
            exact=bool(saved["exact"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PasidlabError(f"{trace} is damaged: {type(error).__name__}: {error}", hint="check the design again") from None
    replayer = Replayer(Interpreter(design_model(design, scope, abstract=not asked.exact)))
    replayed = replayer.same_moves(asked)
    if replayed is None:
        raise PasidlabError(
            f"{trace}: the {len(moves)} steps to '{asked.property}' of {design.name} cannot be made again",
            hint="the design has changed since, or the file is damaged: check the design again",
        )
    click.echo(f"{design.name}: every step made again by the interpreter\n")
    click.echo(trace_text(replayed, scope.cpus, verbose=verbose) + "\n")
