"""What a person at a terminal sees: no line wider than the terminal, colour where it is wanted, each thing once, help without an error."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import fields, replace
from fcntl import ioctl
from pathlib import Path

import pytest

from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.commands.asked import Asked
from pasidlab.commands.printing import printer
from pasidlab.model.scope import Scope
from pasidlab.report.account import Account, Checked
from pasidlab.report.text import verdict_table
from pasidlab.trace.columns import trace_text
from pasidlab.trace.look import Look

ROOT = Path(__file__).parents[2]
SMALL = "--tasks 1 --mms 1 --events preempt,migrate,softirq --jobs 1"
SCOPE = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate", "softirq"}))
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def terminal(command: str, columns: int = 80, **environment: str) -> tuple[int, str]:
    """The exit code, and what a terminal of that width is given; of a check without how far it is, which comes and goes."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    surroundings = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm-256color"} | environment
    words = [sys.executable, "-m", "pasidlab", *command.split()]
    errors = subprocess.DEVNULL if "--jobs" in words else theirs
    running = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=errors, cwd=ROOT, env=surroundings)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    return running.wait(timeout=60), said.decode().replace("\r\n", "\n")


def widest(text: str) -> int:
    return max(len(COLOUR.sub("", line)) for line in text.splitlines())


NARROW = [
    "--help", "check --help", "designs", "check early --events premept", "zoo no-such-bug",
    "check -q late-bare --tasks 1 --mms 1 --events preempt --jobs 1",
]  # fmt: skip


VERY_NARROW = ["check --help", "designs", f"check late-either {SMALL}"]


@pytest.mark.parametrize(("command", "columns"), [*((c, 40) for c in NARROW), *((c, 20) for c in VERY_NARROW)])
def test_no_line_is_wider_than_the_terminal(command: str, columns: int) -> None:
    status, text = terminal(command, columns)
    assert status in (0, 1, 2) and "Traceback" not in text and "a bug in" not in text
    assert widest(text) <= columns, [line for line in text.splitlines() if len(COLOUR.sub("", line)) > columns]


@pytest.fixture(scope="module")
def results():
    """Two designs; the counterexamples of the second as if they happened on two CPUs."""
    first = check("late-bare", SCOPE, jobs=1)
    (part,) = first.parts
    spread = [replace(c, steps=tuple(replace(s, cpu=n // 3 % 2) for n, s in enumerate(c.steps))) for c in part.counterexamples]
    return [first, replace(first, design="two-cpus", parts=(replace(part, counterexamples=tuple(spread)),))]


@pytest.mark.parametrize("columns", [24, 40, 60, 79])
def test_every_report_fits(results, columns: int) -> None:
    for look in (Look(columns), Look(columns, colour=True)):
        assert widest(verdict_table(results, look)) <= columns
        for result in results:
            assert widest(result.text(look=look)) <= columns


def test_a_narrow_trace_names_the_cpu_where_it_goes_on(results) -> None:
    found = results[1].counterexample("served")
    text = trace_text(found, 2, look=Look(40))
    turns = [step.cpu for n, step in enumerate(found.steps) if n == 0 or step.cpu != found.steps[n - 1].cpu]
    assert [int(n) for n in re.findall(r"^ +CPU (\d) -", text, re.MULTILINE)] == turns and len(set(turns)) == 2
    counted = [n for a, b in re.findall(r"^(\d+)(?:-(\d+))? ", text, re.MULTILINE) for n in range(int(a), int(b or a) + 1)]
    assert counted == list(range(1, len(found.steps) + 1))


def test_colour_only_on_a_terminal_that_wants_it() -> None:
    command = "check late-either --tasks 1 --mms 1 --events preempt,softirq --jobs 1 --property coherent"
    coloured = terminal(command)[1]
    assert "\x1b[1;31mVIOLATED\x1b[0m" in coloured
    plain = terminal(command, NO_COLOR="1")[1]
    assert "\x1b" not in plain and "\x1b" not in terminal("check erly", TERM="dumb")[1]
    blotted = [re.sub(r"\d+\.\d s?", "?", text) for text in (COLOUR.sub("", coloured), plain)]
    assert blotted[0] == blotted[1]
    assert "\x1b[1;31merror:\x1b[0m unknown design" in terminal("check erly")[1]


def test_a_design_named_twice_is_explored_once() -> None:
    _, text = terminal(f"check -q early early {designs.early.path} early --tasks 1 --mms 1 --events preempt --jobs 1", 120)
    assert len(re.findall(r"^early ", COLOUR.sub("", text), re.MULTILINE)) == 1


def test_without_a_command_there_is_help() -> None:
    status, text = terminal("")
    assert (status, text) == terminal("--help") and status == 0 and text.startswith("Usage: pasidlab")


def printed(results, look: Look, capsys, **asked) -> str:
    options = dict.fromkeys(field.name for field in fields(Asked)) | {"names": (), **asked}
    printing = printer(Asked(**options), [result.design for result in results], look)
    for result in results:
        printing.result(result)
    printing.end(Account(tuple(Checked(designs.late_bare, result) for result in results)))
    return capsys.readouterr().out


def test_without_a_name_there_is_the_table_and_where_to_see_more(results, capsys) -> None:
    lines = printed(results, Look(110), capsys).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["design", "late-bare", "two-cpus"]
    assert lines[3] == "" and lines[4].startswith("pasidlab check late-bare shows its counterexamples")
    quiet = printed(results, Look(), capsys, quiet=True, names=("late-bare",))
    assert printed(results, Look(), capsys) == quiet == verdict_table(results) + "\n"


def test_designs_that_are_named_are_told_in_full_and_the_table_is_last(results, capsys) -> None:
    text = printed(results, Look(), capsys, names=("late-bare", "two-cpus"))
    assert text == "".join(result.text() + "\n\n" for result in results) + verdict_table(results) + "\n"
    every = printed(results, Look(), capsys, verbose=True)
    assert every == "".join(result.text(verbose=True) + "\n\n" for result in results) + verdict_table(results) + "\n"
    assert "that only look at" in text and "that only look at" not in every
