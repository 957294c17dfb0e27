"""Symbols of files that anybody may have made."""

from __future__ import annotations

import os
import struct
import sys
import time

import pytest
from running import run

from pasidlab.live.symbols import ElfSymbols, Symbolizer

pytestmark = pytest.mark.needs_run


def elf(sections: int, table: bytes) -> bytes:
    """A file whose section headers all name the same table of symbols."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64, 0, 64, 56, 0, 64, sections, 0)
    at = 64 + 64 * sections
    return head + struct.pack("<IIQQQQIIQQ", 0, 2, 0, 0, at, len(table), 0, 0, 8, 24) * sections + table


SYMBOL = struct.pack("<IBBHQQ", 0, 2, 0, 1, 0x1000, 16)


def test_many_headers_of_one_table():
    assert len(ElfSymbols(elf(3, SYMBOL * 100), 1000).symbols) == 300
    assert len(ElfSymbols(elf(60, SYMBOL * 100), 1000).symbols) == 1000


def test_many_headers_of_one_large_table_cost_no_more_than_one():
    began = time.monotonic()
    found = ElfSymbols(elf(20_000, SYMBOL * 100 + bytes(1 << 24)), 1000)  # copies of it would be 320 GB
    assert len(found.symbols) == 100 and found.left == 0 and time.monotonic() - began < 10


def test_all_files_together_have_so_many_symbols(tmp_path, monkeypatch):
    monkeypatch.setattr("pasidlab.live.symbols._MOST_SYMBOLS", 250)
    files = Symbolizer()
    for number, expected in enumerate((100, 100, 50, 0)):
        path = tmp_path / str(number)
        path.write_bytes(elf(1, SYMBOL * 100))
        found = files._load(os.getpid(), str(path))
        assert found is not None and len(found.symbols) == expected


def test_headers_beyond_the_end_of_everything(tmp_path):
    path = tmp_path / "over"
    path.write_bytes(elf(1, b"")[:40] + struct.pack("<Q", 2**64 - 1) + elf(1, b"")[48:])
    assert Symbolizer()._load(os.getpid(), str(path)) is None


def test_a_name_that_is_no_text():
    rename = "import ctypes, os\nctypes.CDLL(None).prctl(15, b'\\xff')\npid = os.fork()\nif pid == 0: os._exit(3)\nos.waitpid(pid, 0)"
    ask = "\nctypes.CDLL(None).ptrace(16, os.getpid(), 0, 0)"  # PTRACE_ATTACH: the answer tells the program's name
    done = run(sys.executable, "-c", rename + ask)
    assert done.code == 0 and "Traceback" not in done.err, done.err
