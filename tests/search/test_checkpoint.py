"""A search that is killed at any moment goes on to the identical result; files that are damaged are refused by their name."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest
from lazyreg_double import lazyreg

from pasidlab.errors import PasidlabError
from pasidlab.search import breadth_first
from pasidlab.search.breadth_first import search
from pasidlab.search.checkpoint import TABLE, Checkpoint
from pasidlab.search.result import Budget, SearchResult

AT_ONCE = {"LEAST_SECONDS": 0.0, "SHARE": 0}


def answers(found: SearchResult) -> tuple:
    """Everything but times and memory."""
    return (
        found.reason, found.states, found.transitions, found.level_sizes, found.depth_completed, found.reached, found.counters,
        found.violations, found.error, found.again, found.pending,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def every_level(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in AT_ONCE.items():
        monkeypatch.setattr(breadth_first, name, value)


def explore(folder: Path, jobs: int = 1, bug: bool = False, tasks: int = 2, words: int = 1, **more) -> SearchResult:
    return search(lazyreg(tasks, bug=bug, words=words), jobs=jobs, checkpoint=Checkpoint(folder / "lazyreg", f"{tasks} {bug}"), **more)


@pytest.mark.parametrize(("bug", "words"), [(False, 1), (True, 3)])
def test_a_search_cut_at_any_level_goes_on_to_the_same_end(tmp_path: Path, bug: bool, words: int) -> None:
    whole = search(lazyreg(2, bug=bug, words=words), jobs=1)
    for most in (100, 3_000, 9_000, 20_000, 30_000, None):
        found = explore(tmp_path, jobs=2 if most == 3_000 else 1, bug=bug, words=words, budget=Budget(max_states=most))
        assert found.reason == ("max_states" if most else "complete")
    assert answers(found) == answers(whole) and found.violations
    again = explore(tmp_path, bug=bug, words=words)  # when there is nothing left to do
    assert answers(again) == answers(whole)
    for p in range(64):
        count = int(whole.store.parts[p, 1])
        assert (again.store.run(p, 0, count) == whole.store.run(p, 0, count)).all()


def _killed(folder: Path, seconds: float) -> bool:
    """Whether a process that explores was killed after so many seconds; else it has come to its end."""
    process = multiprocessing.get_context("fork").Process(target=explore, args=(folder,))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode != 0


def test_kill_at_any_moment(tmp_path: Path) -> None:
    whole, random_ = search(lazyreg(2), jobs=1), random.Random(5)
    kills = 0
    while _killed(tmp_path, random_.uniform(0.001, 0.01 + 0.01 * kills)) and kills < 20:
        kills += 1
        if (tmp_path / "lazyreg" / TABLE).exists():
            assert json.loads((tmp_path / "lazyreg" / TABLE).read_text())["digest"]
    assert kills > 1
    found = explore(tmp_path)
    assert answers(found) == answers(whole) and found.reason == "complete"


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """The folder of a search that was cut."""
    assert explore(tmp_path, budget=Budget(max_states=20_000)).reason == "max_states"
    return tmp_path / "lazyreg"


@pytest.mark.parametrize("name", [TABLE, "000002.states", "000005.states"])
@pytest.mark.parametrize("how", ["cut", "bit", "gone", "empty"])
def test_a_damaged_file_is_refused_by_its_name(half: Path, name: str, how: str) -> None:
    path = half / name
    raw = bytearray(path.read_bytes())
    if how == "gone" and name == TABLE:
        pytest.skip("without a table there is no search to go on with")
    if how == "gone":
        path.unlink()
    else:
        raw[len(raw) // 2] ^= 1
        path.write_bytes({"cut": bytes(raw[: len(raw) // 2]), "bit": bytes(raw), "empty": b""}[how])
    with pytest.raises(PasidlabError, match=f"checkpoint .*{name} is damaged") as error:
        explore(half.parent)
    assert "rm -r" in error.value.hint


def test_files_that_were_left_half_written_do_not_matter(half: Path) -> None:
    (half / f"{TABLE}.new").write_bytes(b"{")
    (half / "000099.states").write_bytes(b"half")
    assert answers(explore(half.parent)) == answers(search(lazyreg(2), jobs=1))


def test_another_search_is_refused(half: Path) -> None:
    with pytest.raises(PasidlabError, match="is of another search"):
        explore(half.parent, bug=True)


def test_two_at_a_time_are_refused(half: Path) -> None:
    import fcntl

    with open(half / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PasidlabError, match="is in use by another process"):
            explore(half.parent)
    assert explore(half.parent).reason == "complete"


def test_what_cannot_be_written_is_told(half: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(PasidlabError, match="cannot write checkpoint"):
        search(lazyreg(2), jobs=1, checkpoint=Checkpoint(file / "below", "x"))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PasidlabError, match=r"cannot write checkpoint .*: No space left on device"):
        explore(half.parent)
    monkeypatch.undo()
    assert answers(explore(half.parent)) == answers(search(lazyreg(2), jobs=1))
    assert not list(half.glob("*.new"))


def test_a_search_is_saved_only_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breadth_first, "LEAST_SECONDS", 1000.0)
    explore(tmp_path)
    assert [path.name for path in (tmp_path / "lazyreg").glob("*.states")] == ["000001.states"]
