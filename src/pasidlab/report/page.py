"""A check as one HTML page: the verdicts, and traces to step through beside the source and the state.

The page needs nothing but itself. Without scripts the traces still read as they do on a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pasidlab.check.findings import CheckResult
from pasidlab.check.trace import Counterexample, source_text
from pasidlab.report.text import MARKS, put_to_the_test, verdict_of
from pasidlab.report.trace import Row, Telling, columns, looked_at, numbers


def results_page(results: Sequence[CheckResult]) -> str:
    """The page, UTF-8. Sources that can no longer be read are left out."""
    templates = PackageLoader("pasidlab.report", "templates")
    environment = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"breakable": _breakable, "mark": MARKS.__getitem__, "verdict": verdict_of, "witness": put_to_the_test}
    traces = [_trace(found, result.scope_of(found).cpus) for result in results for found in result.counterexamples]
    files = {row["file"] for trace in traces for row in trace["rows"] if row["file"]}
    data = {
        "traces": [{"rows": [row["steps"] for row in t["rows"]], "states": t["states"], "looked": t["looked"]} for t in traces],
        "places": [[(row["file"], row["line"]) if row["file"] else None for row in t["rows"]] for t in traces],
        "sources": {file: source_text(file) for file in sorted(files)},
    }
    return environment.get_template("page.html").render(results=results, traces=traces, data=data)


def _breakable(text: str) -> Markup:
    """Code that may be broken after dots, brackets and arrows, but not inside an arrow."""
    pieces = re.split(r"(?<=[.(])(?=\w)|(?<=->)(?=\w)", text)
    return Markup("<wbr>").join(Markup('<span class="arrow">-&gt;</span>').join(piece.split("->")) for piece in pieces)


def _trace(found: Counterexample, cpus: int) -> dict[str, Any]:
    acting, told = columns(found, cpus), Telling(found, verbose=False)
    rows = [_row(row, acting) for row in told.rows()]
    return {
        "property": found.property, "sentence": found.sentence, "length": len(found.steps), "exact": found.exact, "cpus": acting,
        "rows": rows, "left_out": told.left_out, "states": _states(found), "looked": [name for name, _ in looked_at(found)],
    }  # fmt: skip


def _row(row: Row, acting: list[int]) -> dict[str, Any]:
    """One line of a trace: where it stands, what it says, and the first and last step it belongs to (none: to the one before)."""
    return {
        "column": None if row.cpu is None else acting.index(row.cpu), "depth": row.depth, "text": row.text, "numbers": numbers(row.steps),
        "change": row.text.startswith("-> "), "file": row.place.file if row.place else "", "line": row.place.line if row.place else 0,
        "place": f"{Path(row.place.file).name}:{row.place.line}" if row.place else "", "steps": row.steps and [row.steps[0], row.steps[-1]],
    }  # fmt: skip


def _states(found: Counterexample) -> list[dict[str, str]]:
    """The state before the first step and after each: fields that are ever not as by default, or looked at."""
    changes = [change for step in found.steps for change in step.changes]
    state = dict(looked_at(found)) | dict(found.final) | {change.name: change.new for change in changes}
    states = [dict(state)]
    for step in reversed(found.steps):
        state |= {change.name: change.old for change in reversed(step.changes)}
        states.append(dict(state))
    return states[::-1]
