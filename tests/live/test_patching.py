"""Where the code that carries descriptors out in a program is put."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pasidlab.live import patching, presence
from pasidlab.live.assembler import Assembled
from pasidlab.live.maps import Mapping
from pasidlab.live.patching import _AREA_SIZE, _FOR_STACK, _GAP, _gap_near, _taken
from pasidlab.live.shortcuts import _WARM, Shortcuts
from pasidlab.live.sites import Area

MB, GB = 1 << 20, 1 << 30
TEXT = 64 * GB


def layout(*rows: tuple[int, int, str]) -> list[Mapping]:
    return [Mapping(start, end, "r-xp", 0, path) for start, end, path in rows]


@pytest.mark.parametrize(
    ("around", "place"),
    [
        ([], TEXT - _GAP - _AREA_SIZE),
        ([(TEXT - 5 * GB, TEXT, ""), (TEXT + 9 * GB, TEXT + 10 * GB, "")], TEXT + MB + _GAP),  # five gigabytes below are taken: behind it
        ([(TEXT - 5 * GB, TEXT, ""), (TEXT + 2 * MB, TEXT + 3 * MB, "/b")], TEXT + 2 * MB - _GAP - _AREA_SIZE),
        ([(TEXT - 5 * GB, TEXT, ""), (TEXT + MB + _FOR_STACK, TEXT + 200 * MB, "[stack]")], 0),  # the stack may grow
        ([(TEXT - 5 * GB, TEXT, ""), (TEXT + 2 * MB + _FOR_STACK, TEXT + 200 * MB, "[stack]")], TEXT + MB + _GAP),
        ([(TEXT - 5 * GB, TEXT, ""), (TEXT + MB, TEXT + 5 * GB, "")], 0),
    ],
)
def test_the_place_is_free_and_near(around: list[tuple[int, int, str]], place: int) -> None:
    assert _gap_near(layout(*sorted([(TEXT, TEXT + MB, "/a"), *around])), TEXT) == place


def test_a_place_that_jumps_may_still_lead_to_is_not_used_again() -> None:
    known = layout((TEXT, TEXT + MB, "/a"))
    first = _gap_near(known, TEXT)
    area = Area(first, Assembled(b"", {}), 0)
    assert _gap_near(_taken(known, [area]), TEXT) == first - _GAP - _AREA_SIZE
    assert len(_taken([*layout((first, first + MB // 64, "")), *known], [area])) == 2  # the area itself, and the program


class Crowded:
    """A patcher in whose process another thread maps memory, the first time, where a place had been found."""

    def __init__(self) -> None:
        self.asked = self.patched = 0

    def suits(self, *_: Any) -> bool:
        return True

    def is_patched(self, *_: Any) -> bool:
        return self.patched > 0

    def share(self, *_: Any) -> SimpleNamespace:
        return SimpleNamespace(at=TEXT)

    def area(self, *_: Any) -> SimpleNamespace:
        self.asked += 1
        if self.asked == 1:
            raise FileExistsError
        return SimpleNamespace()

    def add(self, *_: Any) -> None:
        pass

    def patch(self, *_: Any) -> bool:
        self.patched += 1
        return True


def test_a_place_that_another_thread_takes_first_is_looked_for_again() -> None:
    patcher: Any = Crowded()
    nobody: Any = None
    shortcuts = Shortcuts(patcher, nobody, nobody, on=True)
    thread: Any = SimpleNamespace(mm=SimpleNamespace(served=False, in_exec={}, shortcut=None), process=SimpleNamespace(filtered=False))
    site: Any = SimpleNamespace(ip=TEXT, end=TEXT + 5, instruction=None, original=b"12345")
    for _ in range(3 * _WARM):
        shortcuts.consider(thread, site)
    assert (patcher.asked, patcher.patched) == (2, 1)


def test_where_the_kernel_does_not_tell_which_pages_are_in_memory_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert presence.can_ask()
    with monkeypatch.context() as no_numa:
        no_numa.setattr(presence, "SYS_MOVE_PAGES", 1 << 20)
        assert not presence.can_ask()
    monkeypatch.setattr("os.path.exists", lambda path: path != "/proc/self/pagemap")
    assert not presence.can_ask()


def test_another_file_in_the_place_of_ours_is_not_opened(tmp_path: Path) -> None:
    mine = os.memfd_create("pasidlab")
    ours = patching.file_of(os.getpid(), mine)
    os.write(ours, b"x")
    assert os.pread(mine, 1, 0) == b"x"
    (tmp_path / "file").write_bytes(b"theirs")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    others = [os.open(tmp_path / "file", os.O_RDONLY), os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), os.memfd_create("other")]
    (tmp_path / "file").unlink()
    for other in others:
        with pytest.raises(OSError, match="not a file of ours"):
            patching.file_of(os.getpid(), other)
    for descriptor in (mine, ours, *others):
        os.close(descriptor)
