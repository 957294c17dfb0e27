"""Progress of a long exploration, on a terminal only: rate, depth, frontier, memory."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

    from pasidlab.check.result import Progress as Report

QUIET_SECONDS = 2.0


class Progress:
    """Shows a status line on stderr once an exploration has taken QUIET_SECONDS."""

    def __init__(self) -> None:
        self.status: Status | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.status:
            self.status.stop()

    def update(self, design: str, part: str, report: Report) -> None:
        """One report of the engine."""
        if report.elapsed < QUIET_SECONDS or not sys.stderr.isatty():
            return
        text = (
            f"{design}, {part}: {report.states:,} states, {report.rate / 1e6:.2f} M/s, depth {report.depth}, "
            f"frontier {report.frontier:,}, {report.bytes / 1e9:.2f} GB, {report.elapsed:.0f} s{_estimate(report)}"
        )
        if self.status is None:
            from rich.console import Console

            self.status = Console(stderr=True).status(text)
            self.status.start()
        self.status.update(text)


def _estimate(report: Report) -> str:
    """What the level at hand still takes; how many levels follow nobody knows."""
    return f", this level {report.frontier / report.rate:.0f} s more" if report.rate > 0 else ""
