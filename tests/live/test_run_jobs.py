"""Job control: what a shell sees of a run, and what the terminal's signals do to it."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import HERE, RUN

pytestmark = pytest.mark.needs_run

_RUN = (sys.executable, "-c", RUN, "--summary", "none")


class Job:
    """A command on a terminal of its own, under a shell (``job_shell``)."""

    def __init__(self, terminal: int, says: int, hears: int) -> None:
        self._terminal, self._says, self._hears = terminal, says, hears
        self._shown = ""
        self.group = int(self.becomes())

    def types(self, text: str) -> None:
        """At the keyboard."""
        os.write(self._terminal, text.encode())

    def continued(self, where: str) -> None:
        """By the shell, in the foreground (fg) or in the background (bg), or not (wait)."""
        os.write(self._hears, f"{where}\n".encode())

    def shows(self, text: str) -> str:
        """Waits until the terminal shows that, behind what was waited for before; what comes before it."""
        while text not in self._shown:
            assert select.select([self._terminal], [], [], 30)[0], self._shown
            self._shown += os.read(self._terminal, 4096).decode()
        before, _, self._shown = self._shown.partition(text)
        return before

    def forgets(self) -> None:
        """What it has shown so far is not waited for."""
        self._shown = ""
        while select.select([self._terminal], [], [], 0)[0]:
            os.read(self._terminal, 4096)

    def pid(self) -> int:
        """What the program says first: its number."""
        return int(self.shows("\n"))

    def works(self) -> None:
        """Waits until the program has worked for some time."""
        for _ in range(10):
            self.shows(".")

    def becomes(self) -> str:
        """What the shell sees next of the job."""
        assert select.select([self._says], [], [], 30)[0], self._shown
        return os.read(self._says, 100).decode().rstrip("\n")

    def stops_and_goes_on(self) -> None:
        """Ctrl-Z stops it, and ``fg`` lets it go on."""
        self.types("\x1a")
        assert self.becomes() == f"stopped by {int(signal.SIGTSTP)}"
        self.continued("fg")
        assert self.becomes() == "goes on"


@contextlib.contextmanager
def job(*command: str, where: str = "fg") -> Iterator[Job]:
    """A job that is killed afterwards."""
    terminal, theirs = pty.openpty()
    (says, to_say), (to_hear, hears) = os.pipe(), os.pipe()
    words = [sys.executable, str(HERE / "job_shell.py"), str(to_say), str(to_hear), where, *command]
    shell = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, pass_fds=(to_say, to_hear)
    )
    for fd in (theirs, to_say, to_hear):
        os.close(fd)
    one = Job(terminal, says, hears)
    try:
        yield one
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.group, signal.SIGKILL)
        shell.kill()
        shell.wait()
        for fd in (terminal, says, hears):
            os.close(fd)


@pytest.mark.parametrize("options", [(), ("--exact",), ("--isolation", "redirect")], ids=["default", "exact", "redirect"])
@pytest.mark.parametrize("way", ["stops", "handles", "apart"])
def test_ctrl_z_stops_the_run_and_fg_lets_it_go_on(way: str, options: tuple[str, ...], compiled: Callable[[str], str]) -> None:
    with job(*_RUN, *options, "--", compiled("jobs"), way) as one:
        one.pid()
        for _ in range(2):
            one.works()
            one.stops_and_goes_on()
            if way == "handles":
                one.shows("[")
                one.shows("]")
        one.works()
        one.types("a line\n")
        assert one.becomes() == "exit 0"


def test_ctrl_z_does_nothing_to_a_program_that_ignores_it(compiled: Callable[[str], str]) -> None:
    with job(*_RUN, "--", compiled("jobs"), "ignores") as one:
        one.pid()
        one.works()
        one.types("\x1a")
        one.shows("^Z")
        for _ in range(3):
            one.works()
        one.types("a line\n")
        assert one.becomes() == "exit 0"  # the first that is seen of it


def test_a_program_that_reads_in_the_background_stops_the_run(compiled: Callable[[str], str]) -> None:
    with job(*_RUN, "--", compiled("jobs"), "reads", where="bg") as one:
        one.pid()
        for where in ("bg", "fg"):
            assert one.becomes() == f"stopped by {int(signal.SIGTTIN)}"
            one.continued(where)
            assert one.becomes() == "goes on"
        one.types("a line\n")
        assert one.becomes() == "exit 0"


def test_a_program_that_is_stopped_by_its_number_goes_on_by_its_number(compiled: Callable[[str], str]) -> None:
    """Whoever sends SIGSTOP sends SIGCONT. Ctrl-Z in between gives the terminal back."""
    with job(*_RUN, "--", compiled("jobs"), "stops") as one:
        pid = one.pid()
        one.works()
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGCONT)
        one.works()
        os.kill(pid, signal.SIGSTOP)
        one.stops_and_goes_on()
        one.works()
        one.types("a line\n")
        assert one.becomes() == "exit 0"


def test_sigtstp_for_the_run_alone_stops_the_program_too(compiled: Callable[[str], str]) -> None:
    with job(*_RUN, "--", compiled("jobs"), "handles") as one:
        one.pid()
        one.works()
        os.kill(one.group, signal.SIGTSTP)
        one.shows("[")
        assert one.becomes() == f"stopped by {int(signal.SIGTSTP)}"
        one.continued("wait")
        os.kill(one.group, signal.SIGCONT)
        one.shows("]")
        assert one.becomes() == "goes on"
        one.works()


def test_what_is_left_of_a_program_is_stopped_too() -> None:
    with job(*_RUN, "--", "/bin/sh", "-c", "(while echo .; do sleep 0.01; done) &") as one:
        one.works()
        one.stops_and_goes_on()
        one.works()
        one.types("\x03")
        assert one.becomes().startswith("exit ")


def test_a_shell_as_the_program_has_jobs_of_its_own_and_suspends_itself() -> None:
    if not shutil.which("bash"):
        pytest.skip("no bash")
    with job(*_RUN, "--", "env", "PS1=-prompt-", "bash", "--norc", "--noprofile", "--noediting", "-i") as one:
        one.shows("-prompt-")
        one.types("sleep 100\n")
        one.shows("sleep 100")
        while "sleep" not in {Path(f"/proc/{pid}/comm").read_text().strip() for pid in _below(one.group)}:
            pass
        one.types("\x1a")
        one.shows("Stopped")
        one.shows("-prompt-")
        one.types("kill %1; wait; suspend\n")
        assert one.becomes() == f"stopped by {int(signal.SIGTSTP)}"
        one.continued("fg")
        assert one.becomes() == "goes on"
        one.shows("-prompt-")
        one.types("exit 9\n")
        assert one.becomes() == "exit 9"


def _below(pid: int) -> list[int]:
    """The processes below one, as far as they do not end meanwhile."""
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(deeper for child in children for deeper in _below(child))]


@pytest.mark.parametrize("isolation", ["auto", "redirect"])
def test_no_stop_outlasts_the_signal_that_continues(isolation: str, compiled: Callable[[str], str]) -> None:
    """SIGCONT for the process group comes at any moment after SIGTSTP."""
    chance = random.Random(1)
    with job(*_RUN, "--isolation", isolation, "--", compiled("jobs"), "stops", where="bg") as one:
        one.pid()
        for _ in range(25):
            os.killpg(one.group, signal.SIGTSTP)
            time.sleep(chance.choice([0.0, 0.019, 0.021, 0.025, 0.04]) + 0.002 * chance.random())
            os.killpg(one.group, signal.SIGCONT)
            one.forgets()
            one.works()
