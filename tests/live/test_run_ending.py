"""How a program ended: its own status, whatever number it is, and signals by name."""

from __future__ import annotations

import signal

import pytest
from running import run

from harness import some
from pasidlab.live.ending import Ending, signal_name

pytestmark = pytest.mark.needs_run


@pytest.mark.parametrize("status", some([0, 1, 2, 127, 128, 129, 130, 139, 160, 193, 255], 4, [255]))
def test_every_status_is_told_as_a_status(status: int) -> None:
    done = run("/bin/sh", "-c", f"exit {status}")
    assert done.code == status and "Traceback" not in done.err, done.err
    assert done.err.startswith(f"pasidlab run: exit status {status}, "), done.err
    assert (done.report["exit"], done.report["signal"]) == (status, None)


@pytest.mark.parametrize(
    ("number", "name"),
    some([(1, "SIGHUP"), (2, "SIGINT"), (9, "SIGKILL"), (6, "SIGABRT"), (34, "SIGRTMIN"), (64, "SIGRTMAX"), (37, "SIGRTMIN+3")], 3),
)
def test_every_signal_is_told_by_its_name(number: int, name: str) -> None:
    done = run("/bin/sh", "-c", f"kill -{number} $$")
    assert done.code == 128 + number and done.err.startswith(f"pasidlab run: killed by {name}, "), done.err
    assert (done.report["exit"], done.report["signal"]) == (128 + number, name)


def test_a_status_and_a_signal_of_the_same_number_differ() -> None:
    exited, killed = Ending(139 << 8), Ending(signal.SIGSEGV)
    assert (exited.code, killed.code) == (139, 139)
    assert (exited.words, killed.words) == ("exit status 139", "killed by SIGSEGV")


def test_every_number_has_a_name() -> None:
    names = [signal_name(number) for number in range(1, 65)]
    assert len(set(names)) == 64 and names[31:33] == ["signal 32", "signal 33"]
