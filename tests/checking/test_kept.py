"""``check`` with a checkpoint: what a killed process began is finished with the identical result."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from harness import pasidlab
from pasidlab.checking.api import check
from pasidlab.model.scope import Scope
from pasidlab.search import breadth_first

RACE = Scope(2, 1, 1, 1, frozenset({"preempt", "migrate", "softirq"}))
SMALL = ("--tasks", "1", "--mms", "1", "--events", "preempt,migrate,softirq", "--jobs", "1")


@pytest.fixture(autouse=True)
def every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breadth_first, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(breadth_first, "SHARE", 0)


def told(document: Any) -> Any:
    """A document without what depends on the clock and the memory."""
    if isinstance(document, list):
        return [told(entry) for entry in document]
    if isinstance(document, dict):
        return {key: told(value) for key, value in document.items() if key not in ("seconds", "bytes_per_state", "command")}
    return document


def _begin(folder: Path) -> None:
    check("late-either", RACE, jobs=1, checkpoint=folder)


def test_a_killed_check_is_finished_with_the_same_result(tmp_path: Path) -> None:
    whole = check("late-either", RACE, jobs=1)
    random_, kills, done = random.Random(2), 0, False
    while not done and kills < 12:
        process = multiprocessing.get_context("fork").Process(target=_begin, args=(tmp_path,))
        process.start()
        process.join(random_.uniform(0.2, 0.5 + 0.1 * kills))
        done = process.exitcode is not None
        if not done:
            assert process.pid
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
    found = check("late-either", RACE, jobs=1, checkpoint=tmp_path)
    assert kills > 0 and found.verdict == "violated"
    for one, other in zip(found.parts, whole.parts, strict=True):
        assert (one.states, one.transitions, one.depth, one.reason) == (other.states, other.transitions, other.depth, other.reason)
        assert (one.properties, one.counterexamples) == (other.properties, other.counterexamples)
        assert (one.executed, one.present) == (other.executed, other.present)
    assert len(list(tmp_path.glob("late-either-scope-*"))) == 2  # local steps first, and in full


def test_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    whole = pasidlab("check", "late-either", "early-read", *SMALL, "--json")
    first, again = (pasidlab("check", "late-either", "early-read", *SMALL, "--json", "--checkpoint", folder) for _ in range(2))
    assert whole.returncode == first.returncode == again.returncode == 1
    assert told(json.loads(whole.stdout)) == told(json.loads(first.stdout)) == told(json.loads(again.stdout))
    states = sorted(folder.glob("early-read-*/*.states"))[0]
    states.write_bytes(states.read_bytes()[:-1])
    done = pasidlab("check", "early-read", *SMALL, "--checkpoint", folder)
    assert done.returncode == 2 and f"error: checkpoint {states} is damaged\n  hint: to begin anew: rm -r {states.parent}\n" in done.stderr


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = pasidlab("check", "early-read", *SMALL, "--checkpoint", tmp_path / "file")
    assert done.returncode == 2 and "error: cannot write checkpoint" in done.stderr
