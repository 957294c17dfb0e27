"""What is left of an exploration, as the progress line tells it."""

import io
import sys

import numpy as np
import pytest

from pasidlab.commands import progress
from pasidlab.commands.progress import progress_text
from pasidlab.search.estimate import remaining
from pasidlab.search.result import Progress

HILL = [round(1_000_000 * float(np.exp(-(((n - 30) / 9) ** 2)))) for n in range(61)]  # states of each level


@pytest.mark.parametrize("done", [12, 20, 30, 40, 50])
def test_a_hill_is_foreseen(done):
    left = remaining(HILL[:done])
    assert left is not None
    assert left.states == pytest.approx(sum(HILL[done:]), rel=0.15)
    assert abs(left.levels - sum(size > 0 for size in HILL[done:])) <= 4


@pytest.mark.parametrize("levels", [[1], [2**n for n in range(20)], [5] * 20, [], HILL[:7]])
def test_no_end_in_sight(levels):
    assert remaining(levels) is None


def test_the_line():
    report = Progress(40, sum(HILL[:40]), 100_000, 2e6, 3_000_000_000, 12.3, tuple(HILL[:40]))
    text = progress_text(report)
    assert text.startswith("14,874,572 states, 2.00 M/s, depth 40, frontier 100,000, 3.00 GB, 12 s; estimate: ")
    assert text.endswith(" more levels, 1 s")
    assert progress_text(Progress(3, 90, 50, 0.0, 10**9, 2.5, (1, 2))).endswith("; no end in sight yet")


def test_long_ones_are_told_in_minutes_hours_and_days():
    ends = [progress_text(Progress(30, 1, 0, rate, 0, 3, tuple(HILL[:30]))).rsplit(", ", 1)[1] for rate in (1e6, 1e5, 1e3, 10)]
    assert ends == ["8 s", "85 s", "2 h", "10 days"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_for_each_design_being_explored(monkeypatch) -> None:
    screen, report = Terminal(), Progress(3, 90, 50, 0.0, 10**9, 2.5, (1, 2))
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.StatusLines() as shown:
        shown.update("early", "race", report)
        assert shown.lines == {}, "nothing in the first two seconds"
        shown.start -= progress.QUIET_SECONDS
        shown.update("early", "race", report)
        shown.update("task-work", "bind", report)
        assert [line.partition(":")[0] for line in shown.lines.values()] == ["early, race", "task-work, bind"]
        shown.stop("early")
        assert list(shown.lines) == ["task-work"]
    assert "task-work, bind" in screen.getvalue()


def test_progress_tells_of_disk_and_exchange() -> None:
    alone = Progress(3, 90, 50, 0.0, 10**9, 2.5, (1, 2))
    several = Progress(3, 90, 50, 0.0, 10**9, 2.5, (1, 2), disk=3 * 10**9, exchange=0.254)
    assert "1.00 GB, 2 s" in progress_text(alone)
    assert "1.00 GB and 3.00 GB of disk, 25% of the time in exchange, 2 s" in progress_text(several)
