"""Results as text: tables, and traces as kernel developers write races: one column per CPU, only what changes, 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pasidlab.check.api import CheckResult
from pasidlab.check.trace import Change, Counterexample, Line, Step
from pasidlab.report.words import words_for

WIDTH = 80
MARKS = {"holds": "holds", "violated": "VIOLATED", "inconclusive": "inconclusive"}
QUIET = ("irqs_off", "preempt_count", "softirq_count")


def verdict_table(results: Sequence[CheckResult]) -> str:
    """One line per design."""
    lines = [f"{'design':<18}{'verdict':<13}{'states':>13}{'depth':>6}{'s':>7}  broken (steps of the shortest counterexample)"]
    for r in results:
        broken = ", ".join(f"{c.property} ({len(c.steps)})" for c in r.counterexamples)
        lines.append(f"{r.design:<18}{MARKS[r.verdict]:<13}{r.states:>13,}{r.depth:>6}{r.seconds:>7.1f}  {broken or '-'}")
    return "\n".join(lines)


def result_text(result: CheckResult) -> str:
    """Everything about one design: parts, properties, counterexamples, what was not executed."""
    blocks = [f"{result.design}: {MARKS[result.verdict]}", parts_text(result), properties_text(result)]
    if result.unexecuted:
        blocks.append(
            "Lines of the design never executed:\n" + "\n".join(f"  {Path(f).name}:{n}: {text}" for f, n, text in result.unexecuted)
        )
    blocks += [trace_text(c, result.scope_of(c).cpus) for c in result.counterexamples]
    return "\n\n".join(blocks)


def parts_text(result: CheckResult) -> str:
    """The scopes explored, and how far."""
    lines = []
    for part in result.parts:
        how = "explored to the end" if part.reason == "complete" else f"stopped ({part.reason}); complete to depth {part.depth_completed}"
        lines.append(
            f"  {part.name:<7} {part.states:>12,} states {part.transitions:>13,} steps  depth {part.depth:>3} {part.seconds:5.1f} s  {how}"
        )
        lines += textwrap.wrap(str(part.scope), WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 10)
    return "\n".join(lines)


def properties_text(result: CheckResult) -> str:
    """Each property: holds or not, and whether anything put it to the test."""
    lines = []
    for p in result.properties:
        verdict = "holds" if p.holds else "not settled" if p.holds is None else f"VIOLATED in {p.steps} steps"
        witness = "put to the test" if p.reached else "never put to the test in this scope"
        lines.append(f"  {p.name:<13} {verdict:<22} {witness}")
    return "\n".join(lines)


def trace_text(found: Counterexample, cpus: int) -> str:
    """The trace of a counterexample and the sentence it ends with; a column for each CPU that takes part."""
    acting = sorted({step.cpu for step in found.steps if step.cpu is not None}) or list(range(cpus))
    width = (WIDTH - 2 * (len(acting) - 1)) // len(acting)
    head = f"{found.property}: shortest counterexample, {len(found.steps)} steps"
    titles = "  ".join(f"{f'CPU {c}':<{width}}" for c in acting).rstrip()
    lines = [head, "", titles, "  ".join("-" * width for _ in acting)]
    last: tuple[int | None, int | None, str] | None = None
    for number, step in enumerate(found.steps, start=1):
        if found.loop is not None and number == found.loop + 1:
            lines.append("-- from here on, for ever --".center(WIDTH).rstrip())
        here = (step.cpu, step.task, step.context)
        column = " " * ((width + 2) * acting.index(step.cpu)) if step.cpu is not None else ""
        lines += [(column + text).rstrip() for text in _step_lines(step, here != last, width)]
        last = here
    if not found.exact:
        lines.append("(shows only if contents nobody may rely on are what no task put there)")
    lines += ["", *textwrap.wrap(f"VIOLATED {found.property}: {found.sentence}.", WIDTH), "", *_state_lines(found)]
    return "\n".join(lines)


def _step_lines(step: Step, announce: bool, width: int) -> Iterator[str]:
    """The lines of one step: who and where if that is new, what, the source, the changes."""
    task = "idle" if step.task is None else f"T{step.task}"
    words = words_for(step)
    if step.cpu is None:
        yield f"* {words}"
    elif words.startswith("<"):
        yield f"  {words}"
    elif step.context == "user":
        yield f"{task} {words}"
    else:
        if announce and step.context == "kernel":
            yield f"{task} in the kernel"
        yield f"  {words}"
        for line in step.lines[-4:]:
            yield from _source(line, width)
    yield from _changes(step.changes, width)


def _source(line: Line, width: int) -> Iterator[str]:
    place = f"{Path(line.file).name}:{line.line}"
    text = line.source.split("  #")[0]
    if width >= 60:
        yield from textwrap.wrap(text, width, initial_indent=f"    {place:<22} ", subsequent_indent=" " * 27)
    else:
        yield from textwrap.wrap(f"{place} {text}", width, initial_indent="    ", subsequent_indent="      ")


def _changes(changes: tuple[Change, ...], width: int) -> Iterator[str]:
    told = [c for c in changes if c.name.split(".")[-1] not in QUIET and not c.name.endswith(".current")]
    if told:
        text = ", ".join(f"{c.name}={c.new}" for c in told)
        yield from textwrap.wrap(text, width - 2, initial_indent="    -> ", subsequent_indent="       ")


def _state_lines(found: Counterexample) -> list[str]:
    """The state at the end: every field that is not at its default."""
    groups: dict[str, list[str]] = {}
    for name, value in found.final:
        who, what = name.split(".")
        groups.setdefault(who, []).append(f"{what}={value}")
    lines: list[str] = []
    for who, parts in groups.items():
        lines += textwrap.wrap(f"{who}: {' '.join(parts)}", WIDTH, subsequent_indent="      ", break_on_hyphens=False)
    return lines


def definitions(title: str, entries: Mapping[str, str]) -> str:
    """A titled list of names and what they mean."""
    lines = [title]
    for name, meaning in entries.items():
        lines += textwrap.wrap(meaning, WIDTH, initial_indent=f"  {name:<17} ", subsequent_indent=" " * 20)
    return "\n".join([*lines, ""])
