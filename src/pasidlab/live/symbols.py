"""Names for instruction addresses: the symbol tables of the mapped ELF files."""

from __future__ import annotations

import bisect
import os
import stat
import struct

from pasidlab.errors import printable
from pasidlab.live.descriptors import open_file
from pasidlab.live.maps import Mapping

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMTAB, _DYNSYM, _PT_LOAD, _FUNCTION = 2, 11, 1, 2
_LIMIT = 1 << 28  # bytes: a larger file is not searched
_MOST_SYMBOLS, _LONGEST_NAME = 1 << 20, 512  # of all files together, which anybody may have made


class ElfSymbols:
    """Function symbols of one ELF file, by virtual address. Tables of symbols have ``left`` entries at most."""

    def __init__(self, data: bytes, left: int) -> None:
        self.segments: list[tuple[int, int, int]] = []  # file offset, virtual address, size in the file
        self.symbols: list[tuple[int, int, str]] = []  # address, size, name
        self.left = left  # entries of symbol tables that may still be read
        if data[:5] != b"\x7fELF\x02":
            return
        segments_at, sections_at = struct.unpack_from("<QQ", data, 32)
        segment_size, segments, section_size, sections = struct.unpack_from("<4H", data, 54)
        for i in range(segments):
            kind, _, offset, address, _, size, _, _ = _SEGMENT.unpack_from(data, segments_at + i * segment_size)
            if kind == _PT_LOAD:
                self.segments.append((offset, address, size))
        view = memoryview(data)  # slices are no copies: many headers may name one large table
        table = [_SECTION.unpack_from(data, sections_at + i * section_size) for i in range(sections)]
        for _, kind, _, _, offset, size, link, _, _, _ in table:
            if kind in (_SYMTAB, _DYNSYM) and link < len(table):
                names = view[table[link][4] : table[link][4] + table[link][5]]
                self._read(view[offset : offset + size], names)
        self.symbols.sort()

    def _read(self, table: memoryview, names: memoryview) -> None:
        count = min(len(table) // 24, self.left)
        self.left -= count
        for name, info, _, section, value, size in _SYMBOL.iter_unpack(table[: count * 24]):
            if info & 15 == _FUNCTION and section and value:
                text = bytes(names[name : name + _LONGEST_NAME]).partition(b"\0")[0]
                self.symbols.append((value, size, text.decode(errors="replace")))

    def name(self, file_offset: int) -> str:
        """``function+0x12`` for a place in the file; empty if no symbol covers it."""
        address = next((v + file_offset - o for o, v, s in self.segments if o <= file_offset < o + s), None)
        if address is None:
            return ""
        index = bisect.bisect_right(self.symbols, (address, 1 << 64, "")) - 1
        if index < 0:
            return ""
        start, size, name = self.symbols[index]
        return f"{name}+{address - start:#x}" if address < start + max(size, 1) else ""


class Symbolizer:
    """Describes addresses of running processes; every file is read once."""

    def __init__(self) -> None:
        self._files: dict[str, ElfSymbols | None] = {}
        self._left = _MOST_SYMBOLS
        self.trusted = True  # false: opening a file might wait for the program

    def describe(self, pid: int, address: int, mapping: Mapping | None) -> str:
        """For example ``submit+0x1f (/usr/bin/app)``; only the file or nothing where no symbol is known. ``mapping`` holds the address."""
        if mapping is None or not mapping.path.startswith("/"):
            return mapping.path if mapping else ""
        symbols = self._load(pid, mapping.path)
        name = symbols.name(address - mapping.start + mapping.offset) if symbols else ""
        place = f"{name} ({mapping.path})" if name else f"({mapping.path}+{address - mapping.start + mapping.offset:#x})"
        return printable(place)

    def _load(self, pid: int, path: str) -> ElfSymbols | None:
        if path not in self._files and self.trusted:
            self._files[path] = None
            try:
                real = f"/proc/{pid}/root{path}"
                status = os.stat(real)
                if stat.S_ISREG(status.st_mode) and status.st_size <= _LIMIT:  # what is there now may be a FIFO
                    with open(open_file(real, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                        found = self._files[path] = ElfSymbols(file.read(_LIMIT), self._left)
                        self._left = found.left
            except (OSError, struct.error, IndexError, OverflowError, ValueError):
                pass  # a damaged file has no symbols
        return self._files.get(path)
