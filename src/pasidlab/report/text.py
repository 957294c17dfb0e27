"""Results as text: the verdict table, and all there is to say about one design. Traces are in ``trace``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from pasidlab.check.findings import CheckResult, PropertyResult
from pasidlab.errors import counted
from pasidlab.report.trace import WIDTH, trace_text

MARKS = {"holds": "holds", "violated": "VIOLATED", "inconclusive": "inconclusive"}


def verdict_table(results: Sequence[CheckResult]) -> str:
    """One line per design."""
    name = max([16, *(len(r.design) for r in results)]) + 2
    lines = [f"{'design':<{name}}{'verdict':<13}{'states':>13}{'depth':>6}{'s':>7}  broken (steps of the shortest counterexample)"]
    for r in results:
        broken = ", ".join(f"{c.property} ({len(c.steps)})" for c in r.counterexamples)
        lines.append(f"{r.design:<{name}}{MARKS[r.verdict]:<13}{r.states:>13,}{r.depth:>6}{r.seconds:>7.1f}  {broken or '-'}")
    return "\n".join(lines)


def result_text(result: CheckResult, *, verbose: bool = False) -> str:
    """Everything about one design: parts, properties, counterexamples, what was not executed."""
    blocks = [f"{result.design}: {MARKS[result.verdict]}", parts_text(result), properties_text(result)]
    if result.unexecuted:
        blocks.append(
            "Lines of the design never executed:\n" + "\n".join(f"  {Path(f).name}:{n}: {text}" for f, n, text in result.unexecuted)
        )
    blocks += [trace_text(c, result.scope_of(c).cpus, verbose=verbose) for c in result.counterexamples]
    if result.error:
        where = f"{result.error.site.position}: {result.error}"
        blocks.append(f"The check ended there: a later step is a mistake of the model or the design, no verdict.\n  {where}")
    return "\n\n".join(blocks)


def parts_text(result: CheckResult) -> str:
    """The scopes explored, and how far."""
    lines = []
    for part in result.parts:
        why = "model error" if part.error else part.reason
        how = "explored to the end" if why == "complete" else f"stopped ({why}); complete to depth {part.depth_completed}"
        lines.append(
            f"  {part.name:<7} {part.states:>12,} states {part.transitions:>13,} steps  depth {part.depth:>3} {part.seconds:5.1f} s  {how}"
        )
        lines += textwrap.wrap(str(part.scope), WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 10)
    lines += [f"  {name:<7} not explored" for name in result.missing]
    return "\n".join(lines)


def properties_text(result: CheckResult) -> str:
    """Each property: holds or not, and whether anything put it to the test."""
    lines = [f"  {p.name:<13} {verdict_of(p):<22} {put_to_the_test(p)}" for p in result.properties]
    if result.counterexamples and any(p.holds is None for p in result.properties):
        lines.append("  Not settled, as something else is broken: --property NAME asks for one alone.")
    elif any(part.reason == "max_states" for part in result.parts):
        lines.append("  Not settled: --max-states explores more.")
    return "\n".join(lines)


def verdict_of(p: PropertyResult) -> str:
    """Holds, violated or not settled."""
    return "holds" if p.holds else "not settled" if p.holds is None else f"VIOLATED in {counted(p.steps or 0, 'step')}"


def put_to_the_test(p: PropertyResult) -> str:
    """Whether a property that holds says anything."""
    return "put to the test" if p.reached else "never put to the test in this scope"


def definitions(title: str, entries: Mapping[str, str]) -> str:
    """A titled list of names and what they mean."""
    lines = [title]
    for name, meaning in entries.items():
        lines += textwrap.wrap(meaning, WIDTH, initial_indent=f"  {name:<17} ", subsequent_indent=" " * 20)
    return "\n".join([*lines, ""])
