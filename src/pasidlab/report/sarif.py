"""A check as SARIF 2.1.0, which code review tools show at the lines it is about.

Each counterexample is an error with its code flow, each property that is not settled a warning. A code flow has a thread flow for each
CPU; ``executionOrder`` is the number of the step, so a viewer that merges the thread flows shows the interleaving.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pasidlab.checking.compare import NO_DIFFERENCE
from pasidlab.designs.intake.judged import Item
from pasidlab.errors import counted
from pasidlab.report.account import Account, Checked
from pasidlab.trace.columns import trace_text
from pasidlab.trace.steps import Counterexample, Frame, Step
from pasidlab.version import VERSION

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
NOT_JUDGED = "not_judged"
Json = dict[str, Any]


def results_sarif(account: Account) -> Json:
    """The document: a rule for each property, a result for each counterexample and each property without a verdict."""
    rules = [{"id": name, "shortDescription": _message(sentence)} for name, sentence in account.properties.items()]
    rules.append({"id": NOT_JUDGED, "shortDescription": _message("every change that matters to the model is judged")})
    driver = {"name": "pasidlab", "version": VERSION, "semanticVersion": VERSION, "rules": rules}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {name: {"uri": _folder(path)} for name, path in account.bases.items()},
        "invocations": [_invocation(account)],
        "results": _compared(account) if account.comparison else [r for entry in account.checked for r in _results(account, entry)],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _folder(path: Path) -> str:
    return path.as_uri().rstrip("/") + "/"


def _invocation(account: Account) -> Json:
    """How the command went. ``executionSuccessful`` is true only if every design has its verdict."""
    told = [_notification("error", account.ended)] if account.ended else []
    told += [_notification("error", f"{r.design}: {r.error}") for r in account.results if r.error]
    told += [_notification("warning", f"{name}: not explored") for name in account.missing]
    told += [_notification("note", f"{r.design}: {sentence}") for r in account.results for sentence in r.account]
    if account.comparison and account.comparison.is_same:
        told.append(_notification("warning", NO_DIFFERENCE))
    invocation: Json = {
        "executionSuccessful": account.finished,
        "exitCode": account.exit_code,
        "workingDirectory": {"uri": _folder(account.directory)},
        "toolExecutionNotifications": told,
    }
    if account.command:
        invocation |= {"commandLine": shlex.join(account.command), "arguments": list(account.command[1:])}
    return invocation


def _notification(level: str, text: str) -> Json:
    return {"level": level, "message": _message(text)}


def _message(text: str) -> Json:
    """A message. Braces are doubled, because single ones are placeholders (section 3.11.5)."""
    return {"text": text.replace("{", "{{").replace("}", "}}")}


def _compared(account: Account) -> list[Json]:
    """Of a comparison: what is there after the patch, as new or unchanged, and what is gone (baselineState, section 3.27.24)."""
    before, after = ([*_results(account, entry)] for entry in account.checked)
    old, new = ({result["ruleId"] for result in side if result["level"] == "error"} for side in (before, after))
    found = [result | {"baselineState": "unchanged" if result["ruleId"] in old else "new"} for result in after]
    return found + [r | {"baselineState": "absent"} for r in before if r["level"] == "error" and r["ruleId"] not in new]


def _results(account: Account, entry: Checked) -> Iterator[Json]:
    for found in entry.result.counterexamples:
        yield _broken(account, entry, found)
    for item in entry.result.judged.open if entry.result.judged else ():
        yield _unjudged(account, entry, item)
    for p in entry.result.unsettled:
        text = f"{entry.result.design}: {p.name} is not settled: {entry.result.why_not_settled(p.name)}."
        yield _result(account, entry, p.name, "warning", text) | {"locations": _locations(_artifact(account, entry.design.sources[0]))}


def _unjudged(account: Account, entry: Checked, item: Item) -> Json:
    """Something that matters and was not judged."""
    place = _artifact(account, item.file or entry.design.sources[0])
    place |= {"region": {"startLine": item.line}} if item.line and item.file else {}
    text = f"{entry.result.design}: not judged: {item}."
    result = _result(account, entry, NOT_JUDGED, "warning", text) | {"locations": _locations(place)}
    result["partialFingerprints"] = {"design/function": f"{entry.result.design}/{item.name}"}
    return result


def _result(account: Account, entry: Checked, rule: str, level: str, text: str) -> Json:
    return {
        "ruleId": rule,
        "ruleIndex": [*account.properties, NOT_JUDGED].index(rule),
        "level": level,
        "message": _message(text),
        "partialFingerprints": {"design/property": f"{entry.result.design}/{rule}"},
    }


def _broken(account: Account, entry: Checked, found: Counterexample) -> Json:
    """A counterexample. It stands at the last line of the design that was executed, or else of the kernel."""
    lines = [line for step in found.steps for line in step.lines]
    executed = [line.here for line in lines]
    failed = next((line for line in found.steps[-1].lines if line.failed), None) if found.steps and found.broken_by_step else None
    if failed is not None:
        executed += failed.frames  # where the promise was made
    own = [frame for frame in executed if frame.file in entry.design.sources]
    at = (own or executed)[-1:]
    text = f"{entry.result.design}: {found.sentence}, after {counted(len(found.steps), 'step')}."
    flow = {"message": _message(trace_text(found, entry.result.scope_of(found).cpus)), "threadFlows": list(_thread_flows(account, found))}
    locations = [{"physicalLocation": _physical(account, frame)} for frame in at] or _locations(_artifact(account, entry.design.sources[0]))
    return _result(account, entry, found.property, "error", text) | {"locations": locations, "codeFlows": [flow]}


def _thread_flows(account: Account, found: Counterexample) -> Iterator[Json]:
    """The steps of each CPU, and those of no CPU: what devices and the rest of the machine do."""
    for cpu in sorted({step.cpu for step in found.steps}, key=lambda cpu: (cpu is None, cpu or 0)):
        steps = [(number, step) for number, step in enumerate(found.steps, start=1) if step.cpu == cpu]
        yield {"id": "environment" if cpu is None else f"CPU {cpu}", "locations": [_step(account, n, step) for n, step in steps]}


def _step(account: Account, number: int, step: Step) -> Json:
    who = "" if step.cpu is None else f"CPU {step.cpu}: "
    task = "" if step.task is None else f"T{step.task} "
    changes = ", ".join(f"{c.name}={c.new}" for c in step.changes)
    said = step.main.source if step.main and step.context not in ("user", "event") else step.words
    location: Json = {"message": _message(f"{who}{task}{said}" + (f" -> {changes}" if changes else ""))}
    if step.main:
        location["physicalLocation"] = _physical(account, step.main)
    return {"executionOrder": number, "location": location, "importance": "essential" if step.changes else "important"}


def _physical(account: Account, frame: Frame) -> Json:
    place = _artifact(account, frame.file)
    return place | {"region": {"startLine": frame.line, "snippet": {"text": frame.source}}} if frame.line > 0 else place


def _locations(place: Json) -> list[Json]:
    return [{"physicalLocation": place}]


def _artifact(account: Account, file: str) -> Json:
    place = account.place(file)
    if not place.base:
        whole = Path(place.path).is_absolute()
        return {"artifactLocation": {"uri": Path(place.path).as_uri() if whole else quote(os.fsencode(place.path))}}
    return {"artifactLocation": {"uri": quote(os.fsencode(place.path)), "uriBaseId": place.base}}
