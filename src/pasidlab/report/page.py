"""A check as one HTML page: the verdicts, and traces to step through.

Beside each step stand a picture of the two copies, the state and the source.

The page needs nothing but itself. Without scripts the traces still read as they do on a terminal.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Container
from typing import Any

from pasidlab.checking.compare import NO_DIFFERENCE
from pasidlab.checking.result import CheckResult
from pasidlab.checking.wording import no_mistake
from pasidlab.report.account import Account
from pasidlab.report.json import named
from pasidlab.report.stepping import data_of, environment, sources_of, trace_of
from pasidlab.trace.steps import Counterexample
from pasidlab.version import VERSION


def results_page(account: Account) -> str:
    """The page, UTF-8. Sources that can no longer be read are left out."""
    sections = _sections(account)
    traces = [trace for section in sections for trace in section["traces"]]
    shown = {file: lines for entry in account.checked for file, lines in entry.design.shown.items()}
    sources = sources_of(account, traces, shown)
    data = {
        "traces": [data_of(account, trace) for trace in traces],
        "sources": sources,
        "unexecuted": [[named(account, file), line] for result in account.results for file, line, _ in result.unexecuted],
        "executed": _executed(account, sources),
    }
    return environment().get_template("page.html").render(
        sections=sections, comparison=account.comparison, no_difference=NO_DIFFERENCE, title=account.title, data=data,
        version=VERSION, missing=account.missing, ended=account.ended,
        named=lambda file: named(account, file), command=shlex.join(account.command), no_mistake=no_mistake,
    )  # fmt: skip


def _executed(account: Account, sources: Container[str]) -> list[tuple[str, int]]:
    """The lines of the sources that any step of a search executed."""
    places = {place for result in account.results for part in result.parts for place in part.executed}
    return sorted((name, line) for file, line in places if (name := named(account, file)) in sources)


def _sections(account: Account) -> list[dict[str, Any]]:
    """A section for each design: its result and its traces, each with a name of its own for links."""
    taken: set[str] = set()
    sections = []
    for checked in account.checked:
        result = checked.result
        name = _slug(result.design, taken)
        traces = [
            trace_of(
                found, checked.design, result.scope_of(found), _slug(f"{name}-{found.property}", taken), _again(account, result, found),
                next(p.sentence for p in result.properties if p.name == found.property),
            )
            for found in result.counterexamples
        ]
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
