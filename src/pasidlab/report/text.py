"""Several results as text: the verdict table, and two of them compared."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from pasidlab.checking.compare import Comparison, Effect, state_of
from pasidlab.checking.result import CheckResult
from pasidlab.checking.wording import MARKS
from pasidlab.trace.look import PLAIN, VERDICTS, Look

MANNERS = {Effect.BETTER: "good", Effect.PROVED: "good", Effect.BROKEN: "bad", Effect.WORSE: "bad", Effect.OPEN: "open"}
BROKEN = "broken (steps of the shortest counterexample)"
FOUND = "broken (steps of the counterexample found)"
FIGURES = 28  # columns of states, depth and seconds, and the gap after them
LAST = 16  # columns that what is broken needs at least


class VerdictTable:
    """One row for each design; a terminal too narrow for that gets a few lines each."""

    def __init__(self, designs: Sequence[str], look: Look = PLAIN, *, walked: bool = False) -> None:
        """``walked``: random walks found what is broken, perhaps not in the fewest steps."""
        self.look, self.broken = look, FOUND if walked else BROKEN
        self.name = max([16, *(len(design) for design in designs)]) + 2
        self.left = self.name + 13 + FIGURES
        self.stacked = look.table is not None and look.table < self.left + LAST

    def heading(self) -> str:
        """The names of the columns; empty where there are none."""
        if self.stacked:
            return ""
        text = f"{'design':<{self.name}}{'verdict':<13}{'states':>13}{'depth':>6}{'s':>7}  "
        room = self.look.table is None or self.look.table >= self.left + len(self.broken)
        return self.look.paint("dim", text + (self.broken if room else "broken (steps)"))

    def row(self, result: CheckResult) -> str:
        """One design."""
        most = {True: "", False: "" if result.walked else "at most "}
        broken = ", ".join(f"{c.property} ({most[c.shortest]}{len(c.steps)})" for c in result.counterexamples) or "-"
        states = "-" if result.walked else f"{result.states:,}"
        manner, said = VERDICTS[result.verdict], MARKS[result.verdict]
        if self.stacked:
            figures = f"{states} states, depth {result.depth}, {result.seconds:.1f} s"
            title = self.look.titled(result.design, said, manner)
            lines = [*title, *self.look.prose(figures, "  ", "  ")]
            return "\n".join([*lines, *(self.look.prose(broken, "  ", "  ") if broken != "-" else [])])
        verdict = self.look.paint(manner, said) + " " * (13 - len(said))
        figures = f"{states:>13}{result.depth:>6}{result.seconds:>7.1f}  "
        return self._last(f"{result.design:<{self.name}}{verdict}{figures}", broken)

    def _last(self, text: str, last: str) -> str:
        """The last column goes on below itself where the terminal ends."""
        if self.look.table is None:
            return text + last
        lines = textwrap.wrap(last, self.look.table - self.left)
        return ("\n" + " " * self.left).join([text + lines[0], *lines[1:]])


def verdict_table(results: Sequence[CheckResult], look: Look = PLAIN) -> str:
    """The whole table."""
    table = VerdictTable([result.design for result in results], look, walked=any(result.walked for result in results))
    return "\n".join(line for line in (table.heading(), *(table.row(result) for result in results)) if line)


def comparison_text(comparison: Comparison, look: Look = PLAIN) -> list[str]:
    """Each property before and after, and what the patch did to it."""
    width = 26
    lines = [look.paint("dim", f"  {'property':<14}{'before':<{width}}{'after':<{width}}")]
    for one in comparison.properties:
        manner = MANNERS[one.change]
        lines.append(f"  {one.name:<14}{state_of(one.before):<{width}}{state_of(one.after):<{width}}{look.paint(manner, one.change.value)}")
    return [*lines, *(line for sentence in comparison.sentences() for line in look.prose(f"{sentence}.", "  ", "    "))]


def definitions(title: str, entries: Mapping[str, str], look: Look = PLAIN) -> str:
    """A titled list of names and what they mean."""
    return "\n".join([*(look.paint("strong", line) for line in look.prose(title)), *look.definitions(entries), ""])
