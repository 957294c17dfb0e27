"""How a program ended: its own status, whatever number it is, and signals by name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running import HERE, RUN, run

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


FREEZER = Path("/sys/fs/cgroup/freezer")


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A cgroup that can hold processes (cgroup-v1/freezer-subsystem.rst). SIGKILL does not reach what it holds."""
    if not os.access(FREEZER / "cgroup.procs", os.W_OK) or not shutil.which("gcc"):
        pytest.skip("needs a freezer of cgroup version 1, and gcc")
    place = FREEZER / f"pasidlab-test-{os.getpid()}"
    place.mkdir()
    try:
        yield place
    finally:
        (place / "freezer.state").write_text("THAWED")
        end = time.monotonic() + 20
        while (place / "cgroup.procs").read_text() and time.monotonic() < end:
            time.sleep(0.01)
        place.rmdir()


@pytest.mark.parametrize("how", ["auto", "redirect"])
@pytest.mark.parametrize(
    ("who", "number"),
    [("child", signal.SIGTERM), ("child", signal.SIGINT), ("first", signal.SIGTERM), ("first", signal.SIGHUP)],
)
def test_a_process_that_cannot_die_keeps_no_run(who: str, number: signal.Signals, how: str, freezer: Path, tmp_path: Path) -> None:
    program, place = tmp_path / "frozen", tmp_path / "place"
    place.mkdir()
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, HERE / "programs/frozen.c"], check=True)
    line = [sys.executable, "-c", RUN, "--summary", "none", "--isolation", how, "--", program, who, freezer]
    around, told = {**os.environ, "TMPDIR": str(place)}, tmp_path / "told"
    with (
        told.open("w") as errors,
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, env=around) as started,
    ):
        assert started.stdout
        held = started.stdout.readline().strip()
        began = time.monotonic()
        os.killpg(started.pid, number)
        assert started.wait(20) == 128 + number and time.monotonic() - began < 4  # two, on a machine that has nothing else to do
        assert f"killed and still there, frozen or held in the kernel: process {held};" in told.read_text()
        assert os.path.exists(f"/proc/{held}") and os.listdir(place) == []
        (freezer / "freezer.state").write_text("THAWED")
        end = time.monotonic() + 20
        while os.path.exists(f"/proc/{held}") and time.monotonic() < end:
            time.sleep(0.01)
        assert not os.path.exists(f"/proc/{held}")


@pytest.mark.needs_run
def test_a_signal_while_what_others_have_left_is_removed_is_no_system_call_that_lasts(tmp_path: Path) -> None:
    slow = f"import time\nfrom pasidlab.live import owned\nowned.sweep = lambda: time.sleep(60)\n{RUN}"
    line = [sys.executable, "-c", slow, "--summary", "none", "--isolation", "redirect", "--", "/bin/sh", "-c", "echo $$"]
    around = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=around) as started:
        assert started.stdout
        program = started.stdout.readline().strip()
        while os.path.exists(f"/proc/{program}"):
            time.sleep(0.001)
        started.send_signal(signal.SIGTERM)
        assert "a system call" not in started.communicate(timeout=20)[1] and os.listdir(tmp_path) == []
