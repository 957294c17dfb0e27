"""Random C programs compute what they compute when the host's compiler compiles them (``python tests/c/differ.py COUNT`` for more)."""

from __future__ import annotations

import pytest
from differ import differences, host_compiler

COMPILER = host_compiler()
COUNT, AT_ONCE = 500, 125


@pytest.mark.skipif(COMPILER is None, reason="no gcc or clang on this machine")
@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_programs_agree(first: int) -> None:
    assert COMPILER
    found, compared = differences(first, AT_ONCE, COMPILER)
    assert [(number, mine, theirs) for number, _, mine, theirs in found] == []
    assert compared >= AT_ONCE - 1
