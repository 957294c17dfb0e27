"""Ctrl-C: from the first line on one line at most, never a traceback; where it is ignored, it stays so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pasidlab.checking import processes
from pasidlab.interrupts import ctrl_c_raises, interrupts
from pasidlab.lang.back import machine_code

PRESS = "import os, signal; os.kill(os.getpid(), signal.{})\n"
"""A module that stands in another's place: the signal comes while that is imported."""
COMMANDS = ["--version", "designs", "run -- true"]


def pressed(folder: Path, module: str, number: signal.Signals, command: str, before: object) -> subprocess.CompletedProcess[str]:
    """The command; the signal, whose disposition was ``before``, comes while it imports the module."""
    (folder / f"{module}.py").write_text(PRESS.format(number.name) + f"import sys; sys.path.remove({str(folder)!r})\n"
                                         f"del sys.modules[{module!r}]; import {module}\n")  # fmt: skip
    words = [sys.executable, "-m", "pasidlab", *command.split()]
    first: Callable[[], object] = partial(signal.signal, number, before)  # type: ignore[arg-type]
    around = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, env=around, preexec_fn=first, check=False)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_command_is_imported_ends_it_without_a_word(number: signal.Signals, command: str, tmp_path: Path) -> None:
    done = pressed(tmp_path, "click", number, command, signal.SIG_DFL)
    assert (done.returncode, done.stdout, done.stderr) == (-number, "", "")


@pytest.mark.parametrize("module", ["click", "rich", "numpy"])
def test_ctrl_c_that_is_ignored_stays_so(module: str, tmp_path: Path) -> None:
    command = "check early -q --tasks 1 --mms 1 --events preempt --jobs 1"
    done = pressed(tmp_path, module, signal.SIGINT, command, signal.SIG_IGN)
    assert (done.returncode, done.stderr) == (0, "") and "early" in done.stdout


@pytest.mark.parametrize("module", ["numpy", "llvmlite", "numba"])
def test_ctrl_c_while_a_check_is_made_ready_is_told(module: str, tmp_path: Path) -> None:
    done = pressed(tmp_path, module, signal.SIGINT, "check early -q --tasks 1 --mms 1 --events preempt --jobs 1", signal.SIG_DFL)
    assert (done.returncode, done.stderr.strip()) == (3, "interrupted") and "early" not in done.stdout


def test_the_status_of_run_is_the_signal_until_the_program_begins(tmp_path: Path) -> None:
    done = pressed(tmp_path, "greenlet", signal.SIGINT, "run -- true", signal.SIG_DFL)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_next_to_nothing_is_imported_before_the_first_line() -> None:
    code = "import sys; before = set(sys.modules); import pasidlab; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["__future__", "pasidlab", "pasidlab.version"]


class _Pressed:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_where_nobody_can_catch_it_is_pressed_again() -> None:
    with ctrl_c_raises(), pytest.raises(KeyboardInterrupt):
        _Pressed()  # Python drops the exception of a destructor
        time.sleep(20)


def test_ctrl_c_in_an_import_comes_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle Python makes a RuntimeError of it here, before 3.12, and what is imported may catch everything."""
    (tmp_path / "presses.py").write_text(
        "import os, signal\nclass Press:\n    def __set_name__(self, owner, name): os.kill(os.getpid(), signal.SIGINT)\n"
        "try:\n    class Owner: press = Press()\nexcept BaseException: pass\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with ctrl_c_raises(), pytest.raises(KeyboardInterrupt):
        import_module("presses")
        time.sleep(20)
    assert sys.modules.pop("presses").whole


def test_ctrl_c_after_the_last_look_is_no_less_heard() -> None:
    with ctrl_c_raises(), pytest.raises(KeyboardInterrupt), interrupts(None) as flag:
        assert not flag.is_set()
        signal.raise_signal(signal.SIGINT)
    with interrupts(None) as flag:
        signal.raise_signal(signal.SIGINT)
        assert flag.is_set() and flag.is_set()  # who looks knows


def test_a_flag_that_ctrl_c_sets_leaves_it_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts(None) as flag:
            signal.raise_signal(signal.SIGINT)
            assert not flag.is_set() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    with interrupts(None) as flag:
        signal.raise_signal(signal.SIGINT)
        assert flag.is_set()


def test_ctrl_c_while_code_is_made_does_not_lose_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM calls Python with the code. An exception there is printed and forgotten."""
    text, came = f"define void @pressed{os.getpid()}() {{ ret void }}", []

    def keeps(*_code: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        came.append("kept")

    monkeypatch.setattr(machine_code, "keep", keeps)
    with pytest.raises(KeyboardInterrupt):
        machine_code.optimised(text)
    assert came == ["kept"]


def test_ctrl_c_while_a_process_begins_is_for_the_command_alone(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    begin = processes._begin

    def pressed_first(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        begin(*arguments)

    def squared(_report: object, _interrupted: object) -> int:
        return 49

    monkeypatch.setattr(processes, "_begin", pressed_first)
    assert list(processes.side_by_side([squared] * 3, 2)) == [49] * 3
    assert capfd.readouterr() == ("", "")
