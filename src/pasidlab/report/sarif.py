"""A check as SARIF 2.1.0, which code review tools show at the lines it is about: each counterexample is a result with its code flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pasidlab import __version__
from pasidlab.check.findings import CheckResult
from pasidlab.check.trace import Counterexample, Frame, Step
from pasidlab.errors import counted
from pasidlab.linux.promises import PROPERTIES
from pasidlab.report.trace import trace_text
from pasidlab.report.words import words_for

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def results_sarif(results: Sequence[CheckResult]) -> dict[str, Any]:
    """The document: a rule for each property, a result for each counterexample."""
    rules = [{"id": p.name, "shortDescription": {"text": p.sentence}} for p in PROPERTIES]
    driver = {"name": "pasidlab", "version": __version__, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not any(r.error or r.interrupted for r in results)}],
        "results": [_result(r, found) for r in results for found in r.counterexamples],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(result: CheckResult, found: Counterexample) -> dict[str, Any]:
    """It stands at the last line of the design that was executed, or else of the kernel."""
    executed = [line.here for step in found.steps for line in step.lines]
    own_files = {file for part in result.parts for file, _ in part.present}
    own = [frame for frame in executed if frame.file in own_files]
    at = [_location(frame) for frame in (own or executed)[-1:]]
    return {
        "ruleId": found.property,
        "level": "error",
        "message": {"text": f"{result.design}: {found.sentence}, after {counted(len(found.steps), 'step')}."},
        "locations": [{"physicalLocation": place} for place in at],
        "codeFlows": [
            {
                "message": {"text": trace_text(found, result.scope_of(found).cpus)},
                "threadFlows": [{"id": "interleaving", "locations": [_step(n, step) for n, step in enumerate(found.steps, start=1)]}],
            }
        ],
        "partialFingerprints": {"design/property": f"{result.design}/{found.property}"},
    }


def _step(number: int, step: Step) -> dict[str, Any]:
    who = "" if step.cpu is None else f"CPU {step.cpu}: "
    task = "" if step.task is None else f"T{step.task} "
    changes = ", ".join(f"{c.name}={c.new}" for c in step.changes)
    said = step.main.source if step.main and step.context not in ("user", "event") else words_for(step)
    location: dict[str, Any] = {"message": {"text": f"{who}{task}{said}" + (f" -> {changes}" if changes else "")}}
    if step.main:
        location["physicalLocation"] = _location(step.main)
    return {"executionOrder": number, "location": location, "importance": "essential" if step.changes else "important"}


def _location(frame: Frame) -> dict[str, Any]:
    path = Path(frame.file)
    uri = path.as_uri() if path.is_absolute() else quote(frame.file)
    return {"artifactLocation": {"uri": uri}, "region": {"startLine": frame.line, "snippet": {"text": frame.source}}}
