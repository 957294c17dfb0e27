"""Operations that look for differences: compare, compare pattern, create and apply delta record."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator.abi import Descriptor, Flag, Status
from pasidlab.accelerator.limits import DELTA_SIZE
from pasidlab.accelerator.transfer import CHUNK, DESTINATION, SOURCE, SOURCE_2, Access, Bytes, DescriptorOutcome

DELTA = np.dtype([("offset", "<u2"), ("data", "<u8")])  # 8.3.8: offset in units of 8 bytes


def first_difference(a: Bytes, b: Bytes) -> int:
    """Index of the first unequal byte, -1 if there is none."""
    whole = len(a) & ~7
    words = a[:whole].view(np.uint64) != b[:whole].view(np.uint64)
    at = 8 * int(words.argmax()) if words.any() else whole
    rest = a[at : at + 8] != b[at : at + 8]
    return at + int(rest.argmax()) if rest.any() else -1


def _verdict(d: Descriptor, m: Access, o: DescriptorOutcome, difference: int) -> DescriptorOutcome:
    """Result, and the status that Check Result asks for (table 8-17); ``difference`` is an offset, -1 for none."""
    o.result = int(difference >= 0)
    o.bytes_completed, o.moved = max(difference, 0), d.size if difference < 0 else difference
    if difference >= 0 and not any(start <= m.absent <= start + difference for start in (d.first, d.second)):
        m.absent = 0  # beyond the difference: the device does not come that far
    if d.flags & Flag.CHECK_RESULT and o.result != d.tail40 & 1:
        o.status, o.reason = Status.FALSE_PREDICATE, f"result {o.result}, expected {d.tail40 & 1}"
    return o


def compare(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """Two regions; a difference before a fault is reported instead of the fault (DSA spec 8.3.6)."""
    bench, inside = m.bench, m.inside("equal", d.size, d.first, d.second)
    done = inside(d.first, d.second, d.size) if inside else 0
    while done < d.size:
        length = min(CHUNK, d.size - done)
        one, two = m.read(d.first + done, bench.view_a[:length]), m.read(d.second + done, bench.view_b[:length])
        both = min(one, two)
        at = first_difference(bench.a[:both], bench.b[:both])
        if at >= 0:
            return _verdict(d, m, o, done + at)
        done += both
        if both < length:
            fault, operand = (d.first, SOURCE) if one == both else (d.second, SOURCE_2)
            return m.fault(o, fault + done, done, operand)
    return _verdict(d, m, o, -1)


def compare_pattern(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """A region and an 8-byte pattern; the offset given is exact (DSA spec 8.3.7 allows less)."""
    bench, inside = m.bench, m.inside("equal_pattern", d.size, d.first)
    done = inside(d.first, d.second, d.size) // 8 * 8 if inside else 0
    pattern = np.full(min(CHUNK, d.size + 7) // 8, d.second, np.uint64).view(np.uint8)
    while done < d.size:
        length = min(CHUNK, d.size - done)
        got = m.read(d.first + done, bench.view_a[:length])
        at = first_difference(bench.a[:got], pattern[:got])
        if at >= 0:
            return _verdict(d, m, o, done + at)
        done += got
        if got < length:
            return m.fault(o, d.first + done, done, SOURCE)
    return _verdict(d, m, o, -1)


def create_delta(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """The 8-byte words of source 2 that differ from source 1, with their offsets (DSA spec 8.3.8)."""
    bench, most = m.bench, (d.tail48 & 0xFFFFFFFF) // DELTA_SIZE
    one, two = m.read(d.first, bench.view_a[: d.size]), m.read(d.second, bench.view_b[: d.size])
    both = min(one, two) & ~7
    words = bench.b[:both].view("<u8")
    where = np.flatnonzero(bench.a[:both].view("<u8") != words)
    deltas = np.empty(min(len(where), most), DELTA)
    deltas["offset"], deltas["data"] = where[:most], words[where[:most]]
    put = m.write(d.tail40, deltas.view(np.uint8).data) if len(deltas) else 0
    written = put // DELTA_SIZE
    o.tail, o.moved = (written * DELTA_SIZE).to_bytes(4, "little"), both
    if put < len(deltas) * DELTA_SIZE:
        o.result = int(written > 0)
        return m.fault(o, d.tail40 + put, int(where[written]) * 8, DESTINATION, write=True)
    if len(where) > most:
        return _delta_verdict(d, o, 2, int(where[most]) * 8)
    if both < d.size:
        o.result = int(written > 0)
        fault, operand = (d.first + one, SOURCE) if one <= two else (d.second + two, SOURCE_2)
        return m.fault(o, fault, both, operand)
    return _delta_verdict(d, o, int(len(where) > 0), 0)


def _delta_verdict(d: Descriptor, o: DescriptorOutcome, result: int, completed: int) -> DescriptorOutcome:
    o.result, o.bytes_completed = result, completed
    if d.flags & Flag.CHECK_RESULT and not d.tail56 >> result & 1:
        o.status, o.reason = Status.FALSE_PREDICATE, f"result {result}, expected result mask 0x{d.tail56 & 0xFF:02x}"
    return o


def apply_delta(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """Write each delta to its place, until an offset is wrong or a page is missing (DSA spec 8.3.9)."""
    size = (d.tail40 & 0xFFFFFFFF) // DELTA_SIZE * DELTA_SIZE
    done, last = 0, -1
    piece = CHUNK // DELTA_SIZE * DELTA_SIZE
    while done < size:
        length = min(piece, size - done)
        got = m.read(d.first + done, m.bench.view_a[:length])
        deltas = m.bench.a[: got // DELTA_SIZE * DELTA_SIZE].view(DELTA)
        offsets = deltas["offset"].astype(np.int64)
        good, error = _good_offsets(offsets, last, d.size)
        start = done
        put = _scatter(m, d.second, offsets[:good], deltas["data"][:good].tobytes())
        done += put // 8 * DELTA_SIZE
        o.moved = o.bytes_completed = done
        if put < 8 * good:
            return m.fault(o, d.second + 8 * int(offsets[put // 8]) + put % 8, done, DESTINATION, write=True)
        if error:
            o.status, o.reason = error, f"delta {done // DELTA_SIZE} has offset 0x{8 * int(offsets[good]):x}"
            return o
        if got < length:
            return m.fault(o, d.first + start + got, done, SOURCE)
        last = int(offsets[-1])
    o.bytes_completed = 0
    return o


def _good_offsets(offsets: NDArray[np.int64], last: int, size: int) -> tuple[int, int]:
    """How many offsets increase and lie below ``size`` bytes, and the status for the first that does not."""
    falling = np.diff(offsets, prepend=last) <= 0
    beyond = offsets * 8 >= size
    wrong = falling | beyond
    if not wrong.any():
        return len(offsets), 0
    good = int(wrong.argmax())
    return good, Status.DELTA_OFFSETS_NOT_INCREASING if falling[good] else Status.DELTA_OFFSET_RANGE


def _scatter(m: Access, base: int, offsets: NDArray[np.int64], data: bytes) -> int:
    """Write 8-byte words at ``base + 8 * offset``, neighbours together; bytes written before the first fault."""
    if not len(offsets):
        return 0
    scatter = getattr(m.memory, "scatter", None)
    if scatter and not m.strict:
        return int(scatter((base + 8 * offsets.astype(object)).tolist(), data))
    starts = np.flatnonzero(np.diff(offsets, prepend=-2) != 1)
    ends = np.append(starts[1:], len(offsets))
    view = memoryview(data)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        put = m.write(base + 8 * int(offsets[start]), view[8 * start : 8 * end])
        if put < 8 * (end - start):
            return 8 * start + put
    return len(data)
