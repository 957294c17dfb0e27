"""What ``benchprogram`` measures of IAX: jobs of 1 MiB, beside zlib on the same bytes."""

from __future__ import annotations

import ctypes
import struct
import time
import zlib
from collections.abc import Callable

_COMPRESS, _DECOMPRESS, _CRC64 = 0x43, 0x42, 0x44
_SIZE = 1 << 20  # bytes of a job
_BLOCK_ON_FAULT, _RECORD, _AECS = 2, 4 | 8, 1 << 16  # flags: linux/idxd.h; source 2 is read as AECS
_POLYNOMIAL = 0x42F0E1EBA9EA3693  # ECMA-182
_ROUNDS = 5


def _text() -> bytes:
    """What compresses about as well as log files do."""
    line = b"record %d of queue %d: %d bytes moved\n"
    made = b"".join(line % (number * number % 9973, number % 8, number * 64 % 4096) for number in range(_SIZE // 32))
    return made[:_SIZE]


def _fixed_codes() -> bytes:
    """An AECS with the codes of RFC 1951, 3.2.6, and the head of a final block of them."""
    codes = [8 << 15 | 0x30 + n for n in range(144)] + [9 << 15 | 0x190 + n for n in range(112)]
    codes += [7 << 15 | n for n in range(24)] + [8 << 15 | 0xC0 + n for n in range(6)]
    return struct.pack("<28xII252x286I8x", 3, 3, *codes) + struct.pack("<30I8x", *(5 << 15 | n for n in range(30)))


def share_of_zlib(opcode: int, memory: Callable[[int], int], enqcmd: Callable[[int, int], int], portal: int) -> float:
    """The speed of the operation over zlib's of the same kind: inflate, deflate of level 6, crc32. Best of some rounds."""
    text = _text()
    squeezed = zlib.compressobj(6, zlib.DEFLATED, -12)
    packed = squeezed.compress(text) + squeezed.flush()
    given = packed if opcode == _DECOMPRESS else text
    natives: dict[int, Callable[[], object]] = {
        _DECOMPRESS: lambda: zlib.decompress(packed, -12),
        _COMPRESS: lambda: zlib.compressobj(6, zlib.DEFLATED, -12).compress(text),
        _CRC64: lambda: zlib.crc32(text),
    }
    place, source, target, aecs = memory(4096), memory(_SIZE), memory(2 * _SIZE), memory(8192)
    ctypes.memmove(source, given, len(given))
    ctypes.memset(target, 1, 2 * _SIZE)
    job_flags, more, tail = {
        _DECOMPRESS: (0x1F, 0, struct.pack("<QII8x", 0, 2 * _SIZE, 0)),  # to the end of the final block, all of it
        _COMPRESS: (2 | 1 << 2, _AECS, struct.pack("<QII8x", aecs, 2 * _SIZE, 0x620)),  # flushed, with an end of block
        _CRC64: (0, 0, struct.pack("<16xQ", _POLYNOMIAL)),
    }[opcode]
    ctypes.memmove(aecs, _fixed_codes(), 0x620)
    where = 0 if opcode == _CRC64 else target
    flags = _BLOCK_ON_FAULT | _RECORD | more
    head = struct.pack("<IIQQQIHH", 0, opcode << 24 | flags, place + 64, source, where, len(given), 0, job_flags)
    ctypes.memmove(place, head + tail, 64)
    native, device = [], []
    for _ in range(_ROUNDS):
        ctypes.memset(place + 64, 0, 64)
        begin = time.perf_counter()
        natives[opcode]()
        middle = time.perf_counter()
        while enqcmd(portal, place):
            pass
        device.append(time.perf_counter() - middle)
        native.append(middle - begin)
        status = ctypes.string_at(place + 64, 1)[0]
        if status != 1:
            raise OSError(status, f"operation {opcode:#x} ended with status {status:#x}")
    return min(native) / min(device)


QUEUE = "/dev/iax/wq1.0"
OPTIONS = ("--wq", "shared,device=iax1")
"""For ``pasidlab run``."""
