"""States that memory does not hold go to disk, and change nothing of what is found."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lazyreg_double import lazyreg
from test_checkpoint import answers

from harness import some
from pasidlab.errors import PasidlabError
from pasidlab.search import breadth_first, spill
from pasidlab.search.breadth_first import search
from pasidlab.search.checkpoint import Checkpoint
from pasidlab.search.graph import path_to
from pasidlab.search.result import Budget, Progress, SearchResult
from pasidlab.search.spill import Spill
from pasidlab.search.store import Store

MEMORY = 3 << 18  # bytes; the scope of some 30,000 states takes more than twice as much


def explore(folder: Path | None, memory: int = MEMORY, **more) -> SearchResult:
    model = lazyreg(2, bug=more.pop("bug", False), words=more.pop("words", 1))
    return search(model, budget=Budget(max_memory=memory, spill=folder), **{"jobs": 2, **more})


@pytest.mark.parametrize(("bug", "words"), [(False, 1), (True, 3)])
def test_what_is_found_is_what_memory_alone_finds(tmp_path: Path, bug: bool, words: int) -> None:
    whole = search(lazyreg(2, bug=bug, words=words), jobs=1)
    assert explore(None, bug=bug, words=words).reason == "max_memory"
    found = explore(tmp_path, bug=bug, words=words)
    assert answers(found) == answers(whole) and found.reason == "complete"
    assert found.peak_bytes <= MEMORY and found.disk_bytes > 8 * words * found.states
    for violation in found.violations.values():
        assert path_to(found, violation.state, violation.depth) == path_to(whole, violation.state, violation.depth)
    assert not list(tmp_path.iterdir())


def test_logs_go_first_and_tables_only_if_that_is_not_enough(tmp_path: Path) -> None:
    store = Store(1, Spill(tmp_path))
    before = store.bytes()
    assert store.spill_more() and 0 < store.bytes() <= before
    logs = store.disk
    assert store.spill_more() and store.disk > logs and store.bytes() == 0
    assert not store.spill_more()
    assert not Store(1).spill_more()


def test_progress_says_how_much_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breadth_first, "_PROGRESS", 0.0)
    reports: list[Progress] = []
    explore(tmp_path, progress=reports.append)
    disk = [report.disk for report in reports]
    assert disk[0] == 0 and disk == sorted(disk) and disk[-1] > 0


def test_a_full_disk_ends_the_search_unsettled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = os.posix_fallocate

    def full(descriptor: int, offset: int, size: int) -> None:
        if size > 1 << 17:
            raise OSError(28, "No space left on device")
        reserve(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", full)
    found = explore(tmp_path)
    assert found.reason == "disk_full" and found.states < search(lazyreg(2), jobs=1).states
    assert not list(tmp_path.iterdir())


def test_a_file_system_that_really_is_full(tmp_path: Path) -> None:
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], check=False).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        assert explore(tmp_path).reason == "disk_full"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_without_files_that_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    left = tmp_path / f"{spill._NAMED}1-left"  # as after a kill between open and unlink
    left.write_bytes(b"x")
    (tmp_path / "mine").write_text("kept")
    assert answers(explore(tmp_path)) == answers(search(lazyreg(2), jobs=1))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/self")):
        with pytest.raises(PasidlabError, match=f"cannot write to --spill {folder}"):
            explore(folder)


def test_a_checkpoint_larger_than_memory_goes_on_with_a_spill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breadth_first, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(breadth_first, "SHARE", 0)
    kept = Checkpoint(tmp_path / "kept", "x")
    search(lazyreg(2), jobs=1, checkpoint=kept, budget=Budget(max_states=25_000))
    with pytest.raises(PasidlabError, match="the memory limit does not hold what checkpoint"):
        explore(None, checkpoint=kept, memory=MEMORY)
    found = explore(tmp_path / "spill", checkpoint=kept, memory=MEMORY)
    assert answers(found) == answers(search(lazyreg(2), jobs=1)) and found.disk_bytes


SCOPE = ["early-read", "--cpus", "2", "--tasks", "2", "--mms", "2", "--events", "preempt,migrate,softirq", "--no-local-first"]


@pytest.mark.parametrize("number", some([signal.SIGKILL, signal.SIGINT, signal.SIGTERM], 3))
def test_nothing_is_left_behind(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "pasidlab", "check", *SCOPE, "--max-memory", "16M", "--spill", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        deadline = time.monotonic() + 60
        while str(tmp_path) not in Path(f"/proc/{process.pid}/maps").read_text() and time.monotonic() < deadline:
            assert process.poll() is None, process.stdout and process.stdout.read().decode()
            time.sleep(0.02)
        process.send_signal(number)
        process.wait(60)
    assert time.monotonic() < deadline and process.returncode in (-number, 128 + number, 3)
    assert not list(tmp_path.iterdir())


def test_blocks_on_disk_give_back_what_is_left(tmp_path: Path) -> None:
    from pasidlab.search.memory import Block

    block = Block(1 << 20, spill=Spill(tmp_path))
    block.words[:] = 7
    block.release(0, 1 << 19)
    block.release(0, 0)
    assert block.touched(1 << 20) == 0 and block.page == mmap.PAGESIZE
    assert block.words[-1] == 7 and block.words[1 << 16] == 7
