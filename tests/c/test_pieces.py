"""Small pieces of C, one construct each, are worth what gcc -fwrapv -funsigned-char makes of them.

``pieces.txt`` holds them: ``### name: value``, then, before a line ``---``, what stands before the function, then the function's body.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from c_machine import Machine
from differ import host_compiler, theirs

_PIECE = re.compile(r"### (.+): (\d+)\n(?:((?:(?!### ).*\n)*?)---\n)?((?:(?!### ).*\n)+)")
TEXT = Path(__file__).with_name("pieces.txt").read_text(encoding="utf-8")
PIECES = {name: (before, body, int(value)) for name, value, before, body in _PIECE.findall(TEXT)}
COMPILER = host_compiler()


def text_of(name: str) -> str:
    before, body, _ = PIECES[name]
    return f"{before}\nstatic u64 f(void)\n{{\n{body}\n}}\n"


def test_every_piece_is_read() -> None:
    assert len(PIECES) == TEXT.count("### ") > 240


@pytest.mark.parametrize("name", PIECES)
def test_piece(name: str) -> None:
    assert Machine(text_of(name)).call("f") % (1 << 64) == PIECES[name][2]


@pytest.mark.skipif(COMPILER is None, reason="no gcc or clang on this machine")
@pytest.mark.parametrize("name", list(PIECES)[::12])
def test_the_values_are_the_compiler_s(name: str, tmp_path: Path) -> None:
    assert COMPILER
    assert theirs(text_of(name), ["f"], tmp_path, COMPILER) == [PIECES[name][2]]
