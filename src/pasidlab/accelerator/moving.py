"""Operations that move bytes (memory move, fill, dualcast) or only translate (cache flush, translation fetch)."""

from __future__ import annotations

from pasidlab.accelerator import abi
from pasidlab.accelerator.abi import Descriptor, Status
from pasidlab.accelerator.transfer import CHUNK, DESTINATION, DESTINATION_2, PAGE, SOURCE, Access, DescriptorOutcome


def memory_move(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """Copy, backwards where the destination begins inside the source (DSA spec 8.3.4)."""
    source, destination, size = d.first, d.second, d.size
    if source < destination < source + size:
        return _move_backwards(d, m, o)
    view, inside = m.bench.view_a, m.inside("copy", size, source, destination)
    done = inside(destination, source, size) if inside else 0
    while done < size:
        piece = view[: min(CHUNK, size - done)]
        got = m.read(source + done, piece)
        put = m.write(destination + done, piece[:got]) if got < len(piece) else m.write(destination + done, piece)
        done += put
        if put < got:
            return m.fault(o, destination + done, done, DESTINATION, write=True)
        if got < len(piece):
            return m.fault(o, source + done, done, SOURCE)
    o.moved = size
    return o


def _move_backwards(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """From the end down: nothing that a continuation still has to read is overwritten. A fault reports result 1."""
    source, destination, left, view = d.first, d.second, d.size, m.bench.view_a
    while left:
        length = min(CHUNK, left)
        done = _chunk_backwards(m, source + left - length, destination + left - length, view[:length])
        left -= done
        if done < length:
            return _fault_backwards(d, m, o, left)
    o.moved = d.size
    return o


def _chunk_backwards(m: Access, source: int, destination: int, piece: memoryview) -> int:
    """Bytes at the end of one chunk that were moved."""
    length, before = len(piece), m.bench.view_b[: len(piece)]
    if m.read(source, piece) == length and m.read(destination, before) == length:
        put = m.write(destination, piece)
        if put == length:
            return length
        m.write(destination, before[:put])  # these bytes come after the fault in the order of this copy
    done = 0
    while done < length:  # page by page, so that the fault met first from the end is the one that stops it
        end_source, end_destination = source + length - done, destination + length - done
        size = min(length - done, (end_source - 1) % PAGE + 1, (end_destination - 1) % PAGE + 1)
        part = piece[length - done - size : length - done]
        if m.read(end_source - size, part) < size or m.write(end_destination - size, part) < size:
            break
        done += size
    return done


def _fault_backwards(d: Descriptor, m: Access, o: DescriptorOutcome, left: int) -> DescriptorOutcome:
    """Which operand stopped a backward copy whose first ``left`` bytes are still to be moved."""
    o.result = 1
    last = d.first + left - 1
    if m.read(last, m.bench.view_b[:1]) < 1:
        return m.fault(o, max(d.first, last & ~(PAGE - 1)), d.size - left, SOURCE)
    last = d.second + left - 1
    return m.fault(o, max(d.second, last & ~(PAGE - 1)), d.size - left, DESTINATION, write=True)


def fill(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """Repeat an 8-byte pattern, or a 16-byte one (DSA spec 8.3.5)."""
    pattern = d.first.to_bytes(8, "little")
    if d.flags & abi.PATTERN_16:
        pattern += d.tail40.to_bytes(8, "little")
    size, inside = d.size, m.inside("fill", d.size, d.second)
    done = inside(d.second, pattern, size) // len(pattern) * len(pattern) if inside else 0
    piece = memoryview(pattern * (min(CHUNK, size) // len(pattern) + 1))
    while done < size:
        length = min(CHUNK, size - done)
        put = m.write(d.second + done, piece[:length])
        done += put
        if put < length:
            return m.fault(o, d.second + done, done, DESTINATION, write=True)
    o.moved = size
    return o


def dualcast(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """Copy to two destinations, leaving the same number of bytes in both (DSA spec 8.3.10)."""
    view, before, size, done = m.bench.view_a, m.bench.view_b, d.size, 0
    while done < size:
        length = min(CHUNK, size - done)
        got = m.read(d.first + done, view[:length])
        kept = m.read(d.second + done, before[:got])
        one = m.write(d.second + done, view[:kept])
        two = m.write(d.tail40 + done, view[:one])
        if two < one:
            m.write(d.second + done + two, before[two:one])
        done += two
        if two < one:
            return m.fault(o, d.tail40 + done, done, DESTINATION_2, write=True)
        if one < got:
            return m.fault(o, d.second + done, done, DESTINATION, write=True)
        if got < length:
            return m.fault(o, d.first + done, done, SOURCE)
    o.moved = size
    return o


def cache_flush(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """Nothing to flush here, but every page must translate (DSA spec 8.3.26)."""
    done = _readable(m, d.second, d.size)
    if done < d.size:
        return m.fault(o, d.second + done, done, DESTINATION)
    o.moved = d.size
    return o


def _readable(m: Access, address: int, size: int) -> int:
    """Bytes from ``address`` that can be read, at most ``size``."""
    done = 0
    while done < size:
        length = min(CHUNK, size - done)
        got = m.read(address + done, m.bench.view_a[:length])
        done += got
        if got < length:
            break
    return done


def translation_fetch(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """Translate one address per stride; a fault says where, bytes completed is undefined (DSA spec 8.3.11)."""
    stride = d.tail48 & 0xFFFFFFFF if d.flags & abi.USE_STRIDE else PAGE
    if stride == PAGE:
        done = _readable(m, d.first, d.size)
        return o if done == d.size else m.fault(o, d.first + done, 0, SOURCE)
    probe = m.bench.view_a[:1]
    for address in range(d.first, d.first + d.size, stride):
        if m.read(address, probe) < 1:
            return m.fault(o, address, 0, SOURCE)
    return o


def no_operation(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """No-op (DSA spec 8.3.1)."""
    return o


def drain(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """The queue has waited already; read back the addresses the descriptor names (DSA spec 8.3.3, 3.12)."""
    probe = m.bench.view_a[:1]
    for flag, address, operand in ((abi.READBACK_1, d.first, SOURCE), (abi.READBACK_2, d.second, 2)):
        if d.flags & flag and m.memory.read_into(address, probe) < 1:
            m.fault(o, address, 0, operand)
            o.status = Status.READBACK_PAGE_FAULT
            return o
    return o
