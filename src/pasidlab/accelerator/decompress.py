"""Decompression, by itself and in front of a filter.

After intel/qpl (hw_decompress_descriptor.c, qpl_hw_inflate_job.cpp, hw_aecs_decompress.c) and its documentation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pasidlab.accelerator import aecs
from pasidlab.accelerator.abi import Status
from pasidlab.accelerator.aecs import HELD, AecsState
from pasidlab.accelerator.analytics import WRITE_ALWAYS, WRITE_NEVER, Analyzed, Checksums, IaaJob, Result
from pasidlab.accelerator.checksums import bit_reversed_words
from pasidlab.accelerator.inflate import Inflater, Parser, Stop
from pasidlab.accelerator.transfer import CHUNK, DescriptorOutcome

# Decompression flags, own_hw_definitions.h.
ENABLE, FLUSH, STOP_ON_EOB, CHECK_FOR_EOB, FINAL_EOB, BIG_ENDIAN = (1 << bit for bit in range(6))
SUPPRESS = 1 << 9
_IGNORE_AT, _MINI_AT = 6, 10
KNOWN = 0x1FFF  # bits 12:0; bit 14, a fourth bit of ignored bits, came with the second generation
_WORD = 8  # bytes that are written at once, unless the output is flushed
_TOO_LONG, _NOT_THE_END = 1, 15  # error codes


def mini_block(code: int) -> int:
    """Bytes in a mini-block, 0 for none: code 1 is 512, each further one twice as many."""
    return 256 << code if code else 0


class Decompressor:
    """The stream of one job. ``pieces`` decodes its input; what ended it is then known."""

    def __init__(self, job: IaaJob, state: AecsState) -> None:
        self.job, self.state, flags = job, state, job.flags
        self._lengths = state.stream.lengths
        any_end = bool(flags & STOP_ON_EOB and not flags & FINAL_EOB)
        self.mini = mini_block(flags >> _MINI_AT & 7)
        self.inflater = Inflater(state.stream, any_end, bool(flags & STOP_ON_EOB), self.mini)
        self.overflowed = False

    def pieces(self, room: int) -> Iterator[memoryview]:
        """What is decoded, up to ``room`` bytes; whether there was more is ``overflowed``."""
        inflater, fed, last = self.inflater, self._fed(), False
        while True:
            stop, piece = inflater.run(min(room, CHUNK))
            self.job.turn(len(piece))
            room -= len(piece)
            yield piece
            if stop == Stop.ENDED:
                return
            if stop == Stop.FULL and not room:
                self.overflowed = True
                return
            if stop == Stop.INPUT:
                if last:
                    break
                last = next(fed)
        self._check()

    def _fed(self) -> Iterator[bool]:
        """Feeds a piece of source 1 at each step; whether it was the last."""
        job, flags = self.job, self.job.flags
        for view in job.source_1():
            last = job.taken == job.d.size
            data = bit_reversed_words(view) if flags & BIG_ENDIAN else view
            self.inflater.feed(data, flags >> _IGNORE_AT & 7 if last else 0)
            if last:
                yield True
                return
            yield False
        yield True

    def _check(self) -> None:
        """All input is there, and none of it ended the stream."""
        inflater, flags = self.inflater, self.job.flags
        if flags & CHECK_FOR_EOB and inflater.ended < (2 if flags & FINAL_EOB else 1):
            raise Analyzed(_NOT_THE_END, "the input ends, and not with the end of a block that was asked for")
        if inflater.left > HELD:
            raise Analyzed(_TOO_LONG, "the input ends in a block header too long to be kept")

    def next_state(self, output: bytes) -> bytes:
        """The AECS to go on with, and ``output`` that is not yet written."""
        state, stream, sums = self.state, self.state.stream, self.job.sums
        left = 0 if stream.parser == Parser.ENDED else self.inflater.left
        stream.left = max(0, left - 8 * self.untaken) if self.overflowed else left
        stream.bits = self.inflater.rest() & (1 << stream.left) - 1
        state.output, state.index_bit = output, state.index_bit + self.inflater.consumed
        return aecs.store(state, (sums.crc, sums.xor), stream.lengths is not self._lengths)

    @property
    def untaken(self) -> int:
        """Bytes of source 1 that are left for another job: those of which no bit is consumed."""
        unit = 2 if self.job.flags & BIG_ENDIAN else 1
        return min(self.job.taken, (self.inflater.left + self.inflater.ignored) // 8 // unit * unit)


def decompress(job: IaaJob, o: DescriptorOutcome) -> Result:
    """Source 1 inflated to the destination."""
    state = aecs.parser_state(job.aecs())
    job.sums.crc, job.sums.xor = state.sums
    stream = Decompressor(job, state)
    if job.flags & SUPPRESS:
        _verify(job, stream)
        held = state.output
    else:
        held = _deliver(job, stream, state.output)
    if job.write_mode == WRITE_ALWAYS or (job.write_mode != WRITE_NEVER and stream.overflowed):
        job.write_aecs(stream.next_state(held))
    if stream.overflowed:
        o.status = Status.OUTPUT_OVERFLOW
        job.taken -= stream.untaken
        o.bytes_completed = job.taken
        o.reason = f"the output has no room in {job.room} bytes; {job.taken} bytes of source 1 are taken"
    return Result(job.written)


def _deliver(job: IaaJob, stream: Decompressor, held: bytes) -> bytes:
    """Write what is decoded; what is left over of a word, unless all is to be written."""
    pending = bytearray(held)
    room = job.room - len(held)
    if room < 0:
        raise Analyzed(25, f"the output has no room in {job.room} bytes")
    for piece in stream.pieces(room):
        job.sums.add(piece)
        pending += piece
        whole = len(pending) // _WORD * _WORD
        job.write(pending[:whole])
        del pending[:whole]
    if job.flags & FLUSH or stream.overflowed:
        job.write(pending)
        return b""
    return bytes(pending)


def _verify(job: IaaJob, stream: Decompressor) -> None:
    """Decode without writing; with mini-blocks, write an index of (bit offset, CRC) pairs."""
    origin = stream.state.index_bit
    made, sums = 0, job.sums
    for piece in stream.pieces(1 << 62):
        marks, stream.inflater.marks = stream.inflater.marks, []
        at = 0
        for bit, place in marks:
            sums.add(piece[at : place - made])
            at = place - made
            job.write(struct.pack("<II", origin + bit & 0xFFFFFFFF, sums.crc))
        sums.add(piece[at:])
        made += len(piece)


def inflated(job: IaaJob, state: AecsState, sums: Checksums) -> Iterator[memoryview]:
    """Source 1 for a filter: inflated if the descriptor says so, without the bytes to be dropped."""
    drop = state.parameters.dropped if job.flags & ENABLE else 0
    for piece in Decompressor(job, state).pieces(1 << 62) if job.flags & ENABLE else job.source_1():
        sums.add(piece)
        skipped = min(drop, len(piece))
        drop -= skipped
        yield piece[skipped:]
