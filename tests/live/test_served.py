"""The areas that userfaultfds serve are looked for once, and again where that decides."""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Callable, Hashable, Iterator

import pytest

from pasidlab.errors import PasidlabError
from pasidlab.live import served, workers
from pasidlab.live.emulate import Fault, general_protection
from pasidlab.live.libc import leave_descriptors
from pasidlab.live.loop import EventLoop

_NEVER_TOUCHED = 1 << 40  # an address where nothing is in memory


class _AtOnce(served.Patient):
    def call(self, work: Callable[[], int], begins: Callable[[], bool] = lambda: True, place: Hashable = None) -> int:
        return work()


AT_ONCE = _AtOnce(EventLoop())


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """One entry for each look; the last one added says where an area is, by its address."""
    made: list[set[int]] = [set()]

    def areas(pid: int) -> Iterator[tuple[int, int, frozenset[str]]]:
        made.append(made[-1])
        ordinary = (0, mmap.PAGESIZE, frozenset(("rd",)))
        return iter([ordinary, *((start, start + mmap.PAGESIZE, frozenset(("um",))) for start in made[-1])])

    monkeypatch.setattr(served, "_areas", areas)
    return made


def test_many_accesses_look_once(looks: list[set[int]]) -> None:
    registered = served.Registered()
    assert {registered.reachable(AT_ONCE, os.getpid(), range(_NEVER_TOUCHED, _NEVER_TOUCHED + 64), write=True) for _ in range(100)} == {64}
    assert len(looks) == 2


def test_a_process_without_memory_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has just ended: another task that has the memory is asked next."""
    told = [[], [(_NEVER_TOUCHED, _NEVER_TOUCHED + mmap.PAGESIZE, frozenset(("um",)))]]
    monkeypatch.setattr(served, "_areas", lambda pid: iter(told.pop(0)))
    registered = served.Registered()
    assert [registered.reachable(AT_ONCE, os.getpid(), range(_NEVER_TOUCHED, _NEVER_TOUCHED + 64), write=True) for _ in range(2)] == [64, 0]


def test_an_area_that_is_registered_is_seen_and_one_that_is_gone_is_not(looks: list[set[int]]) -> None:
    registered = served.Registered()
    assert registered.reachable(AT_ONCE, os.getpid(), range(_NEVER_TOUCHED - 64, _NEVER_TOUCHED + 64), write=True) == 128
    looks.append({_NEVER_TOUCHED})
    registered.forget()
    assert registered.reachable(AT_ONCE, os.getpid(), range(_NEVER_TOUCHED - 64, _NEVER_TOUCHED + 64), write=True) == 64
    looks.append(set())
    assert registered.reachable(AT_ONCE, os.getpid(), range(_NEVER_TOUCHED - 64, _NEVER_TOUCHED + 64), write=True) == 128


def test_a_call_fails_where_there_can_be_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    assert served.Patient(EventLoop()).call(lambda: 7) == -1
    with pytest.raises(PasidlabError, match="no more threads"):
        workers.start_thread(lambda: None, "one", lambda function: None)


def test_a_thread_that_may_be_kept_for_ever_keeps_no_file_open() -> None:
    found: list[int] = []
    reader, writer = os.pipe()

    def looks() -> None:
        leave_descriptors()
        try:
            os.fstat(writer)
        except OSError as error:
            found.append(error.errno)

    thread = workers.start_thread(looks, "one", lambda function: None)
    thread.join()
    os.fstat(writer)  # it is still ours
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert found == [errno.EBADF]


def test_a_call_that_is_given_up_is_not_made_beside_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often its thread has something else to do."""
    monkeypatch.setattr(os, "waitpid", lambda who, how: (0, 0))
    loop, page, begun, heard = EventLoop(), threading.Event(), [0], list[int]()
    patient = served.Patient(loop)

    def waits() -> int:
        begun[0] += 1
        page.wait()
        return begun[0]

    def handler() -> None:
        for _ in range(3):
            with patient.interruptible(lambda: True), pytest.raises(served.Interrupted):
                patient.call(waits, place="page")
        loop.post(page.set)
        with patient.interruptible(lambda: False):
            heard.append(patient.call(waits, place="page"))

    loop.post(handler)
    loop.run(lambda tid, status: None, lambda: not heard)
    assert heard == [2]


def test_a_fault_of_an_instruction_passes_through_what_may_be_given_up() -> None:
    with pytest.raises(Fault, match="unaligned"), served.Patient(EventLoop()).interruptible(lambda: False):
        raise general_protection("unaligned")
