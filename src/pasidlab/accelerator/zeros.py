"""Zero compression of IAA: words that are zero are left out, and a bit for each word says which.

After intel/idxd-config, iaa_zcompress.c: blocks of 128 bytes, the bits of a block before its words. The bits that a short
last block lacks words for are 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator.abi import Op
from pasidlab.accelerator.analytics import Analyzed, IaaJob, Result
from pasidlab.accelerator.transfer import DescriptorOutcome

_BLOCK = 128  # bytes
_CUT_HEADER = 34  # error code
WORDS = {
    Op.ZERO_COMPRESS_8: 1, Op.ZERO_COMPRESS_16: 2, Op.ZERO_COMPRESS_32: 4,
    Op.ZERO_DECOMPRESS_8: 1, Op.ZERO_DECOMPRESS_16: 2, Op.ZERO_DECOMPRESS_32: 4,
}  # fmt: skip
"""Bytes of a word, by operation."""


def _squeezed(words: NDArray[np.unsignedinteger]) -> bytes:
    """Rows of words, a row for each block: each with its bits in front, without its zeros."""
    there = words != 0
    bits = np.packbits(there, axis=1, bitorder="little").view(words.dtype)
    rows = np.concatenate((bits, words), axis=1)
    return bytes(rows[np.concatenate((np.ones(bits.shape, bool), there), axis=1)].tobytes())


def zero_compress(job: IaaJob, o: DescriptorOutcome) -> Result:
    """Source 1 without its zeros."""
    size, left = WORDS[Op(job.d.opcode)], b""
    kind = np.dtype(f"<u{size}")
    for piece in job.source_1():
        job.sums.add(piece)
        data = left + piece
        whole = len(data) // _BLOCK * _BLOCK
        job.write(_squeezed(np.frombuffer(data[:whole], kind).reshape(-1, _BLOCK // size)))
        left = data[whole:]
    if left:
        words = np.frombuffer(left, kind)
        bits = np.concatenate((words != 0, np.ones(_BLOCK // size - len(words), bool)))
        job.write(np.packbits(bits, bitorder="little").tobytes() + words[words != 0].tobytes())
    return Result(job.written)


def zero_decompress(job: IaaJob, o: DescriptorOutcome) -> Result:
    """The words with their zeros; the output ends with the input's last word, or before the first word that is missing."""
    size, data = WORDS[Op(job.d.opcode)], bytearray()
    header = _BLOCK // size // 8
    for piece in job.source_1():
        data += piece
        while len(data) >= header + _BLOCK:
            _put(job, data, size, header)
    while data:
        if len(data) < header:
            raise Analyzed(_CUT_HEADER, "the input ends inside the bits of a block")
        _put(job, data, size, header)
    return Result(job.written)


def _put(job: IaaJob, data: bytearray, size: int, header: int) -> None:
    """Write the first block of ``data``, and remove it."""
    there = np.unpackbits(np.frombuffer(bytes(data[:header]), np.uint8), bitorder="little")
    places = np.flatnonzero(there)
    found = min(len(places), (len(data) - header) // size)
    block = np.zeros(_BLOCK // size, f"<u{size}")
    block[places[:found]] = np.frombuffer(bytes(data[header : header + found * size]), f"<u{size}")
    if found < len(places):
        block = block[: places[found]]
        data.clear()
    else:
        del data[: header + found * size]
    out = block.tobytes()
    job.sums.add(out)
    job.write(out)
