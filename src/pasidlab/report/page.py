"""A check as one HTML page: the verdicts, and traces to step through beside a picture of the two copies, the state and the source.

The page needs nothing but itself. Without scripts the traces still read as they do on a terminal.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pasidlab.checking.compare import state_of
from pasidlab.checking.result import CheckResult
from pasidlab.checking.wording import MARKS, no_mistake, verdict_of
from pasidlab.model.promises import PROPERTIES
from pasidlab.report.account import Account
from pasidlab.report.json import named
from pasidlab.trace.columns import columns, looked_at
from pasidlab.trace.sources import source_text
from pasidlab.trace.steps import Counterexample, Enabled, Step
from pasidlab.trace.telling import Row, Telling, numbers
from pasidlab.trace.words import words_for
from pasidlab.version import VERSION

MEANINGS = {p.name: p.sentence for p in PROPERTIES}


def results_page(account: Account) -> str:
    """The page, UTF-8. Sources that can no longer be read are left out."""
    templates = PackageLoader("pasidlab.report", "templates")
    environment = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "breakable": _breakable, "mark": MARKS.__getitem__, "verdict": verdict_of, "meaning": MEANINGS.get,
        "state": state_of, "base": lambda file: Path(file).name,
    }  # fmt: skip
    sections = _sections(account)
    traces = [trace for section in sections for trace in section["traces"]]
    files = {row["file"] for trace in traces for row in trace["rows"] if row["file"]}
    data = {
        "traces": [_data(account, trace) for trace in traces],
        "sources": {named(account, file): source_text(file) for file in sorted(files)},
        "unexecuted": [[named(account, file), line] for result in account.results for file, line, _ in result.unexecuted],
    }
    return environment.get_template("page.html").render(
        sections=sections, comparison=account.comparison, data=data, version=VERSION, missing=account.missing, ended=account.ended,
        command=shlex.join(account.command), no_mistake=no_mistake,
    )  # fmt: skip


def _sections(account: Account) -> list[dict[str, Any]]:
    """A section for each design: its result and its traces, each with a name of its own for links."""
    taken: set[str] = set()
    sections = []
    for result in account.results:
        name = _slug(result.design, taken)
        traces = [_trace(found, result, _slug(f"{name}-{found.property}", taken)) for found in result.counterexamples]
        for trace in traces:
            trace["again"] = _again(account, result, trace["found"])
        sections.append({"name": name, "result": result, "traces": traces})
    return sections


def _again(account: Account, result: CheckResult, found: Counterexample) -> str:
    """The commands that save a counterexample and make it again; empty where no command made it."""
    if not account.command:
        return ""
    save = shlex.join([*account.command, "-o", "found.json"])
    return f"{save}; {shlex.join(['pasidlab', 'replay', 'found.json', '--design', result.design, '--property', found.property])}"


def _slug(text: str, taken: set[str]) -> str:
    """A name for links, unlike those taken; it becomes one of them."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-") or "design"
    name = next(made for n in range(1, len(taken) + 3) if (made := plain if n == 1 else f"{plain}-{n}") not in taken)
    taken.add(name)
    return name


def _breakable(text: str) -> Markup:
    """Code that may be broken after dots, brackets and arrows, but not inside an arrow."""
    pieces = re.split(r"(?<=[.(])(?=\w)|(?<=->)(?=\w)", text)
    return Markup("<wbr>").join(Markup('<span class="arrow">-&gt;</span>').join(piece.split("->")) for piece in pieces)


def _trace(found: Counterexample, result: CheckResult, name: str) -> dict[str, Any]:
    acting, told = columns(found, result.scope_of(found).cpus), Telling(found, verbose=False)
    rows = [_row(row, acting) for row in told.rows()]
    for n, row in enumerate(rows):
        row["turn"] = n == 0 or row["column"] != rows[n - 1]["column"]  # another CPU goes on
    return {
        "name": name, "found": found, "scope": result.scope_of(found), "cpus": acting, "rows": rows, "left_out": told.left_out,
    }  # fmt: skip


def _row(row: Row, acting: list[int]) -> dict[str, Any]:
    """One line of a trace: where it stands, what it says, and the first and last step it belongs to (none: to the one before)."""
    return {
        "column": None if row.cpu is None else acting.index(row.cpu), "depth": row.depth, "text": _text(row), "numbers": numbers(row.steps),
        "change": row.text.startswith("-> "), "file": row.place.file if row.place else "", "line": row.place.line if row.place else 0,
        "place": f"{Path(row.place.file).name}:{row.place.line}" if row.place else "", "steps": row.steps and [row.steps[0], row.steps[-1]],
    }  # fmt: skip


def _text(row: Row) -> str:
    """What a row says; of what a line changed also what was there before."""
    if row.text.startswith("-> ") and row.line:
        return "-> " + ", ".join(f"{c.name} {c.old} \N{RIGHTWARDS ARROW} {c.new}" for c in row.line.changes)
    return row.text


def _data(account: Account, trace: dict[str, Any]) -> dict[str, Any]:
    """What the scripts need of a trace."""
    found: Counterexample = trace["found"]
    return {
        "name": trace["name"],
        "title": f"{found.property}: {found.sentence}",
        "rows": [row["steps"] for row in trace["rows"]],
        "places": [(named(account, row["file"]), row["line"]) if row["file"] else None for row in trace["rows"]],
        "initial": _initial(found),
        "steps": [_step(account, step) for step in found.steps],
        "looked": [name for name, _ in looked_at(found)],
        "loop": found.loop,
        "cpus": trace["scope"].cpus,
        "tasks": trace["scope"].tasks,
    }


def _step(account: Account, step: Step) -> dict[str, Any]:
    places = dict.fromkeys((named(account, line.here.file), line.here.line) for line in step.lines)
    return {
        "cpu": step.cpu, "task": step.task, "context": step.context, "action": step.move.action, "words": words_for(step),
        "changes": [[c.name, c.old, c.new] for c in step.changes], "stacks": step.stacks, "ran": list(places),
        "others": [_enabled(other) for other in step.others],
    }  # fmt: skip


def _enabled(move: Enabled) -> dict[str, Any]:
    place = f"{Path(move.place.file).name}:{move.place.line}" if move.place else ""
    return {"cpu": move.cpu, "task": move.task, "words": move.words, "place": place, "breaks": move.breaks}


def _initial(found: Counterexample) -> dict[str, str]:
    """The state before the first step: fields that are ever not as by default, or looked at."""
    changes = [change for step in found.steps for change in step.changes]
    state = dict(looked_at(found)) | dict(found.final) | {change.name: change.new for change in changes}
    for change in reversed(changes):
        state[change.name] = change.old
    return state
