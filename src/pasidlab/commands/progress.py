"""Progress of a long exploration, on a terminal only: rate, depth, frontier, memory."""

from __future__ import annotations

import sys
import time
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

    from pasidlab.search.result import Progress, Walked

QUIET_SECONDS = 2.0


class StatusLines:
    """Status lines on stderr, one for each design being explored, once that has taken QUIET_SECONDS."""

    def __init__(self) -> None:
        self.status: Status | None = None
        self.lines: dict[str, str] = {}
        self.start = time.monotonic()
        self.lock = Lock()  # reports of other processes come in a thread of their own

    def __enter__(self) -> StatusLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self, design: str = "") -> None:
        """Take the lines away, before something else is printed; the next report brings them back, but not that of ``design``."""
        with self.lock:
            for key in [key for key in self.lines if key == design or key.startswith(f"{design} ")]:
                del self.lines[key]
            if self.status:
                self.status.stop()
                self.status = None

    def update(self, design: str, part: str, report: Progress | Walked) -> None:
        """One report of the engine."""
        self._show(design, f"{design}, {part}: {progress_text(report)}")

    def tried(self, design: str, part: str, mistake: str) -> None:
        """A mistake of the kernel is tried in a part."""
        self._show(f"{design} {part}", f"{design}, {part}: is it caught? {mistake}")

    def _show(self, key: str, line: str) -> None:
        if time.monotonic() - self.start < QUIET_SECONDS or not sys.stderr.isatty():
            return
        with self.lock:
            self.lines[key] = line
            text = "\n".join(self.lines.values())
            if self.status is None:
                from rich.console import Console

                self.status = Console(stderr=True).status(text)
                self.status.start()
            self.status.update(text)


def progress_text(report: Progress | Walked) -> str:
    """Where a search is, and a guess at what is left; or where random walks are."""
    from pasidlab.search.result import Walked

    if isinstance(report, Walked):
        broken = f", broken: {report.broken}" if report.broken else ""
        return f"{report.walks:,} walks, {report.steps:,} steps, {report.rate / 1e6:.2f} M/s{broken}; {report.left:.0f} s left"
    disk = f" and {report.disk / 1e9:.2f} GB of disk" if report.disk else ""
    exchange = f"{report.exchange:.0%} of the time in exchange, " if report.exchange is not None else ""
    return (
        f"{report.states:,} states, {report.rate / 1e6:.2f} M/s, depth {report.depth}, frontier {report.frontier:,}, "
        f"{report.bytes / 1e9:.2f} GB{disk}, {exchange}{report.elapsed:.0f} s{_estimate(report)}"
    )


def _estimate(report: Progress) -> str:
    """The level at hand, and the levels after it as their trend has it."""
    from pasidlab.search.estimate import remaining

    left = remaining(report.levels)
    if left is None or report.rate <= 0:
        return "; no end in sight yet"
    return f"; estimate: {left.levels} more levels, {_duration((report.frontier + left.states) / report.rate)}"


def _duration(seconds: float) -> str:
    """To one figure or two: it is a guess."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
