"""A trace to step through in a browser: what the template and the scripts need of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pasidlab.checking.compare import state_of
from pasidlab.checking.wording import MARKS, verdict_of
from pasidlab.designs import AnyScope, Design
from pasidlab.errors import printable
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account
from pasidlab.report.icon import ICON
from pasidlab.report.json import named
from pasidlab.trace.columns import columns, looked_at
from pasidlab.trace.passed import Passed
from pasidlab.trace.sources import Shown, source_text
from pasidlab.trace.steps import Counterexample, Enabled, Move, Step
from pasidlab.trace.telling import Row, Telling, numbers

LONGEST = 28
"""Letters of a word that a cell of a table keeps in one piece."""


def environment() -> Environment:
    """The templates, with the filters they use."""
    templates = PackageLoader("pasidlab.report", "templates")
    made = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "breakable": _breakable, "command": _command, "foldable": _foldable, "mark": MARKS.__getitem__, "verdict": verdict_of,
        "state": state_of, "base": lambda file: printable(Path(file).name),
    }  # fmt: skip
    made.globals["icon"] = ICON
    return made


def sources_of(account: Account, traces: Iterable[dict[str, Any]], shown: Shown) -> dict[str, tuple[str, ...]]:
    """The source files of traces, by the names documents give them; no lines of those that can no longer be read."""
    files = {row["file"] for trace in traces for row in trace["rows"] if row["file"]}
    return {named(account, file): source_text(file, shown) for file in sorted(files)}


def _breakable(text: str) -> Markup:
    """Code that may be broken after dots, brackets and arrows, but not inside an arrow."""
    pieces = re.split(r"(?<=[.(])(?=\w)|(?<=->)(?=\w)", text)
    return Markup("<wbr>").join(Markup('<span class="arrow">-&gt;</span>').join(piece.split("->")) for piece in pieces)


def _command(text: str) -> Markup:
    """A command whose lines end between words: a browser would also break behind the dashes of an option."""
    words = (Markup('<span class="option">{}</span>').format(word) if word.startswith("-") else escape(word) for word in text.split(" "))
    return Markup(" ").join(words)


def _foldable(text: str) -> Markup:
    """A name for a cell of a table: one too long for that may be broken, and so does not make the page wider than a screen."""
    pieces = re.split(f"(?<=\\S{{{LONGEST}}})(?=\\S)", text)
    return Markup("<wbr>").join(pieces)


def trace_of(
    found: Counterexample, design: Design | None, scope: AnyScope, name: str, again: str = "", meaning: str = ""
) -> dict[str, Any]:
    """What the template of a trace needs. ``again`` are the commands that make it again, ``meaning`` is what the property means."""
    acting, told = columns(found, scope.cpus), Telling(found, verbose=False)
    rows = [_row(row, acting) for row in told.rows()]
    for n, row in enumerate(rows):
        row["turn"] = n == 0 or row["column"] != rows[n - 1]["column"]  # another CPU goes on
    return {
        "name": name, "found": found, "scope": scope, "cpus": acting, "rows": rows, "left_out": told.left_out,
        "again": again, "meaning": meaning, "copies": _copies(design, scope),
    }  # fmt: skip


def _row(row: Row, acting: list[int]) -> dict[str, Any]:
    """One line of a trace: where it stands, what it says, and the first and last step it belongs to (none: to the one before)."""
    return {
        "column": None if row.cpu is None else acting.index(row.cpu), "depth": row.depth, "text": _text(row), "numbers": numbers(row.steps),
        "change": row.text.startswith("-> "), "file": row.place.file if row.place else "", "line": row.place.line if row.place else 0,
        "place": f"{row.place.file_name}:{row.place.line}" if row.place else "", "steps": row.steps and [row.steps[0], row.steps[-1]],
    }  # fmt: skip


def _text(row: Row) -> str:
    """What a row says; of what a line changed also what was there before."""
    if row.text.startswith("-> ") and row.line:
        return "-> " + ", ".join(f"{c.name} {c.old} \N{RIGHTWARDS ARROW} {c.new}" for c in row.line.changes)
    return row.text


def _copies(design: Design | None, scope: AnyScope) -> dict[str, Any] | bool:
    """Which fields the picture of the two copies shows: True for the kernel's own, False for none."""
    own = design.own if design else None
    return asdict(own.copies) if own and own.copies else isinstance(scope, Scope)


def data_of(account: Account, trace: dict[str, Any]) -> dict[str, Any]:
    """What the scripts need of a trace."""
    found: Counterexample = trace["found"]
    passed = Passed()
    return {
        "name": trace["name"],
        "title": f"{found.property}: {found.sentence}",
        "rows": [row["steps"] for row in trace["rows"]],
        "places": [(named(account, row["file"]), row["line"]) if row["file"] else None for row in trace["rows"]],
        "initial": _initial(found),
        "steps": [_step(account, step, passed) for step in found.steps],
        "property": found.property,
        "looked": dict(looked_at(found)),
        "loop": found.loop,
        "cpus": trace["scope"].cpus,
        "tasks": trace["scope"].tasks,
        "copies": trace["copies"],
    }


def _step(account: Account, step: Step, passed: Passed) -> dict[str, Any]:
    return {
        "cpu": step.cpu, "task": step.task, "context": step.context, "action": step.move.action, "words": step.words,
        "changes": [[c.name, c.old, c.new] for c in step.changes], "stacks": step.stacks,
        "ran": [(named(account, file), line) for file, line in passed.of(step)],
        "others": [enabled_data(other) for other in step.others], "move": _move(step.move),
    }  # fmt: skip


def _move(move: Move) -> list[Any]:
    return [move.action, move.params, move.choices]


def enabled_data(move: Enabled) -> dict[str, Any]:
    """A move that can be made."""
    place = f"{move.place.file_name}:{move.place.line}" if move.place else ""
    return {"cpu": move.cpu, "task": move.task, "words": move.words, "place": place, "breaks": move.breaks,
            "move": _move(move.move)}  # fmt: skip


def _initial(found: Counterexample) -> dict[str, str]:
    """The state before the first step: fields that are ever not as by default, or looked at."""
    changes = [change for step in found.steps for change in step.changes]
    state = dict(looked_at(found)) | dict(found.final) | {change.name: change.new for change in changes}
    for change in reversed(changes):
        state[change.name] = change.old
    return state
