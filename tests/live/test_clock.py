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


def test_who_yields_on_a_busy_host_does_not_stop_the_device(host: Host) -> None:
    watched = clock.ProgramClock()
    watched.watch(7)
    host.sleeps = False

    def pass_by(turns: int, work: float) -> float:
        began = watched.now()
        for _ in range(turns):
            host.time += 0.004
            host.used += work
            end = watched.now()
        return end - began

    assert pass_by(20, 1e-6) == pytest.approx(20e-6)
    pass_by(30, 1e-6)
    assert pass_by(10, 1e-6) == pytest.approx(0.04)
    assert pass_by(10, 1e-3) == pytest.approx(0.01)  # it works again: what the host does meanwhile does not count
    host.time += 10  # nobody asks
    host.used += 1e-3
    assert pass_by(10, 5e-5) == pytest.approx(0.0005)
