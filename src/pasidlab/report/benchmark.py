"""What `pasidlab bench` measured, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from pasidlab.checking.bench import Measurement, Ratio

SECTIONS = {
    "growth": "As models grow",
    "engines": "The same model in other engines",
    "kernel model": "The exported model of a design in SPIN",
    "reductions": "What each reduction is worth",
    "limit": "This machine's limit",
}
_COLUMNS = ("contender", "states", "seconds", "a second", "bytes a state", "the first is faster by")

_HEAD = """\
# How fast the search is

`pasidlab bench` measured this, in one run. Contenders for the same work take turns. Seconds are the median of the rounds. The last column
says how many times as fast the first line of its table is: the median of the rounds, with the least and the most. Compare these
ratios, and not seconds of different machines. `--rounds N` makes them surer; `--quick` takes some seconds, and its ratios are worth little.
SPIN goes depth first on exported models: it refuses -DBFS there, because they have `hidden` variables.
"""


def title(one: Measurement) -> str:
    """The heading of a measurement's contest."""
    return f"{SECTIONS[one.section]}: {one.work}"


def column_names() -> str:
    """The columns of a terminal's table."""
    return _line(_COLUMNS)


def line(one: Measurement) -> str:
    """One contender, for a terminal."""
    return _line(_cells(one))


def markdown(machine: Mapping[str, str], measurements: Sequence[Measurement], missing: Iterable[str], picture: str = "") -> str:
    """The whole as a page, its tables contest by contest. ``picture``: where one of them is, as seen from the page."""
    lines = [_HEAD, "| machine | |", "|---|---|", *(f"| {name} | {value} |" for name, value in machine.items())]
    lines += [f"\nNot measured: {one}." for one in missing]
    if picture:
        lines.append(f"\n![Seconds and bytes a state over the states, both logarithmic]({picture})")
    section = work = ""
    for one in measurements:
        if one.section != section:
            section, work = one.section, ""
            lines.append(f"\n## {SECTIONS[section]}")
        if one.work != work:
            work = one.work
            lines += ["", f"{work}:", "", f"| {' | '.join(_columns(one))} |", "|---" * len(_COLUMNS) + "|"]
        lines.append(f"| {' | '.join(_cells(one))} |")
    return "\n".join(lines) + "\n"


def _columns(one: Measurement) -> Iterator[str]:
    yield from (one.counted if name == "states" else name for name in _COLUMNS)


def _cells(one: Measurement) -> tuple[str, ...]:
    size = f"{one.bytes_per_state:,.1f}" if one.bytes_per_state else "-"
    return one.contender, f"{one.states:,}", f"{median(one.seconds):.3g}", f"{one.rate:,.0f}", size, _shown(one.ratio)


def _shown(ratio: Ratio | None) -> str:
    if ratio is None:
        return "-"
    spread = f" ({ratio.least:.3g} to {ratio.most:.3g})" if ratio.least != ratio.most else ""
    return f"{ratio.times:.3g}{spread}"


def _line(cells: Iterable[str]) -> str:
    first, *numbers, last = cells
    return f"  {first:<44}" + "".join(f"{number:>14}" for number in numbers) + f"   {last}"
