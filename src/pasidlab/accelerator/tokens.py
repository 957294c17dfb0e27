"""The tokens of a DEFLATE block: one function, which runs as it stands on little and compiled on much.

Both mean the same; a test holds one against the other. Numba compiles it, and keeps the result on disk where it can.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np

WINDOW = 4096  # bytes that a distance may reach back
SHORT = 1 << 13  # bytes of input, and of output eightfold, up to which compiling is not worth it

# Why decoding stopped.
NEEDS_INPUT, FULL, BLOCK_END, BAD_LITERAL, BAD_DISTANCE, TOO_FAR, BEFORE_START, REACHES_MINI, SPANS_MINI = range(9)

Decoder = Callable[..., tuple[int, int, int, int, int, int, int]]
_SIGNATURE = (
    "UniTuple(int64, 7)(int8[::1], int64, int64, int8[::1], int64, int64, int64, int32[::1], int32[::1],"
    " int64, int64, int64[::1], int32[::1])"
)


def decode_tokens(
    data: Any, pos: int, end: int, out: Any, at: int, limit: int, floor: int, literals: Any, distances: Any,
    mini: int, zero: int, marks: Any, tokens: Any,
) -> tuple[int, int, int, int, int, int, int]:  # fmt: skip
    """Decode from bit ``pos`` of ``data``, which ends at bit ``end``, into ``out`` from ``at`` up to ``limit``.

    ``floor`` is where the oldest byte lies that a distance may reach. ``mini`` is the mini-block size, or 0; byte ``zero`` of ``out``
    would begin one. ``marks`` takes pairs (bit, place in ``out``) of tokens that begin a mini-block. ``tokens`` takes every token (a
    literal, or length << 16 | distance). Both take what they have room for. Returns why it stopped; the bit and the place reached; what is
    left of the last match and its distance; how many marks and tokens there are. Where input or room ran out, the token at that bit is not
    consumed. A match that was begun is.
    """
    size, byte = len(data), pos >> 3
    hold, held = 0, 0
    if byte < size:
        hold, held = (data[byte] & 255) >> (pos & 7), 8 - (pos & 7)
    byte += 1
    literal_mask, distance_mask = len(literals) - 1, len(distances) - 1
    marked, made = 0, 0
    while True:
        while held < 48 and byte < size:
            hold |= (data[byte] & 255) << held
            byte += 1
            held += 8
        entry = literals[hold & literal_mask]
        bits = entry & 15
        if bits == 0:
            return (BAD_LITERAL if end - pos >= 15 else NEEDS_INPUT), pos, at, 0, 0, marked, made
        if bits > end - pos:
            return NEEDS_INPUT, pos, at, 0, 0, marked, made
        kind = entry >> 4 & 3
        if kind == 2:
            return BLOCK_END, pos + bits, at, 0, 0, marked, made
        if kind == 3:
            return BAD_LITERAL, pos, at, 0, 0, marked, made
        if at == limit:
            return FULL, pos, at, 0, 0, marked, made
        run, distance = 1, 0
        if kind == 1:
            extra = entry >> 6 & 15
            run = (entry >> 10) + (hold >> bits & (1 << extra) - 1)
            bits += extra
            entry = distances[hold >> bits & distance_mask]
            extra = entry >> 6 & 15
            if entry & 15 == 0 and end - pos - bits >= 15:
                return BAD_DISTANCE, pos, at, 0, 0, marked, made
            if entry & 15 == 0 or bits + (entry & 15) + extra > end - pos:
                return NEEDS_INPUT, pos, at, 0, 0, marked, made
            bits += entry & 15
            distance = (entry >> 10) + (hold >> bits & (1 << extra) - 1)
            bits += extra
            if entry >> 4 & 3 == 3:
                return BAD_DISTANCE, pos, at, 0, 0, marked, made
            if distance > WINDOW:
                return TOO_FAR, pos, at, 0, 0, marked, made
            if distance > at - floor:
                return BEFORE_START, pos, at, 0, 0, marked, made
        if mini:
            done = (at - zero) % mini
            if distance > done:
                return REACHES_MINI, pos, at, 0, 0, marked, made
            if done + run > mini:
                return SPANS_MINI, pos, at, 0, 0, marked, made
            if done == 0 and marked + 1 < len(marks):
                marks[marked], marks[marked + 1] = pos, at
                marked += 2
        if made < len(tokens):
            tokens[made] = (run << 16 | distance) if distance else entry >> 10
            made += 1
        pos += bits
        hold >>= bits
        held -= bits
        if distance == 0:
            out[at] = entry >> 10
            at += 1
            continue
        for _ in range(min(run, limit - at)):
            out[at] = out[at - distance]
            at += 1
            run -= 1
        if run:
            return FULL, pos, at, run, distance, marked, made


@cache
def compiled_decoder() -> Decoder:
    """``decode_tokens`` compiled. The first time on a machine takes some seconds."""
    from numba import njit  # here: it takes half a second to import, and most programs do without

    options: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    try:
        return cast(Decoder, njit(_SIGNATURE, cache=True, **options)(decode_tokens))
    except (RuntimeError, OSError):  # no folder for the cache is writable, or the disk is full
        return cast(Decoder, njit(_SIGNATURE, **options)(decode_tokens))


def array(data: bytearray) -> Any:
    """``data`` as the compiled function takes it: signed, as Numba makes signed and unsigned into floating point."""
    return np.frombuffer(data, np.int8)
