"""A result as HTML, for notebooks: the verdict, property by property, and the traces."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pasidlab.checking.findings import VerdictWord
from pasidlab.checking.wording import MARKS

COLORS = {"holds": "#1a7f37", "violated": "#cf222e", "inconclusive": "#9a6700"}


def fragment(
    head: tuple[str, VerdictWord, str], scopes: Sequence[tuple[str, str]], properties: Sequence[tuple[str, str, str]],
    traces: Sequence[tuple[str, str]],
) -> str:  # fmt: skip
    """A fragment without scripts or style sheets.

    ``head`` is the design, its verdict and the figures of the search. ``scopes`` are the parts and what each has, ``properties`` rows of
    name, verdict and witness, ``traces`` counterexamples with their titles.
    """
    design, found, figures = head
    verdict = f'<b style="color:{COLORS[found]}">{MARKS[found]}</b>'
    listed = "".join(f"<li><code>{escape(name)}</code>: {escape(scope)}</li>" for name, scope in scopes)
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in properties)
    shown = "".join(
        f"<details{' open' if n == 0 else ''}><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"
        for n, (title, text) in enumerate(traces)
    )
    return (
        f"<div><p><code>{escape(design)}</code>: {verdict}, {escape(figures)}</p><ul>{listed}</ul>"
        f"<table><thead><tr><th>property</th><th>verdict</th><th>witness</th></tr></thead><tbody>{rows}</tbody></table>{shown}</div>"
    )
