"""What the browser gets: the page, and a walk as a trace to step through."""

from __future__ import annotations

import json
from typing import Any

from pasidlab.designs import Opening
from pasidlab.explore.goal import EXAMPLE, names_of
from pasidlab.explore.walk import Walk, Walker
from pasidlab.report.account import Account
from pasidlab.report.json import heading, named, scope_json
from pasidlab.report.stepping import data_of, enabled_data, environment, sources_of, trace_of
from pasidlab.version import VERSION

NAME = "walk"


def walk_data(walk: Walk, walker: Walker) -> dict[str, Any]:
    """A walk for the scripts: the trace, its sources, and the HTML it stands in."""
    account = Account(())
    trace = _trace(walk, walker)
    made = data_of(account, trace) | {"enabled": [enabled_data(move) for move in walk.enabled]}
    html = environment().get_template("trace.html").render(trace=trace)
    return {"trace": made, "sources": sources_of(account, [trace], walker.design.shown), "html": html, "initial": walk.initial}


def _trace(walk: Walk, walker: Walker) -> dict[str, Any]:
    meaning = next((p.sentence for p in walker.design.properties if p.name == walk.path.property), "")
    return trace_of(walk.path, walker.design, walker.scope, NAME, meaning=meaning)


def explore_page(walk: Walk, walker: Walker) -> str:
    """The whole page, with a walk, standing at its beginning."""
    data = walk_data(walk, walker)
    page = {"traces": [data["trace"]], "sources": data["sources"], "unexecuted": [], "executed": [], "initial": walk.initial}
    return environment().get_template("explore.html").render(
        design=walker.design.name, scope=str(walker.scope), beginnings=len(walker.initial), trace=_trace(walk, walker),
        data=page, version=VERSION, names=list(names_of(walker)), example="" if walker.design.own else EXAMPLE,
    )  # fmt: skip


def path_json(walk: Walk, walker: Walker, opening: Opening | None) -> str:
    """The walk as a document that ``pasidlab replay`` and ``pasidlab explore`` read."""
    recipe = walk.path.recipe()
    path = {
        "property": "", "sentence": "", "scope": scope_json(walker.scope), "exact": True, "broken_by_step": False, "loop": None,
        "initial": list(walk.path.initial), "moves": [[move.action, list(move.params), list(move.choices)] for move in recipe.moves],
    }  # fmt: skip
    result: dict[str, Any] = {"design": walker.design.name, "file": named(Account(()), str(walker.design.path)), "counterexamples": [path]}
    if opening is not None:
        result["opened"] = opening.to_json()
    return json.dumps({**heading("path"), "results": [result]}, indent=1) + "\n"
