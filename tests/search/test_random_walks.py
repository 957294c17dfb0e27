"""Random walks through a hand-written successor function: what they find, how short it is, that a seed says which."""

import os
import signal
import threading

import pytest
from walk_double import DIGITS, lock

from pasidlab.search.result import Walked
from pasidlab.search.simulate import STEPS_AFTER_VIOLATION, WalkResult, Walks, _Walker, simulate

GROUPS = [[digit, DIGITS] for digit in range(DIGITS)]
SEVERAL = 0b11


def answers(result: WalkResult) -> tuple:
    """All but the seconds."""
    return result.reason, result.walks, result.steps, result.longest, result.reached, result.counters, result.ways, result.error


def test_the_lock_is_opened_and_no_step_is_left_that_is_not_needed():
    found = simulate(lock(), Walks(60, 1, SEVERAL), GROUPS)
    assert found.reason == "simulated" and found.error is None and found.reached == 1 and found.counters[0] > 0
    assert found.ways[0].labels == (3, 1, 4, 1, 5, 9) and not found.ways[0].by_step
    assert found.ways[0].states == ((0,), (1000,), (2000,), (3000,), (4000,), (5000,), (6000,))
    assert found.ways[1].labels == (3, 1, 4, 1, 5) and found.ways[1].by_step
    assert found.ways[0].steps == found.ways[1].steps == 6
    assert found.longest <= 2048


def test_the_walks_end_some_steps_after_what_was_wanted():
    found = simulate(lock(), Walks(60, 1, 0b1), GROUPS)
    assert STEPS_AFTER_VIOLATION < found.steps < STEPS_AFTER_VIOLATION + 100_000


def test_what_nobody_asked_for_does_not_end_them():
    found = simulate(lock(), Walks(1.5, 1, 0b100), GROUPS)
    assert set(found.ways) == {0, 1} and found.seconds >= 1.5


def test_one_thread_does_the_same_each_time_and_another_seed_other_things():
    first, again, other = (simulate(lock(), Walks(60, seed, SEVERAL), GROUPS) for seed in (7, 7, 8))
    assert answers(first) == answers(again)
    assert first.counters != other.counters and first.ways == other.ways


def test_several_threads_find_it_as_well():
    found = simulate(lock(), Walks(60, 1, SEVERAL), GROUPS, jobs=3)
    assert found.ways[0].labels == (3, 1, 4, 1, 5, 9)
    assert found.steps > STEPS_AFTER_VIOLATION


def test_a_mistake_of_the_model_is_found():
    found = simulate(lock(fails=True), Walks(1, 1, 0), GROUPS)
    assert found.reason == "simulated" and found.error is not None and found.error.labels == (3, 1, 4, 1, 5)


def test_ctrl_c_after_the_last_look_loses_no_walks(monkeypatch):
    run = _Walker.run

    def pressed(*arguments):
        run(*arguments)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_Walker, "run", pressed)
    monkeypatch.setattr("pasidlab.search.simulate._LOOK", 0.3)
    found = simulate(lock(), Walks(0.1, 1, 0), GROUPS)
    assert found.reason == "interrupted" and found.ways


@pytest.mark.parametrize("flag", [False, True])
def test_ctrl_c_ends_the_walks(flag):
    event = threading.Event()
    reports: list[Walked] = []

    def press(report: Walked) -> None:
        reports.append(report)
        event.set() if flag else os.kill(os.getpid(), signal.SIGINT)

    found = simulate(lock(), Walks(60, 1, 0), GROUPS, progress=press, interrupted=event if flag else None)
    assert found.reason == "interrupted" and found.seconds < 50 and found.ways
    assert reports[0].walks > 0 and reports[0].rate > 0 and 0 < reports[0].left < 60
