"""What `pasidlab bench` measured as a picture (extra ``pasidlab[plot]``)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from pasidlab.checking.bench import Measurement
from pasidlab.errors import PasidlabError

_SIZE = 9.6, 4.2  # inches


def plotting() -> Any:
    """The plotting library. PasidlabError if it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PasidlabError("a picture needs matplotlib", hint="pip install 'pasidlab[plot]'") from None
    return Figure


def save_picture(measurements: Sequence[Measurement], name: str) -> None:
    """Draw seconds and bytes a state over the states, both axes logarithmic, into a file: SVG, PNG or PDF by its name. OSError."""
    figure = plotting()(figsize=_SIZE, layout="constrained")
    time, memory = figure.subplots(1, 2)
    for family, ours in _curves(measurements).items():
        time.plot([one.states for one in ours], [median(one.seconds) for one in ours], marker="o", label=f"pasidlab, {family}")
        memory.plot([one.states for one in ours], [one.bytes_per_state for one in ours], marker="o", label=f"pasidlab, {family}")
    markers = iter("sDv^<>Pp*h")
    for other in _others(measurements):
        marker = next(markers, "x")
        time.plot([other.states], [median(other.seconds)], marker, color="0.35", label=f"{other.contender}, {_family(other)}")
        if other.bytes_per_state:
            memory.plot([other.states], [other.bytes_per_state], marker, color="0.35")
    time.set(xscale="log", yscale="log", xlabel="states", ylabel="seconds")
    memory.set(xscale="log", yscale="log", xlabel="states", ylabel="bytes of memory a state")
    figure.legend(*time.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(name)


def _curves(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    curves: dict[str, list[Measurement]] = {}
    for one in measurements:
        if one.section == "growth":
            curves.setdefault(_family(one), []).append(one)
    return {family: sorted(ours, key=lambda one: one.states) for family, ours in curves.items()}


def _others(measurements: Sequence[Measurement]) -> list[Measurement]:
    return [one for one in measurements if one.section in ("engines", "kernel model") and not one.contender.startswith("pasidlab")]


def _family(one: Measurement) -> str:
    return one.work.split(",")[0]
