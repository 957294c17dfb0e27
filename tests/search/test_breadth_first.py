"""The search engine, on a hand-written successor function: exact counts, the same for any number of threads."""

import signal
import threading

import numpy as np
import pytest
from lazyreg_double import Double, lazyreg

from harness import some
from pasidlab.search.breadth_first import _Search, search
from pasidlab.search.result import Budget, Progress, SearchResult

STATES, TRANSITIONS, DEPTH = 39_886, 137_214, 25  # two tasks on two CPUs


def answers(result: SearchResult) -> tuple:
    """Everything that must not depend on the number of threads."""
    return (
        result.reason,
        result.states,
        result.transitions,
        result.level_sizes,
        result.depth_completed,
        result.reached,
        result.counters,
        result.violations,
        result.again,
        result.pending,
    )


def test_counts_of_the_small_scope():
    result = search(lazyreg(2))
    assert (result.reason, result.states, result.transitions, result.depth) == ("complete", STATES, TRANSITIONS, DEPTH)
    assert sum(result.level_sizes) == STATES and result.level_sizes[0] == 1
    assert result.depth_completed == result.depth
    assert result.reached == 1 and result.counters[0] > 0
    assert set(result.violations) == {3} and result.error is None


def test_counts_and_memory_of_the_large_scope():
    result = search(lazyreg(3))
    assert (result.states, result.transitions, result.depth) == (3_020_393, 12_993_552, 35)
    assert result.bytes_per_state <= 26


@pytest.mark.parametrize("words", some([1, 2, 3, 8], 4, [3]))
@pytest.mark.parametrize("bug", [False, True])
def test_same_answers_for_any_number_of_threads_and_words(words, bug):
    first, *others = [search(lazyreg(2, bug=bug, words=words), jobs=jobs) for jobs in (1, 2, 3, 64)]
    assert first.states == STATES or bug
    assert all(answers(other) == answers(first) for other in others)
    for p in range(64):
        count = int(first.store.parts[p, 1])
        assert all((other.store.run(p, 0, count) == first.store.run(p, 0, count)).all() for other in others)


def test_wide_states_keep_within_three_times_their_size():
    for words in (2, 3):
        result = search(lazyreg(3, words=words))
        assert (result.states, result.transitions) == (3_020_393, 12_993_552)
        assert result.bytes_per_state <= 3 * 8 * words


def test_the_seeded_bug_takes_twelve_steps():
    result = search(lazyreg(3, bug=True), stop_on=0b111)
    assert result.reason == "violation"
    assert min(result.violations[bit].steps for bit in (0, 1, 2) if bit in result.violations) == 12


def test_a_step_that_violates_counts_itself():
    violation = search(lazyreg(2)).violations[3]
    assert violation.by_step and violation.minimal
    assert violation.depth == violation.steps - 1


@pytest.mark.parametrize("most", [0, 1, 1_000, 20_000])
def test_max_states_stops_at_the_same_point_for_any_number_of_threads(most):
    first, *others = [search(lazyreg(2), jobs=jobs, budget=Budget(max_states=most)) for jobs in (1, 2, 3)]
    assert first.reason == "max_states"
    assert most <= first.states < STATES
    assert first.depth_completed < first.depth or first.states == 1
    assert all(answers(other) == answers(first) for other in others)


def test_max_states_stops_within_a_level():
    first, other = [search(lazyreg(3), jobs=jobs, budget=Budget(max_states=1_000_000)) for jobs in (1, 2)]
    assert first.reason == "max_states" and 1_000_000 <= first.states < 1_200_000
    assert answers(first) == answers(other)


def test_a_budget_that_suffices_does_not_stop_the_search():
    assert (
        search(lazyreg(2), budget=Budget(max_states=STATES + 1, timeout=1e6, max_memory=1 << 40)).reason == "complete"
    )


@pytest.mark.parametrize("most", [1 << 20, 8 << 20, 20 << 20])
def test_max_memory_is_never_exceeded(most):
    result = search(lazyreg(3), budget=Budget(max_memory=most))
    assert result.reason == "max_memory" and result.states < 3_020_393
    assert result.peak_bytes <= most


def test_the_end_of_the_machines_memory_is_an_end(monkeypatch):
    left = iter([1 << 40] * 20)
    monkeypatch.setattr("pasidlab.search.room._LOOK", 0.0)  # seconds: it is asked at every round
    monkeypatch.setattr("pasidlab.search.room.available_memory", lambda: next(left, 0))
    result = search(lazyreg(3))
    assert result.reason == "max_memory" and 0 < result.depth_completed < 35


def test_timeout():
    result = search(lazyreg(3), budget=Budget(timeout=0.0))
    assert (result.reason, result.states, result.depth_completed) == ("timeout", 1, -1)


def test_interrupt_returns_what_was_found(monkeypatch):
    monkeypatch.setattr("pasidlab.search.breadth_first._PROGRESS", 0.0)
    reports: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        reports.append(progress)
        if progress.depth == 20:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = search(lazyreg(2), progress=interrupt)
    assert result.reason == "interrupted"
    assert result.depth_completed == 20 and 0 < result.states < STATES
    assert signal.getsignal(signal.SIGINT) is before
    assert [report.depth for report in reports] == list(range(21))
    assert all(report.frontier > 0 and report.bytes > 0 and report.rate >= 0 for report in reports)


def test_an_interrupt_after_the_last_look_loses_nothing(monkeypatch):
    explore = _Search.explore

    def pressed(*arguments):
        reason = explore(*arguments)
        signal.raise_signal(signal.SIGINT)
        return reason

    monkeypatch.setattr(_Search, "explore", pressed)
    result = search(lazyreg(2))
    assert (result.reason, result.states) == ("interrupted", STATES)


def test_interrupt_by_exception_in_another_thread(monkeypatch):
    monkeypatch.setattr("pasidlab.search.breadth_first._PROGRESS", 0.0)

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    results = []
    thread = threading.Thread(target=lambda: results.append(search(lazyreg(2), progress=interrupt)))
    thread.start()
    thread.join()
    assert results[0].reason == "interrupted" and results[0].states == 1


def test_many_initial_states():
    everything = search(lazyreg(2))
    model = lazyreg(2)
    states = np.concatenate([view for depth in range(20) for view in everything.store.level(depth)])
    result = search(Double(1, states, model.max_successors, model.expand_address, 9, model))
    assert result.states == STATES and result.level_sizes[0] == len(states)
    assert result.depth == DEPTH - 19


def test_not_a_model():
    model = lazyreg(2)
    with pytest.raises(ValueError, match="2 words"):
        search(Double(2, model.initial, model.max_successors, model.expand_address, 9, model))
