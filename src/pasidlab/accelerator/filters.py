"""The filters of IAA: scan, set membership, extract, select, RLE burst, find unique, expand.

After intel/qpl's documentation and reference (tools/ref), its hw_analytic_descriptor_operations.c, and intel/idxd-config's
iaa_filter.c for the operations that qpl no longer has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator import aecs
from pasidlab.accelerator.abi import Op
from pasidlab.accelerator.aecs import Parameters
from pasidlab.accelerator.analytics import Analyzed, IaaJob, Result
from pasidlab.accelerator.decompress import inflated
from pasidlab.accelerator.elements import Packer, Runs, Values, packed
from pasidlab.accelerator.transfer import DescriptorOutcome

BitArray = NDArray[np.uint8]
PARQUET = 2  # of the parsers of source 1; 0 and 1 are packed elements, the lowest or the highest bit first
KNOWN = (1 << 27) - 1  # flags; bit 27 came with the second generation
VECTORS = frozenset((Op.SCAN, Op.SET_MEMBERSHIP, Op.FIND_UNIQUE))  # operations whose output is one bit an element
SETS = frozenset((Op.SET_MEMBERSHIP, Op.FIND_UNIQUE))
BITWISE = frozenset((Op.SELECT, Op.EXPAND))  # their source 2 has one bit an element
TWO_SOURCES = BITWISE | {Op.SET_MEMBERSHIP, Op.RLE_BURST}
_WIDTHS = (0, 8, 16, 32)  # of the output; 0 is as many bits as an element has
_FULL = 1 << 20  # elements of a burst that are made at once
_LONGEST_RUN = 65535
SOURCE_2_TOO_SMALL, OUTPUT_TOO_NARROW, SET_TOO_WIDE, BAD_COUNTS = 24, 21, 31, 33  # error codes
_NONE = 0xFFFFFFFF


@dataclass(frozen=True)
class Flags:
    """The filter flags of a descriptor (own_hw_definitions.h). Widths are bits."""

    word: int

    @property
    def parser(self) -> int:
        """How source 1 is encoded."""
        return self.word & 3

    @property
    def width(self) -> int:
        """Of an element of source 1, unless it says so itself."""
        return (self.word >> 2 & 31) + 1

    @property
    def width_2(self) -> int:
        """Of an element of source 2."""
        return (self.word >> 7 & 31) + 1

    @property
    def big_2(self) -> bool:
        """Whether the highest bits of source 2 come first."""
        return bool(self.word >> 12 & 1)

    @property
    def output_width(self) -> int:
        """8, 16 or 32; 0 where the output is packed."""
        return _WIDTHS[self.word >> 13 & 3]

    @property
    def output_big(self) -> bool:
        """Whether the highest bits, or bytes, of the output come first."""
        return bool(self.word >> 15 & 1)

    @property
    def invert(self) -> bool:
        """Whether the bits of the output are complemented."""
        return bool(self.word >> 16 & 1)

    @property
    def drop_low(self) -> int:
        """Bits of an element that are left out at its lower end."""
        return self.word >> 17 & 31

    @property
    def drop_high(self) -> int:
        """Bits of an element that are left out at its upper end."""
        return self.word >> 22 & 31


class Output:
    """What a filter yields: packed, or widened, or as the indices of its ones; and the aggregates of what it was before."""

    def __init__(self, job: IaaJob, flags: Flags, width: int, first_index: int) -> None:
        self._job, self._flags, self._width = job, flags, width
        self._index = first_index  # of the next element
        self._packer = Packer(width, big=flags.output_big)
        self._count, self._total, self._low, self._high = 0, 0, _NONE, 0
        if flags.output_width and width > 1 and flags.output_width < width:
            raise Analyzed(OUTPUT_TOO_NARROW, f"elements of {width} bits in an output of {flags.output_width}")

    def add(self, values: Values) -> None:
        """The next elements."""
        if not len(values):
            return
        if self._width == 1:
            self._add_bits(values ^ np.uint32(self._flags.invert))
        else:
            self._low, self._high = min(self._low, int(values.min())), max(self._high, int(values.max()))
            self._total += int(values.sum(dtype=np.uint64))
            self._write(values)
        self._count += len(values)
        self._index += len(values)

    def _add_bits(self, bits: Values) -> None:
        ones = np.flatnonzero(bits) + self._index
        if len(ones):
            self._low, self._high = min(self._low, int(ones[0])), int(ones[-1])
            self._total += len(ones)
        width = self._flags.output_width
        if width and len(ones) and ones[-1] >> width:
            raise Analyzed(OUTPUT_TOO_NARROW, f"index {int(ones[-1])} in an output of {width} bits")
        self._write(ones.astype(np.uint32) if width else bits)

    def _write(self, values: Values) -> None:
        width = self._flags.output_width
        if width:
            self._job.write(values.astype(f"{'>' if self._flags.output_big else '<'}u{width // 8}").tobytes())
        else:
            self._job.write(self._packer.put(values))

    def result(self) -> Result:
        """The end of the output, and what the record tells."""
        bits = 0
        if not self._flags.output_width:
            self._job.write(self._packer.rest())
            bits = self._count * self._width & 7
        return Result(self._job.written, bits, self._low & _NONE, self._high & _NONE, self._total & _NONE)


@dataclass(eq=False)
class Filter:
    """One filter being carried out: the elements of its sources, and where its output goes."""

    job: IaaJob
    flags: Flags
    parameters: Parameters
    width: int  # of an element of source 1
    elements: Callable[[int], Iterator[Values]]
    output: Callable[[int], Output]

    @property
    def count(self) -> int:
        """Number of elements, of source 1, or of source 2 if that decides."""
        return self.job.elements

    def second(self, count: int) -> Iterator[Values]:
        """The elements of source 2."""
        pieces, flags = self.job.second(), self.flags
        return packed(pieces, flags.width_2, count, big=flags.big_2, too_few=SOURCE_2_TOO_SMALL)

    def dropped(self, values: Values) -> Values:
        """Elements without their low and high bits."""
        return values >> np.uint32(self.flags.drop_low) & np.uint32((1 << self.set_width) - 1)

    @property
    def set_width(self) -> int:
        """Bits that are left of an element."""
        return max(0, self.width - self.flags.drop_low - self.flags.drop_high)


def _scan(f: Filter) -> Output:
    """A bit for each element: whether it lies between the two parameters."""
    out, low, high = f.output(1), f.parameters.low, f.parameters.high
    for values in f.elements(f.count):
        out.add(((values >= low) & (values <= high)).astype(np.uint32))
    return out


def _set_membership(f: Filter) -> Output:
    """A bit for each element: that of source 2 which the element names."""
    members = np.concatenate(list(f.second(1 << f.set_width)))
    out = f.output(1)
    for values in f.elements(f.count):
        out.add(members[f.dropped(values)])
    return out


def _find_unique(f: Filter) -> Output:
    """A bit for each value that an element could have: whether one has it."""
    found, out = np.zeros(1 << f.set_width, np.uint32), f.output(1)
    for values in f.elements(f.count):
        found[f.dropped(values)] = 1
    out.add(found)
    return out


def _extract(f: Filter) -> Output:
    """The elements whose places lie between the two parameters."""
    out, at = f.output(f.width), 0
    for values in f.elements(f.count):
        first, last = max(0, f.parameters.low - at), max(0, f.parameters.high + 1 - at)
        out.add(values[first:last])
        at += len(values)
    return out


def _select(f: Filter) -> Output:
    """The elements at which source 2 has a one."""
    out, mask = f.output(f.width), _Ahead(f.second(f.count))
    for values in f.elements(f.count):
        out.add(values[mask.take(len(values)) != 0])
    return out


def _expand(f: Filter) -> Output:
    """For each one in source 2 the next element, for each zero a zero."""
    out, values = f.output(f.width), _Ahead(f.elements(_NONE))
    for bits in f.second(f.count):
        spread = np.zeros(len(bits), np.uint32)
        ones = bits != 0
        spread[ones] = values.take(int(ones.sum()))
        out.add(spread)
    return out


def _rle_burst(f: Filter) -> Output:
    """Each element of source 2 as often as source 1 says: by a count, or with 32 bits by where it ends."""
    out = f.output(f.flags.width_2)
    ends = f.width == 32
    values = _Ahead(f.second(f.count - ends))
    before = np.zeros(0, np.int64)
    for counts in f.elements(f.count):
        times = counts.astype(np.int64)
        if ends:
            marks = np.concatenate((before, times))
            before, times = marks[-1:], np.diff(marks)
            if len(times) and (times.min() < 0 or times.max() > _LONGEST_RUN):
                raise Analyzed(BAD_COUNTS, "the places of source 1 decrease, or lie more than 65535 apart")
        _burst(out, values.take(len(times)), times)
    return out


def _burst(out: Output, values: Values, times: NDArray[np.int64]) -> None:
    """Repeat, without making much more than ``_FULL`` elements at once."""
    group = np.cumsum(times) // _FULL
    for part in np.split(np.arange(len(times)), np.flatnonzero(np.diff(group)) + 1):
        out.add(np.repeat(values[part], times[part]))


class _Ahead:
    """Elements that come in batches, to be taken in any number."""

    def __init__(self, batches: Iterator[Values]) -> None:
        self._batches, self._held = batches, np.zeros(0, np.uint32)

    def take(self, count: int) -> Values:
        """The next ``count``; whoever makes the batches says what is wrong if there are fewer."""
        parts, held = [self._held], len(self._held)
        while held < count:
            parts.append(next(self._batches))
            held += len(parts[-1])
        joined = np.concatenate(parts)
        self._held = joined[count:]
        return joined[:count]


_FILTERS: dict[int, Callable[[Filter], Output]] = {
    Op.SCAN: _scan,
    Op.SET_MEMBERSHIP: _set_membership,
    Op.EXTRACT: _extract,
    Op.SELECT: _select,
    Op.RLE_BURST: _rle_burst,
    Op.FIND_UNIQUE: _find_unique,
    Op.EXPAND: _expand,
}


def run_filter(job: IaaJob, o: DescriptorOutcome) -> Result:
    """The filter that the descriptor names."""
    state = aecs.parser_state(b"" if job.d.opcode in TWO_SOURCES else job.aecs())
    job.sums.crc, job.sums.xor = state.sums
    flags, pieces = Flags(job.filter), inflated(job, state, job.sums)
    width, elements = _first(job, flags, pieces)
    given_way = partial(_giving_way, job, elements)
    index = state.parameters.first_index
    f = Filter(job, flags, state.parameters, width=width, elements=given_way, output=lambda wide: Output(job, flags, wide, index))
    if job.d.opcode in SETS and not 0 < f.set_width <= set_width(job.m.gencap, bool(job.flags & 1)):
        raise Analyzed(SET_TOO_WIDE, f"{f.set_width} bits of an element are too many, or none")
    result = _FILTERS[job.d.opcode](f).result()
    for _ in pieces:  # what no element needed still counts for the checksums
        pass
    return result


def _giving_way(job: IaaJob, elements: Callable[[int], Iterator[Values]], count: int) -> Iterator[Values]:
    """A run of a few bytes may stand for a billion elements."""
    for values in elements(count):
        job.turn(values.nbytes)
        yield values


def set_width(gencap: int, decompressing: bool) -> int:
    """The most bits that may index a set: GENCAP 46:42 with decompression, 51:47 without (intel/qpl, hw_devices.h)."""
    return (gencap >> (42 if decompressing else 47) & 31) + 1


def _first(job: IaaJob, flags: Flags, pieces: Iterator[memoryview]) -> tuple[int, Callable[[int], Iterator[Values]]]:
    """The width of source 1, and how to take its elements."""
    if flags.parser == PARQUET:
        runs = Runs(pieces)
        return runs.width, runs.elements
    too_few = 32 if job.flags & 1 else 23
    return flags.width, lambda count: packed(pieces, flags.width, count, big=bool(flags.parser), too_few=too_few)
