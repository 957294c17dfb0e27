"""The loop that waits for the program's threads: the order in which it deals with what they do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
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


def _hears(wanted: int, disturb: str, busy: bool) -> None:
    """In a process of its own: exit status 0 if a loop that is disturbed at every turn hears a signal within 5 seconds."""
    heard: list[int] = []
    end = time.monotonic() + 5
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGURG, wanted})
    os.waitpid = lambda who, how: (0, 0)
    loop = EventLoop({wanted})
    loop.on_signal = heard.append
    os.kill(os.getpid(), wanted)

    def alive() -> bool:
        if disturb == "a post":
            signal.pthread_kill(threading.get_ident(), signal.SIGURG)
        else:
            os.kill(os.getpid(), signal.SIGCHLD)
        if busy:
            loop.post(lambda: None)
        return not heard and time.monotonic() < end

    loop.run(lambda tid, status: None, alive)
    sys.exit(heard != [wanted])


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize(("wanted", "disturb"), [(signal.SIGTERM, "a post"), (signal.SIGCONT, "a stop"), (signal.SIGTSTP, "a stop")])
def test_a_signal_is_heard_whatever_the_program_does(wanted: int, disturb: str, busy: bool) -> None:
    """SIGURG comes with each post, for this thread alone, and SIGCHLD with each stop. sigtimedwait(2) takes both before the signal."""
    process = multiprocessing.get_context("forkserver").Process(target=_hears, args=(wanted, disturb, busy))
    process.start()
    process.join()
    assert process.exitcode == 0
