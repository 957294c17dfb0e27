"""Results as text: the verdict table, and all there is to say about one design. Traces are in ``trace``."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from pasidlab.checking.compare import Change, Comparison, state_of
from pasidlab.checking.findings import CheckResult, Evidence, PartResult, PropertyResult
from pasidlab.errors import counted
from pasidlab.report.look import PAGE, PLAIN, VERDICTS, Look, lines_of
from pasidlab.report.trace import trace_text

MANNERS = {Change.BETTER: "good", Change.PROVED: "good", Change.BROKEN: "bad", Change.WORSE: "bad", Change.OPEN: "open"}
MARKS = {"holds": "holds", "violated": "VIOLATED", "inconclusive": "inconclusive"}
BROKEN = "broken (steps of the shortest counterexample)"
FIGURES = 28  # columns of states, depth and seconds, and the gap after them
LAST = 16  # columns that what is broken needs at least


class VerdictTable:
    """One row for each design; a terminal too narrow for that gets a few lines each."""

    def __init__(self, designs: Sequence[str], look: Look = PLAIN) -> None:
        self.look = look
        self.name = max([16, *(len(design) for design in designs)]) + 2
        self.left = self.name + 13 + FIGURES
        self.stacked = look.table is not None and look.table < self.left + LAST

    def heading(self) -> str:
        """The names of the columns; empty where there are none."""
        if self.stacked:
            return ""
        text = f"{'design':<{self.name}}{'verdict':<13}{'states':>13}{'depth':>6}{'s':>7}  "
        room = self.look.table is None or self.look.table >= self.left + len(BROKEN)
        return self.look.paint("dim", text + (BROKEN if room else "broken (steps)"))

    def row(self, result: CheckResult) -> str:
        """One design."""
        broken = ", ".join(f"{c.property} ({len(c.steps)})" for c in result.counterexamples) or "-"
        mark = self.look.paint(VERDICTS[result.verdict], MARKS[result.verdict])
        if self.stacked:
            figures = f"{result.states:,} states, depth {result.depth}, {result.seconds:.1f} s"
            lines = [f"{result.design}: {mark}", *self.look.prose(figures, "  ", "  ")]
            return "\n".join([*lines, *(self.look.prose(broken, "  ", "  ") if broken != "-" else [])])
        verdict = mark + " " * (13 - len(MARKS[result.verdict]))
        figures = f"{result.states:>13,}{result.depth:>6}{result.seconds:>7.1f}  "
        return self._last(f"{result.design:<{self.name}}{verdict}{figures}", broken)

    def _last(self, text: str, last: str) -> str:
        """The last column goes on below itself where the terminal ends."""
        if self.look.table is None:
            return text + last
        lines = textwrap.wrap(last, self.look.table - self.left)
        return ("\n" + " " * self.left).join([text + lines[0], *lines[1:]])


def verdict_table(results: Sequence[CheckResult], look: Look = PLAIN) -> str:
    """The whole table."""
    table = VerdictTable([result.design for result in results], look)
    return "\n".join(line for line in (table.heading(), *(table.row(result) for result in results)) if line)


def result_text(result: CheckResult, *, verbose: bool = False, look: Look = PLAIN) -> str:
    """Everything about one design: parts, properties, counterexamples, what was not executed."""
    mark = look.paint(VERDICTS[result.verdict], MARKS[result.verdict])
    head = [f"{look.paint('strong', result.design)}: {mark}", *account_text(result, look)]
    blocks = [head, parts_text(result, look), properties_text(result, look)]
    if result.unexecuted:
        lines = [f"{Path(f).name}:{n}: {text}" for f, n, text in result.unexecuted]
        title = look.prose("Lines of the design never executed:")
        blocks.append([*title, *(line for text in lines for line in look.prose(text, "  ", "      "))])
    if result.evidence:
        blocks.append(evidence_text(result, look))
    blocks += [[trace_text(c, result.scope_of(c).cpus, verbose=verbose, look=look)] for c in result.counterexamples]
    if result.error:
        where = f"{result.error.site.position}: {result.error}"
        what = look.prose("The check ended there: a later step is a mistake of the model or the design, no verdict.")
        blocks.append([*what, *look.prose(where, "  ", "  ")])
    return lines_of(blocks)


def account_text(result: CheckResult, look: Look = PLAIN) -> list[str]:
    """What of the input was judged and what not; nothing for a design of Python."""
    return [line for sentence in result.account for line in look.prose(f"{sentence}.", "  ", "    ")]


def comparison_text(comparison: Comparison, look: Look = PLAIN) -> list[str]:
    """Each property before and after, and what the patch did to it."""
    width = 26
    lines = [look.paint("dim", f"  {'property':<14}{'before':<{width}}{'after':<{width}}")]
    for one in comparison.properties:
        manner = MANNERS[one.change]
        lines.append(f"  {one.name:<14}{state_of(one.before):<{width}}{state_of(one.after):<{width}}{look.paint(manner, one.change.value)}")
    return [*lines, *(line for sentence in comparison.sentences() for line in look.prose(f"{sentence}.", "  ", "    "))]


def parts_text(result: CheckResult, look: Look = PLAIN) -> list[str]:
    """The scopes explored, and how far."""
    lines = []
    for part in result.parts:
        why = "model error" if part.error else part.reason
        how = "explored to the end" if why == "complete" else f"stopped ({why}); {part.settled}"
        sizes = f"{part.states:>12,} states {part.transitions:>13,} steps  depth {part.depth:>3}"
        line = f"  {part.name:<7} {sizes} {part.seconds:5.1f} s  {how}"
        lines += [line] if look.table is None or len(line) <= look.table else look.prose(" ".join(line.split()), "  ", "    ")
        scope = str(part.scope) if look.page == PAGE else ", ".join(re.split(", ?", str(part.scope)))
        lines += look.prose(scope, " " * 10, " " * 10)
        for note in part.notes:
            lines += look.prose(f"note: {note}", " " * 10, " " * 12)
    return lines + [f"  {name:<7} not explored" for name in result.missing]


def properties_text(result: CheckResult, look: Look = PLAIN) -> list[str]:
    """Each property: holds or not, and whether anything put it to the test; then why some are not settled."""
    lines = []
    for p in result.properties:
        manner = "good" if p.holds else "open" if p.holds is None else "bad"
        name, verdict = (13, 22) if look.page >= 74 else (12, 21)
        if look.page >= 72:
            lines.append(f"  {p.name:<{name}} {look.paint(manner, f'{verdict_of(p):<{verdict}}')} {put_to_the_test(result, p)}")
        else:
            lines += [look.paint(manner, line) for line in look.prose(f"{p.name}: {verdict_of(p)}", "  ", "    ")]
            lines += look.prose(put_to_the_test(result, p), "    ", "    ")
    for why in dict.fromkeys(why_not_settled(result, p.name) for p in result.properties if p.holds is None):
        lines += look.prose(f"Not settled: {why}.", "  ", "    ")
    return lines


def evidence_text(result: CheckResult, look: Look = PLAIN) -> list[str]:
    """For each property and part the mistake of the kernel that is caught there."""
    lines = look.prose("Evidence, the same design in a kernel with one mistake:")
    for name in dict.fromkeys(one.property for one in result.evidence):
        lines += look.prose(f"{name}:", "  ", "  ")
        for one in (one for one in result.evidence if one.property == name):
            caught = f"VIOLATED in {counted(one.steps, 'step')} by {one.mistake}" if one.mistake else no_mistake(one)
            tried = f", {counted(len(one.tried), 'mistake')} tried" if not one.mistake and one.tried else ""
            lines += look.prose(f"{one.part}: {caught}{tried}", "    ", "      ")
    return lines


def no_mistake(one: Evidence) -> str:
    """What is said where no mistake is caught."""
    return "not put to the test" if one.settled else "not settled, the search was cut"


def verdict_of(p: PropertyResult) -> str:
    """Holds, violated or not settled."""
    return "holds" if p.holds else "not settled" if p.holds is None else f"VIOLATED in {counted(p.steps or 0, 'step')}"


def put_to_the_test(result: CheckResult, p: PropertyResult) -> str:
    """Whether a step tried to break a property. Only a search that was finished can say that none ever does."""
    if result.is_tested(p):
        return "put to the test"
    looked_for = [one for one in result.evidence if one.property == p.name]
    if looked_for:
        cut = not all(one.settled for one in looked_for)
        return "not put to the test so far: the search was cut" if cut else "not put to the test: no mistake of the kernel breaks it"
    return "not put to the test so far" if p.holds is None else "never put to the test in this scope"


WHY = {
    "max_states": "a larger --max-states explores more",
    "max_memory": "a larger --max-memory explores more",
    "timeout": "a larger --timeout explores more",
    "interrupted": "the check was interrupted",
    "model error": "a later step is a mistake of the model or the design",
    "broken": "something else is broken, --property NAME asks for one alone",
    "complete": "the scope was explored, but does not settle it",
}
"""What kept a part from a verdict -> what to say of it."""


def unsettled(result: CheckResult) -> list[PropertyResult]:
    """The properties without a verdict that says anything: not settled, or all that was asked for and never put to the test."""
    return [p for p in result.properties if p.holds is None or (result.verdict == "inconclusive" and not result.is_tested(p))]


def why_not_settled(result: CheckResult, name: str) -> str:
    """Why a property has no verdict, and what would give it one: the parts that have none, by their reason."""
    parts: dict[str, list[str]] = {}
    for part in result.parts:
        if any(p.name == name and p.holds is None for p in part.properties):
            stopped = part.reason != "complete"
            parts.setdefault(_obstacle(part), []).append(f"{part.name} to {part.reach}" if stopped else part.name)
    told = [f"{WHY[why]} (explored: {', '.join(names)})" for why, names in parts.items()]
    if result.missing:
        told.append(f"not explored: {', '.join(result.missing)}")
    return "; ".join(told) or "nothing in this scope puts it to the test"


def _obstacle(part: PartResult) -> str:
    """A key of WHY."""
    if part.error:
        return "model error"
    if part.counterexamples:
        return "broken"
    return part.reason if part.reason in WHY else "complete"


def definitions(title: str, entries: Mapping[str, str], look: Look = PLAIN) -> str:
    """A titled list of names and what they mean."""
    return "\n".join([look.paint("strong", title), *look.definitions(entries), ""])
