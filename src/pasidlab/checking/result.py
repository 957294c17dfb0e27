"""What a check found over all parts of its scope, and how that shows itself: to a reader, in an assertion, in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pasidlab.checking.findings import Evidence, ModelError, PartResult, PropertyResult, VerdictWord, in_order
from pasidlab.checking.notebook import fragment
from pasidlab.checking.wording import MARKS, WHY, evidence_text, obstacle, parts_text, verdict_of
from pasidlab.designs import AnyScope
from pasidlab.designs.intake.judged import Judged
from pasidlab.errors import counted, printable
from pasidlab.trace.columns import trace_text
from pasidlab.trace.look import PLAIN, VERDICTS, Look, lines_of
from pasidlab.trace.steps import Counterexample

_MANNERS = {True: "good", None: "open", False: "bad"}
"""How a property is painted, by whether it holds."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found, over all parts of its scope."""

    design: str
    parts: tuple[PartResult, ...]
    unexecuted: tuple[tuple[str, int, str], ...] = ()  # lines of the design never executed: file, line, text
    missing: tuple[str, ...] = ()  # parts that were not explored: the check was interrupted, or ended in a model error
    evidence: tuple[Evidence, ...] = ()  # empty: none was looked for
    judged: Judged | None = None  # of a design out of C: what of the input is judged; None: all of it is

    @property
    def counterexamples(self) -> tuple[Counterexample, ...]:
        """The shortest counterexample found for each broken property, shortest first."""
        best: dict[str, Counterexample] = {}
        for found in (c for part in self.parts for c in part.counterexamples):
            if found.property not in best or len(found.steps) < len(best[found.property].steps):
                best[found.property] = found
        return in_order(best.values(), [p.name for p in self.parts[0].properties])

    @property
    def properties(self) -> tuple[PropertyResult, ...]:
        """Each property over all parts."""
        joined = tuple(_joined([part.properties[i] for part in self.parts]) for i in range(len(self.parts[0].properties)))
        return tuple(replace(p, holds=None) if self.missing and p.holds else p for p in joined)

    @property
    def verdict(self) -> VerdictWord:
        """``holds`` is a proof over every part.

        ``inconclusive``: a budget ran out, nothing that was asked for is put to the test, or something that matters is not judged.
        """
        if self.counterexamples:
            return "violated"
        if self.judged is not None and self.judged.open:
            return "inconclusive"
        return "holds" if self.whole and any(self.is_tested(p) for p in self.properties) else "inconclusive"

    @property
    def whole(self) -> bool:
        """True if every part was explored to its end."""
        return not self.missing and self.error is None and all(part.reason == "complete" for part in self.parts)

    def is_tested(self, p: PropertyResult) -> bool:
        """Whether a property is put to the test: a mistake breaks it in some part, or, where none was looked for, a step tries to."""
        known = [bool(one.mistake) for one in self.evidence if one.property == p.name]
        return any(known) if known else p.reached

    @property
    def account(self) -> tuple[str, ...]:
        """What was judged and what not, in sentences; empty for a design of Python."""
        if self.judged is None:
            return ()
        executed = frozenset[tuple[str, int]]().union(*(part.executed for part in self.parts))
        whole = self.whole
        executing = [one for one in self.judged.added if not (one.gone or (whole and executed.isdisjoint(one.lines)))]
        edited = frozenset[tuple[str, int]]().union(*(one.lines for one in executing))
        idle = [f"{file}:{line}" for file, line, _ in self.unexecuted if (file, line) in edited]
        return (*self.judged.sentences(), *([f"changed, but {self.not_executed}: {', '.join(idle)}"] if idle else []))

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        ended = self.parts[-1].reason
        return ended == "interrupted" or (bool(self.missing) and self.error is None and ended != "timeout")

    @property
    def holds(self) -> bool:
        """Proved over the scope."""
        return self.verdict == "holds"

    @property
    def states(self) -> int:
        """Distinct states of all parts; random walks store none."""
        return sum(part.states for part in self.parts)

    @property
    def walked(self) -> bool:
        """Whether random walks took the place of a search."""
        return any(part.walks for part in self.parts)

    @property
    def transitions(self) -> int:
        """Steps of all parts."""
        return sum(part.transitions for part in self.parts)

    @property
    def depth(self) -> int:
        """Largest distance from an initial state."""
        return max(part.depth for part in self.parts)

    @property
    def seconds(self) -> float:
        """Time spent exploring."""
        return sum(part.seconds for part in self.parts)

    def counterexample(self, name: str) -> Counterexample:
        """The counterexample for one property; KeyError if it is not violated."""
        for found in self.counterexamples:
            if found.property == name:
                return found
        raise KeyError(name)

    @property
    def error(self) -> ModelError | None:
        """The model error that ended the check, if any: what it found before is true all the same."""
        return next((part.error for part in self.parts if part.error), None)

    def scope_of(self, counterexample: Counterexample) -> AnyScope:
        """The scope of the part a counterexample was found in."""
        return next(part.scope for part in self.parts if counterexample in part.counterexamples)

    @property
    def unsettled(self) -> list[PropertyResult]:
        """The properties without a verdict that says anything: not settled, or all that was asked for and never put to the test."""
        return [p for p in self.properties if p.holds is None or (self.verdict == "inconclusive" and not self.is_tested(p))]

    def put_to_the_test(self, p: PropertyResult) -> str:
        """Whether a step tried to break a property. Only a search that was finished can say that none ever does."""
        if self.is_tested(p):
            return "put to the test"
        looked_for = [one for one in self.evidence if one.property == p.name]
        if looked_for:
            cut = not all(one.settled for one in looked_for)
            return "not put to the test so far: the search was cut" if cut else "not put to the test: no mistake that was tried breaks it"
        return "not put to the test so far" if p.holds is None else "never put to the test in this scope"

    def why_not_settled(self, name: str) -> str:
        """Why a property has no verdict, and what would give it one: the parts that have none, by their reason."""
        parts: dict[str, list[str]] = {}
        for part in self.parts:
            if any(p.name == name and p.holds is None for p in part.properties):
                stopped = part.reason != "complete" and not part.walks
                parts.setdefault(obstacle(part), []).append(f"{part.name} to {part.reach}" if stopped else part.name)
        told = [f"{WHY[why]} ({'walked' if why == 'simulated' else 'explored'}: {', '.join(names)})" for why, names in parts.items()]
        if self.missing:
            told.append(f"not explored: {', '.join(self.missing)}")
        return "; ".join(told) or "nothing in this scope puts it to the test"

    def account_text(self, look: Look = PLAIN) -> list[str]:
        """What of the input was judged and what not; nothing for a design of Python."""
        return [line for sentence in self.account for line in look.prose(f"{sentence}.", "  ", "    ")]

    @property
    def not_executed(self) -> str:
        """What is to be said of the lines that no step ran: a search that was cut may have missed them."""
        return "never executed" if self.whole else "not executed so far: the search did not finish"

    def text(self, *, verbose: bool = False, look: Look = PLAIN) -> str:
        """Everything about the design: parts, properties, counterexamples, what was not executed."""
        title = look.titled(self.design, MARKS[self.verdict], VERDICTS[self.verdict])
        head = [*title, *self.account_text(look)]
        blocks = [head, parts_text(self.parts, self.missing, look), self._properties_text(look)]
        if self.unexecuted:
            lines = [f"{printable(Path(f).name)}:{n}: {text}" for f, n, text in self.unexecuted]
            title = look.prose(f"Lines of the design {self.not_executed}:")
            blocks.append([*title, *(line for text in lines for line in look.prose(text, "  ", "      "))])
        if self.evidence:
            blocks.append(evidence_text(self.evidence, look))
        blocks += [[trace_text(c, self.scope_of(c).cpus, verbose=verbose, look=look)] for c in self.counterexamples]
        if self.error:
            where = f"{self.error.site.position}: {self.error}"
            what = look.prose("The check ended there: a later step is a mistake of the model or the design, no verdict.")
            blocks.append([*what, *look.prose(where, "  ", "  ")])
        return lines_of(blocks)

    def _properties_text(self, look: Look) -> list[str]:
        """Each property: holds or not, and whether anything put it to the test; then why some are not settled."""
        lines = []
        for p in self.properties:
            manner = _MANNERS[p.holds]
            name, verdict = (13, 22) if look.page >= 74 else (12, 21)
            if look.page >= 72 and len(p.name) <= name:
                lines.append(f"  {p.name:<{name}} {look.paint(manner, f'{verdict_of(p):<{verdict}}')} {self.put_to_the_test(p)}")
            else:
                lines += [look.paint(manner, line) for line in look.prose(f"{p.name}: {verdict_of(p)}", "  ", "    ")]
                lines += look.prose(self.put_to_the_test(p), "    ", "    ")
        for why in dict.fromkeys(self.why_not_settled(p.name) for p in self.properties if p.holds is None):
            lines += look.prose(f"Not settled: {why}.", "  ", "    ")
        return lines

    def __repr__(self) -> str:
        """One line: ``CheckResult('early', violated, 71,580 states, served in 60 steps)``."""
        found = [f"{self.states:,} states", *(f"{c.property} in {counted(len(c.steps), 'step')}" for c in self.counterexamples)]
        return f"CheckResult({self.design!r}, {', '.join((self.verdict, *found))})"

    def __str__(self) -> str:
        """What a failing assertion shows."""
        return self.text()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        what = "random walks" if self.walked else f"{self.states:,} states"
        found = f"{what}, {self.transitions:,} steps, depth {self.depth}, {self.seconds:.1f} s"
        scopes = [(part.name, str(part.scope)) for part in self.parts]
        rows = [(p.name, verdict_of(p), self.put_to_the_test(p)) for p in self.properties]
        traces = [(f"{c.property}: {len(c.steps)} steps", trace_text(c, self.scope_of(c).cpus)) for c in self.counterexamples]
        return fragment((self.design, self.verdict, found), scopes, rows, traces)


def _joined(parts: list[PropertyResult]) -> PropertyResult:
    steps = [p.steps for p in parts if p.steps is not None]
    unsettled = any(p.holds is None for p in parts)
    broken = any(p.holds is False for p in parts)
    holds = None if unsettled and not broken else not broken
    return PropertyResult(parts[0].name, holds, any(p.reached for p in parts), min(steps, default=None), parts[0].sentence)
