"""``pasidlab bench``: contenders are measured in turns, all in one run.

Rounds of the contenders alternate, so that what the machine does meanwhile concerns them all. A ratio is that of two contenders in the same
round; its spread is that over the rounds. What is measured is in ``bench_contests``.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Lap:
    """What one contender did in one round. ``memory`` in bytes, 0 where it is not known."""

    states: int
    seconds: float
    memory: int = 0


@dataclass(frozen=True)
class Contest:
    """Contenders for the same work, by their names; the first is what the others are compared with.

    If not ``compared`` they are sizes of one contender. ``counted``: states, or what a contender counts as long as it likes.
    """

    section: str
    work: str
    contenders: Mapping[str, Callable[[], Lap]]
    counted: str = "states"
    compared: bool = True


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another contender: the median of the rounds, the least and the most."""

    times: float
    least: float
    most: float


@dataclass(frozen=True)
class Measurement:
    """One contender in all rounds. ``ratio``: how many times as fast the first of its contest is; None for that one."""

    section: str
    work: str
    contender: str
    counted: str
    states: int
    seconds: tuple[float, ...]
    memory: int
    ratio: Ratio | None

    @property
    def rate(self) -> float:
        """States a second, the median of the rounds."""
        return self.states / median(self.seconds)

    @property
    def bytes_per_state(self) -> float | None:
        """Bytes of memory a state, where both are known."""
        return self.memory / self.states if self.memory and self.states else None

    def to_json(self) -> dict[str, Any]:
        """As `pasidlab bench --json` prints it."""
        ratio = self.ratio
        return {
            "section": self.section, "work": self.work, "contender": self.contender, "counted": self.counted, "states": self.states,
            "seconds": [_digits(one) for one in self.seconds], "rate": round(self.rate),
            "bytes_per_state": _digits(self.bytes_per_state) if self.bytes_per_state else None,
            "slower_than_the_first": {name: _digits(getattr(ratio, name)) for name in ("times", "least", "most")} if ratio else None,
        }  # fmt: skip


def measured(contests: Iterable[Contest], rounds: int) -> Iterator[Measurement]:
    """Every contender of every contest, as soon as its contest is through. Raises what a contender raises."""
    for contest in contests:
        outcomes: dict[str, list[Lap]] = {name: [] for name in contest.contenders}
        for _ in range(rounds):
            for name, run in contest.contenders.items():
                outcomes[name].append(run())
        first = next(iter(outcomes.values()))
        for name, done in outcomes.items():
            ratio = None if done is first or not contest.compared else _ratio(contest.counted, first, done)
            seconds, memory = tuple(one.seconds for one in done), max(one.memory for one in done)
            yield Measurement(contest.section, contest.work, name, contest.counted, done[0].states, seconds, memory, ratio)


def _ratio(counted: str, first: Sequence[Lap], other: Sequence[Lap]) -> Ratio:
    """By the time for the whole work; by the rate where as many as there was time for were counted."""
    pairs = list(zip(first, other, strict=True))
    if counted == "states":
        each = [there.seconds / here.seconds for here, there in pairs]
    else:
        each = [(here.states / here.seconds) / (there.states / there.seconds) for here, there in pairs]
    return Ratio(median(each), min(each), max(each))


def machine() -> dict[str, str]:
    """What it was measured on: words for people."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="backslashreplace") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return {
        "processor": model, "CPUs": str(len(os.sched_getaffinity(0))), "memory": f"{memory:.0f} GB",
        "huge pages": _huge_pages(), "kernel": platform.release(), "Python": platform.python_version(),
    }  # fmt: skip


def _huge_pages() -> str:
    try:
        told = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return "not known"
    return told[told.find("[") + 1 : told.find("]")]


def _digits(value: float) -> float:
    """To three significant digits."""
    return float(f"{value:.3g}")
