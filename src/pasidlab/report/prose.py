"""A check as text for people elsewhere: a mail to the list, Markdown, and Mermaid sequence diagrams."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from pasidlab.checking.compare import NO_DIFFERENCE, state_of
from pasidlab.checking.result import CheckResult
from pasidlab.checking.wording import MARKS, no_mistake, parts_text, verdict_of
from pasidlab.errors import counted
from pasidlab.report.account import Account
from pasidlab.report.text import VerdictTable, comparison_text
from pasidlab.trace.columns import columns, trace_text
from pasidlab.trace.look import Look
from pasidlab.trace.steps import Counterexample
from pasidlab.trace.telling import Row, Telling, numbers
from pasidlab.version import VERSION

MAIL = Look(terminal=72)
"""What the list quotes without breaking lines (RFC 3676, section 4.2, asks for less than 80)."""
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
"""Characters that may mean something in Markdown (CommonMark, section 2.4), or in that of GitHub ($: mathematics)."""
QUIET = re.compile(r"[^\w .,()=/+'-]")
"""Characters that may mean something in a Mermaid text: ; and # end it, %%{ begins a directive, : may follow style or wrap, $$ is
mathematics, and < & are HTML."""


def results_mail(account: Account) -> str:
    """Plain text of at most 72 columns, to be put into a reply."""
    table = VerdictTable([result.design for result in account.results], MAIL, walked=any(result.walked for result in account.results))
    heading = table.heading()
    lines = [*([heading] if heading else []), *(table.row(result) for result in account.results)]
    blocks = ["\n".join(lines), *(result.text(look=MAIL) for result in account.results)]
    if account.comparison:
        blocks.append("\n".join(comparison_text(account.comparison, MAIL)))
    if account.missing:
        blocks.append("\n".join(MAIL.prose(f"Not explored: {', '.join(account.missing)}. {account.ended}")))
    blocks.append("\n".join(["-- ", *MAIL.prose(_made_by(account))]))
    return "\n\n".join(blocks) + "\n"


def results_markdown(account: Account) -> str:
    """Markdown with tables (GitHub's); traces are code."""
    blocks = ["\n".join(_verdicts(account))]
    if account.missing:
        blocks.append(f"Not explored: {', '.join(_plain(name) for name in account.missing)}. {_plain(account.ended)}")
    if account.comparison:
        rows = ["| property | before | after | the patch |", "| --- | --- | --- | --- |"]
        for one in account.comparison.properties:
            rows.append(f"| {_plain(one.name)} | {state_of(one.before)} | {state_of(one.after)} | {one.change.value} |")
        blocks += ["\n".join(rows), *([f"{NO_DIFFERENCE}."] if account.comparison.is_same else [])]
    for result in account.results:
        blocks += _section(result)
    return "\n\n".join([*blocks, _plain(_made_by(account))]) + "\n"


def results_mermaid(account: Account) -> str:
    """A sequence diagram of the shortest counterexample of each design; Mermaid has one diagram a file, so the first is drawn."""
    for result in account.results:
        for found in result.counterexamples:
            return "\n".join(_diagram(result, found)) + "\n"
    told = "; ".join(f"{result.design} {result.verdict}" for result in account.results)
    told = "; ".join([told, *(sentence for result in account.results for sentence in result.account)])
    return f"sequenceDiagram\n    participant C0 as CPU 0\n    Note over C0: {_message(f'no counterexample: {told}')}\n"


def _made_by(account: Account) -> str:
    return f"{shlex.join(account.command)} (pasidlab {VERSION})" if account.command else f"pasidlab {VERSION}"


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _verdicts(account: Account) -> Iterator[str]:
    yield "| design | verdict | states | depth | s | broken (steps) |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for r in account.results:
        broken = ", ".join(f"{_plain(c.property)} ({len(c.steps)})" for c in r.counterexamples) or "-"
        states = "-" if r.walked else f"{r.states:,}"
        yield f"| {_plain(r.design)} | {MARKS[r.verdict]} | {states} | {r.depth} | {r.seconds:.1f} | {broken} |"


def _section(result: CheckResult) -> Iterator[str]:
    yield f"## {_plain(result.design)}: {MARKS[result.verdict]}"
    if result.account:
        yield "\n".join(f"- {_plain(sentence)}" for sentence in result.account)
    yield _code("\n".join(parts_text(result.parts, result.missing)))
    rows = ["| property | verdict | witness |", "| --- | --- | --- |"]
    for p in result.properties:
        why = f": {result.why_not_settled(p.name)}" if p.holds is None else ""
        rows.append(f"| {_plain(p.name)} | {verdict_of(p)} | {_plain(result.put_to_the_test(p) + why)} |")
    yield "\n".join(rows)
    if result.evidence:
        rows = ["| evidence | part | mistake that is caught there | steps |", "| --- | --- | --- | ---: |"]
        rows += [
            f"| {_plain(e.property)} | {_plain(e.part)} | {_plain(e.mistake or no_mistake(e))} | {e.steps or ''} |"
            for e in result.evidence
        ]
        yield "\n".join(rows)
    if result.error:
        yield _plain(f"The check ended there, no verdict: {result.error}.")
    for found in result.counterexamples:
        yield f"### {_plain(found.property)}: {counted(len(found.steps), 'step')}"
        yield _code(trace_text(found, result.scope_of(found).cpus))


def _code(text: str) -> str:
    """A fenced block; its fence is longer than any in the text."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def _message(text: str) -> str:
    """The text with entities for what is not quiet."""
    return QUIET.sub(lambda found: f"#{ord(found.group())};", " ".join(text.split())) or "-"


def _diagram(result: CheckResult, found: Counterexample) -> Iterator[str]:
    """A participant for each CPU; what a step does is a message to itself, what it changes a note."""
    acting = columns(found, result.scope_of(found).cpus)
    yield "sequenceDiagram"
    length = counted(len(found.steps), "step")
    yield f"    title {_message(f'{result.design} breaks {found.property} in {length}')}"
    for cpu in acting:
        yield f"    participant C{cpu} as CPU {cpu}"
    looping = False
    for row in Telling(found, verbose=False).rows():
        if row.who[2] == "" and row.cpu is None:
            looping = True
            yield "    loop for ever"
        else:
            yield ("        " if looping else "    ") + _line(row, acting)
    if looping:
        yield "    end"
    over = f"C{acting[0]},C{acting[-1]}" if len(acting) > 1 else f"C{acting[0]}"
    yield f"    Note over {over}: {_message(f'VIOLATED {found.property}: {found.sentence}')}"


def _line(row: Row, acting: list[int]) -> str:
    if row.cpu is None:
        return f"Note over C{acting[0]}: {_message(row.text)}"
    if row.text.startswith("-> "):
        return f"Note right of C{row.cpu}: {_message(row.text.removeprefix('-> '))}"
    number = f"{numbers(row.steps)} " if row.steps else ""
    return f"C{row.cpu}->>C{row.cpu}: {_message(number + row.text)}"
