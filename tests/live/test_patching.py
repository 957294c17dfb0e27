"""Where the code that carries descriptors out in a program is put."""

from __future__ import annotations

import pytest

from pasidlab.live.assembler import Assembled
from pasidlab.live.maps import Mapping
from pasidlab.live.patching import _AREA_SIZE, _FOR_STACK, _GAP, _gap_near, _taken
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
