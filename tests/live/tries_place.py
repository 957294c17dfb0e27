"""One try of ``tries``: a run of pasidlab in a fork, and what came of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pasidlab.cli import main as command_line

HERE = Path(__file__).parent
LIMIT = 60.0  # seconds after which a try has hung: on a busy machine one may take 20


class Skipped(Exception):
    """The danger cannot be tried here: this try says nothing."""


@dataclass(frozen=True)
class Outcome:
    """What came of a run; ``code`` is None if it had to be killed."""

    code: int | None
    out: str
    err: str

    def __str__(self) -> str:
        how = "hung" if self.code is None else f"exit status {self.code}"
        return f"{how} {self.out!r} {self.err[-600:]!r}"


class Place:
    """A directory for one try, and the programs."""

    def __init__(self, programs: Path, scratch: Path, options: Sequence[str]) -> None:
        self.programs, self.scratch, self.options = programs, scratch, tuple(options)

    def program(self, name: str) -> str:
        """The path of a program of ``programs/``."""
        return str(self.programs / name)

    def run(self, *words: str, limit: float = LIMIT, also: Callable[[int], None] = lambda pid: None, said: str = "") -> Outcome:
        """``pasidlab run`` with the options of this place, then ``words``: more options, ``--``, the program.

        ``also`` is called with its process id once it runs, and has ``said`` this on standard output.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if not pid:
                _become(["run", "--summary", "none", *self.options, *words], self.scratch, out.fileno(), err.fileno())
            end = time.monotonic() + limit
            while (os.getpgid(pid) != pid or said not in _text(out.fileno())) and time.monotonic() < end:
                time.sleep(0.003)
            also(pid)
            code = ended(pid, limit)
            return Outcome(code, _text(out.fileno()), _text(err.fileno()))


@dataclass(frozen=True)
class Variant:
    """One form of a danger: ``once`` says what was wrong with a try (its number from 0 on), empty if nothing; may raise ``Skipped``."""

    row: str
    name: str
    once: Callable[[Place, int], str]


def _text(fd: int) -> str:
    return os.pread(fd, 1 << 16, 0).decode(errors="replace")


def _become(words: list[str], directory: Path, out: int, err: int) -> None:
    """In the child: ``pasidlab WORDS`` in a session of its own. Never returns."""
    code = 98
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # as where the command begins
        os.setsid()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.chdir(directory)
        command_line(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        os._exit(code & 255)


def ended(pid: int, limit: float) -> int | None:
    """The exit status of a child, negative for a signal; None if it has to be killed after ``limit`` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.003)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def build(target: Path) -> str:
    """Compile ``programs/``; why not, empty if it was done."""
    if not shutil.which("gcc"):
        return "gcc is not installed"
    for source in sorted((HERE / "programs").glob("*.c")):
        static = ["-static", "-no-pie"] if source.stem in ("late", "marks") else []
        words = ["gcc", "-O2", "-w", "-pthread", *static, "-o", str(target / source.stem), str(source)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{source.name}: {done.stderr[-300:]}"
    return ""
