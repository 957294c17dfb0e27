"""The elements that filters work on: packed at any width, or as runs in the format of Parquet; and how they are packed again.

After intel/qpl's documentation of parsers and its reference (tools/ref: ref_convert.c, ref_prle.h, ref_count.c).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator.analytics import Analyzed

Values = NDArray[np.uint32]
BATCH = 1 << 16  # elements at once, a multiple of 8
_BAD_RUN, _TOO_WIDE, _TOO_FEW = 20, 31, 32  # error codes
_COUNT_BYTES = 4  # of a run's header at most
_LONG, _TOGETHER = 1 << 12, 256  # elements of a run that is a batch by itself; runs that make one


def unpacked(data: bytes | bytearray | memoryview, width: int, count: int, *, big: bool) -> Values:
    """``count`` elements of ``width`` bits; the first bit is the lowest of a byte, or with ``big`` the highest."""
    if not big and width in (8, 16, 32):
        return np.frombuffer(data, f"<u{width // 8}", count).astype(np.uint32)
    order = "big" if big else "little"
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder=order)[: count * width].reshape(count, width)  # type: ignore[call-overload]
    padded = np.zeros((count, 32), np.uint8)
    padded[:, :width] = bits[:, ::-1] if big else bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u4")[:, 0].astype(np.uint32)


def packed(pieces: Iterator[memoryview], width: int, count: int, *, big: bool, too_few: int) -> Iterator[Values]:
    """``count`` elements, in batches; raises Analyzed with ``too_few`` where there are not so many."""
    buffer, more = bytearray(), True
    while count:
        take = min(count, BATCH, 8 * len(buffer) // width)
        if take < count and more:
            take &= ~7  # so that the next batch begins at a byte
        if take:
            yield unpacked(bytes(buffer[: (take * width + 7) // 8]), width, take, big=big)
            del buffer[: -(-take * width // 8)]
            count -= take
        elif more:
            piece = next(pieces, None)
            more = piece is not None
            buffer += piece or b""
        else:
            raise Analyzed(too_few, f"the input ends with {count} elements missing")


class _Bytes:
    """Bytes that come in pieces, to be taken in any number."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces, self._buffer = pieces, bytearray()

    def more(self) -> bool:
        """Whether there is another byte."""
        while not self._buffer:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._buffer += piece
        return True

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes. Raises Analyzed where the record is cut off."""
        while len(self._buffer) < size:
            piece = next(self._pieces, None)
            if piece is None:
                raise Analyzed(_BAD_RUN, "the input ends inside a run")
            self._buffer += piece
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


class Runs:
    """Parquet's run-length encoding: a byte with the width, then repetitions and groups of eight packed elements."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._bytes = _Bytes(pieces)
        if not self._bytes.more():
            raise Analyzed(_TOO_FEW, "the input ends before the width")
        (self.width,) = self._bytes.take(1)
        if self.width > 32:
            raise Analyzed(_TOO_WIDE, f"elements of {self.width} bits")
        if self.width == 0:
            raise Analyzed(_BAD_RUN, "elements of no bits")

    def elements(self, count: int) -> Iterator[Values]:
        """``count`` elements, in batches: short runs are put together."""
        parts: list[Values] = []
        try:
            for run in self._runs(count):
                parts.append(run)
                if len(run) >= _LONG or len(parts) >= _TOGETHER:
                    yield np.concatenate(parts)
                    parts = []
        except Analyzed:
            if parts:  # whoever wants no more than these does not meet the error
                yield np.concatenate(parts)
            raise
        if parts:
            yield np.concatenate(parts)

    def _runs(self, count: int) -> Iterator[Values]:
        while count:
            if not self._bytes.more():
                raise Analyzed(_TOO_FEW, f"the input ends with {count} elements missing")
            number, grouped = self._header()
            if grouped:
                yield from self._groups(min(number, -(-count // 8)), count)
                count -= min(count, 8 * number)
            else:
                value = int.from_bytes(self._bytes.take((self.width + 7) // 8), "little") & (1 << self.width) - 1
                left = min(number, count)
                count -= left
                while left:
                    take = min(left, BATCH)
                    yield np.full(take, value, np.uint32)
                    left -= take

    def _groups(self, groups: int, count: int) -> Iterator[Values]:
        while groups:
            now = min(groups, BATCH // 8)
            take = min(8 * now, count)
            yield unpacked(self._bytes.take(now * self.width), self.width, take, big=False)
            groups, count = groups - now, count - take

    def _header(self) -> tuple[int, bool]:
        """A run's length, and whether it is in groups of eight."""
        value = 0
        for place in range(_COUNT_BYTES):
            (byte,) = self._bytes.take(1)
            value |= (byte & 0x7F) << 7 * place
            if not byte & 0x80:
                break
        else:
            raise Analyzed(_BAD_RUN, "the header of a run has more than four bytes")
        if not value >> 1:
            raise Analyzed(_BAD_RUN, "a run of no elements")
        return value >> 1, bool(value & 1)


class Packer:
    """Elements to bytes, at ``width`` bits each. What does not fill a byte waits."""

    def __init__(self, width: int, *, big: bool) -> None:
        self._width, self._big = width, big
        self._held = np.zeros(0, np.uint8)  # bits

    def put(self, values: Values) -> bytes:
        """The bytes that are full."""
        words = np.ascontiguousarray(values.astype("<u4")).view(np.uint8).reshape(-1, 4)
        bits = np.unpackbits(words, axis=1, bitorder="little")[:, : self._width]
        if self._big:
            bits = bits[:, ::-1]
        joined = np.concatenate((self._held, bits.ravel()))
        whole = len(joined) & ~7
        self._held = joined[whole:]
        return self._bytes(joined[:whole])

    def rest(self) -> bytes:
        """The last byte, padded with zeros."""
        return self._bytes(self._held)

    def _bytes(self, bits: NDArray[np.uint8]) -> bytes:
        return bytes(np.packbits(bits, bitorder="big" if self._big else "little"))
