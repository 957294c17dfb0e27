"""Results as JSON: the documented shape, and beside it what ``replay`` needs."""

from __future__ import annotations

from typing import Any

from pasidlab.check.findings import CheckResult
from pasidlab.check.scope import Scope
from pasidlab.check.trace import Counterexample, Step


def results_json(results: list[CheckResult], paths: dict[str, str]) -> dict[str, Any]:
    """The document ``check --json`` prints. ``paths`` names the file of each design."""
    return {"results": [_result(r, paths.get(r.design, r.design)) for r in results]}


def _result(result: CheckResult, path: str) -> dict[str, Any]:
    return {
        "design": result.design,
        "file": path,
        "scope": {part.name: _scope(part.scope) for part in result.parts},
        "verdict": result.verdict,
        "states": result.states,
        "transitions": result.transitions,
        "depth": result.depth,
        "seconds": round(result.seconds, 3),
        "parts": [
            {
                "name": p.name, "reason": p.reason, "states": p.states, "transitions": p.transitions, "depth": p.depth,
                "depth_completed": p.depth_completed, "seconds": round(p.seconds, 3), "bytes_per_state": round(p.bytes_per_state, 1),
            }
            for p in result.parts
        ],
        "properties": [{"name": p.name, "holds": p.holds, "reached": p.reached, "steps": p.steps} for p in result.properties],
        "counterexamples": [_counterexample(c, result.scope_of(c)) for c in result.counterexamples],
        "missing": list(result.missing),
        "error": str(result.error) if result.error else None,
        "unexecuted": [{"file": f, "line": n, "source": text} for f, n, text in result.unexecuted],
    }  # fmt: skip


def _scope(scope: Scope) -> dict[str, Any]:
    return {
        "cpus": scope.cpus, "tasks": scope.tasks, "mms": scope.mms, "pasids": scope.pasids,
        "events": sorted(scope.events), "bounds": scope.bounds,
    }  # fmt: skip


def _counterexample(found: Counterexample, scope: Scope) -> dict[str, Any]:
    return {
        "property": found.property,
        "sentence": found.sentence,
        "trace": [_step(step) for step in found.steps],
        "scope": _scope(scope),
        "exact": found.exact,
        "broken_by_step": found.broken_by_step,
        "loop": found.loop,
        "initial": list(found.initial),
        "moves": [[step.action, list(step.params), list(step.choices)] for step in found.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    main = step.main
    return {
        "cpu": step.cpu,
        "context": step.context,
        "task": step.task,
        "function": main.function if main else step.action,
        "file": main.file if main else None,
        "line": main.line if main else None,
        "source": main.source if main else None,
        "action": step.action,
        "lines": [
            {"function": f.function, "file": f.file, "line": f.line, "source": f.source} for f in (line.here for line in step.lines)
        ],
        "changes": {c.name: [c.old, c.new] for c in step.changes},
    }
