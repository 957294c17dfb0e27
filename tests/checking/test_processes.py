"""Work side by side: results in order, reports, errors with their place, Ctrl-C, a process that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from pasidlab.checking.processes import side_by_side
from pasidlab.errors import PasidlabError, Position


def squared(number, report, interrupted):
    if interrupted.is_set():
        return None
    time.sleep(0.2 if number == 0 else 0)
    report("squared", number)
    return number * number


def until_interrupted(answer, report, interrupted):
    report("begun")
    limit = time.monotonic() + 30
    while not interrupted.is_set() and time.monotonic() < limit:
        time.sleep(0.01)
    return answer


def test_results_in_order_and_all_reports() -> None:
    reports = []
    found = list(side_by_side([partial(squared, n) for n in range(20)], 2, lambda *r: reports.append(r)))
    assert found == [n * n for n in range(20)]
    assert sorted(reports) == [("squared", n) for n in range(20)]


def test_an_error_keeps_its_place_and_what_came_before() -> None:
    def wrong(report, interrupted):
        raise PasidlabError("no", hint="yes", position=Position("f.py", 3))

    found = side_by_side([partial(squared, 2), wrong, partial(squared, 3)], 2)
    assert next(found) == 4
    with pytest.raises(PasidlabError) as error:
        next(found)
    assert (error.value.what, error.value.hint, error.value.position) == ("no", "yes", Position("f.py", 3))


def test_ctrl_c_ends_those_that_run_and_begins_no_other() -> None:
    begun = []

    def press(*report):
        begun.append(report)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    tasks = [partial(until_interrupted, n) for n in ("first", "second")] + [partial(squared, 7)] * 6
    found = list(side_by_side(tasks, 2, press))
    assert found == ["first", "second"] and begun == [("begun",)] * 2


def test_ctrl_c_before_there_is_anything() -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(side_by_side([partial(until_interrupted, None)], 1))


def test_a_killed_process_is_an_error_not_a_traceback() -> None:
    def killed(report, interrupted):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(PasidlabError, match="a process was killed"):
        list(side_by_side([killed], 1))


def test_a_reader_that_stops_ends_the_others() -> None:
    found = side_by_side([partial(squared, 5), partial(until_interrupted, 1)], 2)
    assert next(found) == 25
    start = time.monotonic()
    found.close()
    assert time.monotonic() - start < 20


ENDLESS = """
import os, sys, time
from functools import partial
from pasidlab.checking.processes import side_by_side


def endless(report, interrupted):
    os.write(1, b"%d\\n" % os.getpid())  # print() may write the number and the end of the line apart
    time.sleep(60)


list(side_by_side([endless, endless], 2))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_processes_die_with_their_parent(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(os.path.exists(f"/proc/{pid}") for pid in children)
        parent.send_signal(number)
        assert parent.wait(10) == -number
        limit = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{pid}") for pid in children) and time.monotonic() < limit:
            time.sleep(0.1)
        assert not any(os.path.exists(f"/proc/{pid}") for pid in children)


OTHER = """
from pathlib import Path
from pasidlab.checking.children import run_child

run_child(["sh", "-c", "echo $$ > child; exec sleep 60"], Path({folder!r}))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_other_programs_die_with_pasidlab(tmp_path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", OTHER.format(folder=str(tmp_path))]) as parent:
        child = awaited(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
        assert os.path.exists(f"/proc/{child}")
        parent.send_signal(number)
        assert parent.wait(10) == -number
        assert awaited(lambda: not os.path.exists(f"/proc/{child}"))


def awaited(what):
    """What a function gives, once that is true; within 10 seconds."""
    limit = time.monotonic() + 10
    while not (found := what()) and time.monotonic() < limit:
        time.sleep(0.05)
    return found
