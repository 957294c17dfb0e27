"""The loop that waits for the program's threads: the order in which it deals with what they do."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pasidlab.live.loop import EventLoop

STOP, DEATH = 5 << 8 | 0x7F, 3 << 8


def test_the_dead_come_first_and_stop_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have their numbers by the time that a stop is dealt with."""
    told: Iterator[tuple[int, int]] = iter([(7, STOP), (8, STOP), (9, STOP), (8, DEATH), (10, DEATH), (10, STOP), (0, 0)])
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "waitpid", lambda who, how: next(told))
    EventLoop().run(lambda tid, status: found.append((tid, status)), lambda: len(found) < 5)
    assert found == [(8, DEATH), (10, DEATH), (7, STOP), (9, STOP), (10, STOP)]
