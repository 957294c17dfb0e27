"""The areas that userfaultfds serve are looked for once, and again where that decides."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest

from pasidlab.live import served

_NEVER_TOUCHED = 1 << 40  # an address where nothing is in memory


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """One entry for each look; the last one added says where an area is, by its address."""
    made: list[set[int]] = [set()]

    def areas(pid: int) -> Iterator[tuple[int, int, frozenset[str]]]:
        made.append(made[-1])
        return iter([(start, start + mmap.PAGESIZE, frozenset(("um",))) for start in made[-1]])

    monkeypatch.setattr(served, "_areas", areas)
    return made


def test_many_accesses_look_once(looks: list[set[int]]) -> None:
    registered = served.Registered()
    assert {registered.reachable(os.getpid(), _NEVER_TOUCHED, 64, write=True) for _ in range(100)} == {64}
    assert len(looks) == 2


def test_an_area_that_is_registered_is_seen_and_one_that_is_gone_is_not(looks: list[set[int]]) -> None:
    registered = served.Registered()
    assert registered.reachable(os.getpid(), _NEVER_TOUCHED - 64, 128, write=True) == 128
    looks.append({_NEVER_TOUCHED})
    registered.forget()
    assert registered.reachable(os.getpid(), _NEVER_TOUCHED - 64, 128, write=True) == 64
    looks.append(set())
    assert registered.reachable(os.getpid(), _NEVER_TOUCHED - 64, 128, write=True) == 128
