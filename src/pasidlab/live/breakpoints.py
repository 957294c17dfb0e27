"""Breakpoints of a debugger: one byte in place of the program's, in one address space."""

from __future__ import annotations

import contextlib

from pasidlab.live.memory import ProcessMemory

INT3 = 0xCC
"""The instruction that raises #BP (SDM volume 2)."""


class Breakpoints:
    """``tid`` arguments name a thread that stands still and has the memory."""

    def __init__(self) -> None:
        self._originals: dict[int, int] = {}  # by address

    def __contains__(self, address: int) -> bool:
        return address in self._originals

    def insert(self, tid: int, memory: ProcessMemory, address: int) -> bool:
        """False where there is no memory."""
        if address in self._originals:
            return True
        before = memory.read(address, 1)
        if not before:
            return False
        self._originals[address] = before[0]
        return self._put(tid, memory, address, INT3)

    def remove(self, tid: int, memory: ProcessMemory, address: int) -> None:
        """The program's own byte again."""
        original = self._originals.pop(address, None)
        if original is not None:
            self._put(tid, memory, address, original)

    def remove_all(self, tid: int, memory: ProcessMemory) -> None:
        """For a debugger that leaves."""
        for address in tuple(self._originals):
            self.remove(tid, memory, address)

    def clean_copy(self, tid: int, memory: ProcessMemory) -> None:
        """In a forked child's memory: its own bytes, for no debugger follows it."""
        for address, original in tuple(self._originals.items()):
            self._put(tid, memory, address, original)

    def forget(self) -> None:
        """The address space is gone."""
        self._originals.clear()

    def hidden(self, address: int, data: bytes) -> bytes:
        """``data`` read at ``address``, as the program has it."""
        shown = bytearray(data)
        for place, original in self._originals.items():
            if address <= place < address + len(shown):
                shown[place - address] = original
        return bytes(shown)

    def write(self, tid: int, memory: ProcessMemory, address: int, data: bytes) -> bool:
        """A debugger's store, where the program itself may not write too; breakpoints stay. False: there is no memory."""
        kept = bytearray(data)
        for place in self._originals:
            if address <= place < address + len(kept):
                self._originals[place] = kept[place - address]
                kept[place - address] = INT3
        if memory.write(address, bytes(kept)) == len(kept):
            return True
        start, end = address & -8, -(-(address + len(kept)) // 8) * 8
        around = bytearray(memory.read(start, end - start))
        if len(around) < end - start:
            return False
        around[address - start : address - start + len(kept)] = kept
        with contextlib.suppress(OSError):
            memory.poke(tid, start, bytes(around))
            return True
        return False

    @staticmethod
    def _put(tid: int, memory: ProcessMemory, address: int, byte: int) -> bool:
        try:
            memory.poke(tid, address, bytes([byte]))
        except OSError:
            return False
        return True
