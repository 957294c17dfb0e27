"""Every historical bug breaks the promise it is known for, in exactly so many steps; its fixed twin keeps them all."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time

import click
import pytest
from click.testing import CliRunner
from verdicts import INSIDE, TABLE, caught, measured

from harness import LONG, some
from pasidlab.checking.api import check
from pasidlab.cli import _group
from pasidlab.commands import zoo
from pasidlab.commands.zoo import BugRow, summary
from pasidlab.interrupts import StopFlag
from pasidlab.model.promises import PROPERTIES
from pasidlab.zoo.catalogue import BUGS, CATALOGUE, Bug
from pasidlab.zoo.difference import difference
from pasidlab.zoo.specimen import buggy

RECORDED = json.loads(TABLE.read_text(encoding="utf-8"))


WHOLE = some((name for name in INSIDE if RECORDED[name]["fixed_states"] < 4_000_000), 9) if not LONG else list(INSIDE)
"""Bugs whose fixed twin is explored as well. `pasidlab zoo` explores all of them."""


@pytest.mark.parametrize("name", WHOLE)
def test_bug_is_caught_and_its_fix_holds(name: str) -> None:
    found = measured(INSIDE[name])
    assert found == RECORDED[name]
    assert found["steps"] and found["fixed"] == "holds"


@pytest.mark.parametrize("name", some((name for name in INSIDE if name not in WHOLE), 6))
def test_bug_is_caught(name: str) -> None:
    bug = INSIDE[name]
    found = caught(BugRow(bug, check(buggy(bug), bug.scope)))
    assert found == {what: RECORDED[name][what] for what in ("steps", "states")} and found["steps"]


def test_what_is_in_the_zoo() -> None:
    assert len(INSIDE) >= 20 and set(INSIDE) == set(RECORDED)
    assert len({bug.name for bug in CATALOGUE}) == len(CATALOGUE)
    assert {bug.breaks for bug in INSIDE.values()} <= {p.name for p in PROPERTIES}
    assert {path.name for path in BUGS.iterdir() if path.suffix in (".c", ".py")} == {bug.file for bug in CATALOGUE if bug.file}
    for bug in CATALOGUE:
        assert len(re.findall(r"[.]( |$)", bug.mechanism)) >= 1, bug.name
        assert bug.reason or bug.file or bug.base == "eager-ipi", bug.name


@pytest.mark.parametrize("name", [bug.name for bug in INSIDE.values() if bug.file])
def test_fix_changes_something(name: str) -> None:
    lines = difference(INSIDE[name])
    assert any(line.startswith(("+", "-")) for line in lines)
    assert not any("CONFIG_FIXED" in line or "fixed_" in line for line in lines)


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(_group, ["zoo", *words], standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, done.output


def test_one_bug_in_full() -> None:
    status, text = run("write-valid-copy")
    assert status == 0
    for part in (
        "Fixed by: not merged (2021-09)", "write_valid_copy.c, in the kernel around 'late-either'",
        "served: shortest counterexample, 20 steps", "write_valid_copy.c:", "VIOLATED served: ", "holds (120 states)",
    ):  # fmt: skip
        assert part in text, part


def test_one_bug_as_json() -> None:
    status, text = run("valid-bit-missing", "--json")
    (found,) = json.loads(text)["zoo"]
    assert status == 0
    assert (found["steps"], found["verdict"], found["fixed"], found["property"]) == (7, "violated", "holds", "served")
    assert any(line.startswith("+") for line in found["diff"])


def test_bug_outside_the_model() -> None:
    status, text = run("xfd-shadow")
    assert status == 0
    assert "Not expressed: XFD and hotplug are not in the model." in text


def test_the_catalogue_says_what_it_holds() -> None:
    rows = [BugRow(bug) for bug in CATALOGUE]
    assert summary(rows).endswith("of 29 bugs caught with a fix that holds (3 of them mutants, in no kernel); 8 more are outside the model")
    assert {bug.name for bug in CATALOGUE if bug.mutant} == {"clone-foreign-registers", "clone-keeps-last-cpu", "ptrace-keeps-copy"}


def test_table_columns_do_not_run_into_each_other() -> None:
    from pasidlab.commands.zoo import FIX, HEADING, NAME

    assert all(len(bug.name) < NAME - 1 and len(bug.fix) < FIX - 1 for bug in CATALOGUE)
    assert HEADING.index("breaks") == NAME + FIX


def test_ctrl_c_tells_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first bug is still being examined, the second is known, the others have not been begun."""
    outside = next(bug for bug in CATALOGUE if bug.reason)
    first, *others = INSIDE.values()
    monkeypatch.setattr(zoo, "CATALOGUE", [first, outside, *others])

    def examine(bug: Bug, jobs: int, interrupted: StopFlag) -> BugRow:
        while bug is not outside and not interrupted.is_set():
            time.sleep(0.01)
        if bug is not outside:
            raise KeyboardInterrupt
        return BugRow(bug)

    monkeypatch.setattr(zoo, "examine", examine)
    timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    done = CliRunner().invoke(_group, ["zoo", "--jobs", "2"], standalone_mode=False)
    timer.cancel()
    assert isinstance(done.exception, (KeyboardInterrupt, click.Abort))
    assert outside.name in done.output and first.name not in done.output
    assert f"not examined: {len(INSIDE)} of {len(INSIDE) + 1} bugs" in done.output
