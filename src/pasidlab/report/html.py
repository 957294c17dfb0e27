"""A check as HTML, for notebooks: the verdict, property by property, and the traces."""

from __future__ import annotations

from html import escape

from pasidlab.checking.findings import CheckResult
from pasidlab.report.text import MARKS, put_to_the_test, verdict_of
from pasidlab.report.trace import trace_text

COLORS = {"holds": "#1a7f37", "violated": "#cf222e", "inconclusive": "#9a6700"}


def result_html(result: CheckResult) -> str:
    """A fragment without scripts or style sheets."""
    verdict = f'<b style="color:{COLORS[result.verdict]}">{MARKS[result.verdict]}</b>'
    scopes = "".join(f"<li><code>{escape(part.name)}</code>: {escape(str(part.scope))}</li>" for part in result.parts)
    rows = "".join(
        f"<tr><td>{escape(p.name)}</td><td>{escape(verdict_of(p))}</td><td>{escape(put_to_the_test(result, p))}</td></tr>"
        for p in result.properties
    )
    traces = "".join(
        f"<details{' open' if n == 0 else ''}><summary>{escape(c.property)}: {len(c.steps)} steps</summary>"
        f"<pre>{escape(trace_text(c, result.scope_of(c).cpus))}</pre></details>"
        for n, c in enumerate(result.counterexamples)
    )
    return (
        f"<div><p><code>{escape(result.design)}</code>: {verdict}, {result.states:,} states, {result.transitions:,} steps, "
        f"depth {result.depth}, {result.seconds:.1f} s</p><ul>{scopes}</ul>"
        f"<table><thead><tr><th>property</th><th>verdict</th><th>witness</th></tr></thead><tbody>{rows}</tbody></table>{traces}</div>"
    )
