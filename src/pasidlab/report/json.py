"""Results as JSON: the documented shape, and beside it what ``replay`` needs. ``schemas/check-1.json`` describes it."""

from __future__ import annotations

from typing import Any

from pasidlab.checking.compare import Comparison
from pasidlab.checking.result import CheckResult
from pasidlab.designs import AnyScope
from pasidlab.lang.own import OwnScope
from pasidlab.report.account import Account, Checked
from pasidlab.report.schema import identifier
from pasidlab.trace.steps import Counterexample, Frame, Step
from pasidlab.version import VERSION

Json = dict[str, Any]


def heading(document: str, command: tuple[str, ...] = ()) -> Json:
    """What every document begins with: its schema, the tool, the command."""
    return {"schema": identifier(document), "tool": {"name": "pasidlab", "version": VERSION}, "command": list(command)}


def results_json(account: Account) -> Json:
    """The document ``check --json`` prints."""
    return {
        **heading("check", account.command),
        "directory": account.directory.as_posix(),
        "kernel": account.bases["KERNEL"].as_posix() if account.kernel else None,
        "results": [_AccountParts(account).result(entry) for entry in account.checked],
        "comparison": _comparison(account.comparison) if account.comparison else None,
        "not_explored": list(account.missing),
        "ended": account.ended or None,
    }


def _comparison(comparison: Comparison) -> Json:
    return {
        "properties": [
            {"property": one.name, "before": one.before.holds, "after": one.after.holds, "change": one.change.value,
             "steps_before": one.before.steps, "steps_after": one.after.steps}
            for one in comparison.properties
        ],
        "same": comparison.is_same,
        "exit_code": comparison.exit_code,
    }  # fmt: skip


def scope_json(scope: AnyScope) -> Json:
    """A scope; that of a model of one's own has ``sizes`` of its own names."""
    if isinstance(scope, OwnScope):
        return {"sizes": dict(scope.sizes), "events": sorted(scope.events), "bounds": dict(scope.bounds)}
    return {
        "cpus": scope.cpus, "tasks": scope.tasks, "mms": scope.mms, "pasids": scope.pasids,
        "events": sorted(scope.events), "bounds": scope.bounds,
    }  # fmt: skip


def named(account: Account, file: str) -> str:
    """How a document names a file: relative to the folder of the command, or after ``{pasidlab}/`` or ``{kernel}/``."""
    place = account.place(file)
    return place.path if place.base in ("", "SRCROOT") else f"{{{place.base.lower()}}}/{place.path}"


class _AccountParts:
    """The parts of one account's document."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def file(self, file: str) -> str:
        return named(self.account, file)

    def result(self, entry: Checked) -> Json:
        result = entry.result
        made = {
            "design": result.design,
            "file": self.file(entry.file),
            "scope": {part.name: scope_json(part.scope) for part in result.parts},
            "verdict": result.verdict,
            "states": result.states,
            "transitions": result.transitions,
            "depth": result.depth,
            "seconds": round(result.seconds, 3),
            "parts": [
                {
                    "name": p.name, "reason": p.reason, "states": p.states, "transitions": p.transitions, "depth": p.depth,
                    "depth_completed": p.depth_completed, "seconds": round(p.seconds, 3), "bytes_per_state": round(p.bytes_per_state, 1),
                    "notes": list(p.notes), "local_first": p.local_first,
                    "walks": {"count": p.walks.count, "seed": p.walks.seed} if p.walks else None,
                }
                for p in result.parts
            ],
            "properties": [
                {
                    "name": p.name, "holds": p.holds, "reached": p.reached, "steps": p.steps,
                    "why": result.why_not_settled(p.name) if p in result.unsettled else None,
                }
                for p in result.properties
            ],
            "counterexamples": [self.counterexample(c, result.scope_of(c)) for c in result.counterexamples],
            "evidence": [
                {
                    "property": e.property, "part": e.part, "mistake": e.mistake or None, "steps": e.steps or None,
                    "tried": list(e.tried), "settled": e.settled,
                }
                for e in result.evidence
            ],
            "missing": list(result.missing),
            "error": str(result.error) if result.error else None,
            "unexecuted": [{"file": self.file(f), "line": n, "source": text} for f, n, text in result.unexecuted],
        }  # fmt: skip
        return made | self._origin(entry)

    def _origin(self, entry: Checked) -> Json:
        """Of a design that is not built in: what opens it. Of one out of C also the design around it, and where its functions come from."""
        if entry.opened is None:
            return {}
        opened = {"opened": entry.opened.to_json()}
        if not entry.design.around:
            return opened
        return opened | {
            "base": entry.design.around,
            "notes": list(entry.design.notes),
            "judged": self._judged(entry.result),
            "provenance": [dict(zip(("function", "place", "why"), row, strict=True)) for row in entry.design.provenance],
        }

    def _judged(self, result: CheckResult) -> Json | None:
        """What of the input was judged, built in or unrelated."""
        judged = result.judged
        if judged is None:
            return None
        return {
            "sentences": list(result.account),
            "functions": [
                {
                    "function": item.function, "file": self.file(item.file) if item.file else "", "line": item.line,
                    "fate": item.fate.value, "why": item.why, "changed": item.changed,
                    "open": item.open, "allowed": item in judged.acknowledged,
                    "left_out": [{"text": one.text, "line": one.line, "why": one.why} for one in item.left_out],
                }
                for item in judged.items
            ],
            "hunks": [
                {
                    "patch": self.file(hunk.patch), "line": hunk.line, "file": hunk.file, "functions": list(hunk.functions),
                    "fate": hunk.fate.value, "why": hunk.why,
                }
                for hunk in judged.hunks
            ],
            "unused": list(judged.options_unused),
        }  # fmt: skip

    def counterexample(self, found: Counterexample, scope: AnyScope) -> Json:
        return {
            "property": found.property,
            "sentence": found.sentence,
            "trace": [self.step(step) for step in found.steps],
            "scope": scope_json(scope),
            "exact": found.exact,
            "shortest": found.shortest,
            "broken_by_step": found.broken_by_step,
            "loop": found.loop,
            "initial": list(found.initial),
            "moves": [[move.action, list(move.params), list(move.choices)] for move in found.recipe().moves],
        }

    def step(self, step: Step) -> Json:
        place: Json = dict.fromkeys(("file", "line", "source"))
        return {
            "cpu": step.cpu,
            "context": step.context,
            "task": step.task,
            "function": step.move.action,
            **(self.frame(step.main) if step.main else place),
            "action": step.move.action,
            "lines": [self.frame(line.here) for line in step.lines],
            "changes": {c.name: [c.old, c.new] for c in step.changes},
        }

    def frame(self, frame: Frame) -> Json:
        return {"function": frame.function, "file": self.file(frame.file), "line": frame.line, "source": frame.source}
