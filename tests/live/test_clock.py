"""The program's own time: what it works and sleeps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pasidlab.live import clock


@dataclass
class Host:
    """What the clock sees: seconds of the host, CPU time of process 7, and whether that sleeps."""

    time: float = 100.0
    used: float = 3.0
    sleeps: bool = True

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(clock, "time", made)
    monkeypatch.setattr(clock, "_cpu_time", lambda pid: made.used)
    monkeypatch.setattr(clock, "_sleeps", lambda pid: made.sleeps)
    return made


def test_work_counts_and_sleep_counts(host: Host) -> None:
    watched = clock.ProgramClock()
    watched.watch(7)
    host.used += 0.25
    assert watched.now() == 0.25
    host.time += 1
    assert watched.now() == 0.25  # whether it slept all the time is not known
    host.time += 1
    assert watched.now() == 1.25


def test_time_that_the_host_gives_to_others_does_not_count(host: Host) -> None:
    watched = clock.ProgramClock()
    watched.watch(7)
    host.sleeps = False
    for _ in range(4):
        host.time += 0.1
        assert watched.now() == 0


def test_a_process_that_is_stopped_does_not_stop_the_device(host: Host) -> None:
    watched = clock.ProgramClock()
    watched.watch(7)
    host.sleeps = False
    host.time += 0.6
    assert watched.now() == 0
    host.time += 0.25
    assert watched.now() == 0.25
    host.used += 0.5  # it goes on
    assert watched.now() == 0.75
    host.time += 0.25
    assert watched.now() == 0.75
