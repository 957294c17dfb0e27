"""Pages of the kernel's ring buffer, decoded (kernel/trace/ring_buffer.c, include/linux/ring_buffer.h).

Each page has a time stamp and a length, then events. An event's head has 5 bits of type and 27 bits of time since the event before.
Compiled, since a recording has millions of events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pasidlab.errors import PasidlabError
from pasidlab.observe.kinds import Kind
from pasidlab.observe.recording import About, Paged
from pasidlab.search.memory import compiled

TIME, CPU, KIND, PID, FLAGS, A, B, C, D = range(9)
COLUMNS = 9
"""Columns of an event: time in units of the clock; common_pid; common_flags; and the fields of ``kinds.EVENTS``."""

EventTable = NDArray[np.int64]
"""A row for each event."""
Bytes = NDArray[np.uint8]

PADDING, TIME_EXTEND, TIME_STAMP = 29, 30, 31  # enum ring_buffer_type
MISSED_EVENTS, MISSED_STORED = 1 << 31, 1 << 30  # RB_MISSED_*, in ``commit``
LENGTH = 0xFFFFF
NUMBER_BITS = 12
"""Event numbers below 1 << 12 have a row in the table of layouts."""
FIELDS = 4
SMALLEST_EVENT = 8
"""Bytes: no record is smaller than its common fields, and a head is 4."""

LOST = int(Kind.LOST)
GOOD, BAD_LENGTH, BAD_EVENT = 0, 1, 2
_DAMAGE = {BAD_LENGTH: "a page that is longer than a page", BAD_EVENT: "an event that is longer than its page"}


ENDBR_INSN_SIZE = 4
"""arch/x86/include/asm/ibt.h, v6.12."""


def call_sites(address: str) -> list[int]:
    """Where the function tracer's call may stand in a function: at its entry, or behind its ENDBR64 (CONFIG_X86_KERNEL_IBT).

    ``address``: hexadecimal digits.
    """
    entry = int(address, 16)
    return [site - (1 << 64) if site >> 63 else site for site in (entry, entry + ENDBR_INSN_SIZE)]


@dataclass(frozen=True)
class Layouts:
    """Where the fields of each event lie: ``kinds`` by event number, ``places`` by event number and column (offset, size, signed)."""

    kinds: NDArray[np.uint8]
    places: NDArray[np.int32]

    @staticmethod
    def of(about: About) -> Layouts:
        """The layouts of a recording."""
        kinds = np.zeros(1 << NUMBER_BITS, np.uint8)
        places = np.zeros((1 << NUMBER_BITS, FIELDS, 3), np.int32)
        for event, form in about.recorded():
            if form.number >= 1 << NUMBER_BITS:
                raise PasidlabError(f"event {event.path} has the number {form.number}: the recording is damaged")
            kinds[form.number] = event.kind
            for column, name in enumerate(event.fields):
                place = form.place(name)
                if event.needed and place is None:
                    raise PasidlabError(f"{event.path} has no field {name}", hint="the recording is damaged")
                if place:
                    places[form.number, column] = place.offset, place.size, place.signed
        return Layouts(kinds, places)


@compiled("int64(uint8[::1], int64, int64, int64)")
def _word(data: Bytes, at: int, size: int, signed: int) -> int:
    value = np.int64(0)
    for n in range(size):
        value |= np.int64(data[at + n]) << np.int64(8 * n)
    if signed and size < 8 and data[at + size - 1] & 0x80:
        value |= np.int64(-1) << np.int64(8 * size)
    return value  # type: ignore[return-value]


@compiled("int64(uint8[::1], int64, int64, int32[::1])")
def _field(data: Bytes, body: int, size: int, place: NDArray[np.int32]) -> int:
    if place[1] == 0 or place[0] + place[1] > size:
        return 0
    return _word(data, body + place[0], place[1], place[2])


@compiled("boolean(uint8[::1], int64, int64, Tuple((uint8[::1], int32[:,:,::1])), int64[::1])")
def _event(data: Bytes, body: int, size: int, layouts: tuple[Bytes, NDArray[np.int32]], row: NDArray[np.int64]) -> bool:
    """The kind, flags, pid and fields of an event; False for one of a kind that is not asked for."""
    kinds, places = layouts
    number = _word(data, body, 2, 0)
    if number >= len(kinds) or not kinds[number]:
        return False
    row[KIND], row[FLAGS], row[PID] = kinds[number], data[body + 2], _word(data, body + 4, 4, 1)
    for column in range(FIELDS):
        row[A + column] = _field(data, body, size, places[number, column])
    return True


@compiled("void(int64[::1], int64, int64, int64)")
def _lost(row: NDArray[np.int64], time: int, cpu: int, events: int) -> None:
    """A row that says that events of a CPU were lost before a page, and how many if the page says so."""
    row[:] = 0
    row[TIME], row[CPU], row[KIND], row[PID], row[A] = time, cpu, LOST, -1, events


@compiled("Tuple((int64, int64))(uint8[::1], int64, int64, int64, Tuple((uint8[::1], int32[:,:,::1])), int64[:,::1])")
def _decode(
    data: Bytes, cpu: int, page_bytes: int, offset: int, layouts: tuple[Bytes, NDArray[np.int32]], out: EventTable
) -> tuple[int, int]:
    """The events of whole pages; how many there are, and what is wrong with the pages."""
    count = 0
    for start in range(0, len(data) - page_bytes + 1, page_bytes):
        time = _word(data, start, 8, 0)
        commit = _word(data, start + 8, 8, 0)
        at, end = start + offset, start + offset + (commit & LENGTH)
        if end > start + page_bytes:
            return count, BAD_LENGTH
        if commit & MISSED_EVENTS:
            told = commit & MISSED_STORED != 0 and end + 8 <= start + page_bytes
            _lost(out[count], time, cpu, _word(data, end, 8, 0) if told else 0)
            count += 1
        while at + 4 <= end:
            head = _word(data, at, 4, 0)
            kind, delta = head & 31, head >> 5
            body = at + 4
            if kind == PADDING:
                if delta == 0:
                    break
                at += 4 + _word(data, body, 4, 0)
                time += delta
                continue
            if kind in (TIME_EXTEND, TIME_STAMP):
                far = delta + (_word(data, body, 4, 0) << 27)
                time = time + far if kind == TIME_EXTEND else (time & ~((1 << 59) - 1)) | far
                at += 8
                continue
            time += delta
            size = kind * 4 if kind else _word(data, body, 4, 0) - 4
            body += 0 if kind else 4
            if size < SMALLEST_EVENT or body + size > end:
                return count, BAD_EVENT
            if _event(data, body, size, layouts, out[count]):
                out[count, TIME], out[count, CPU] = time, cpu
                count += 1
            at = body + size
    return count, GOOD


def decoded(recording: Paged, cpu: int, most: int = 1 << 20) -> Iterator[EventTable]:
    """The events of a CPU in order, in pieces of at most about ``most`` bytes of pages.

    PasidlabError for damaged pages, and for a clock that goes back: what was first on which CPU is then not known.
    """
    about, layouts, last = recording.about, Layouts.of(recording.about), 0
    for data in recording.pages(cpu, most):
        if len(data) % about.page_bytes:
            raise PasidlabError(f"{recording.path}: a page of CPU {cpu} is cut off", hint="the recording is damaged: record again")
        out = np.empty((len(data) // (4 + SMALLEST_EVENT) + len(data) // about.page_bytes + 1, COLUMNS), np.int64)
        bytes_ = np.frombuffer(data, np.uint8).copy()
        count, wrong = _decode(bytes_, cpu, about.page_bytes, about.data_offset, (layouts.kinds, layouts.places), out)
        if wrong:
            raise PasidlabError(f"{recording.path}: CPU {cpu} has {_DAMAGE[wrong]}", hint="the recording is damaged: record again")
        times = out[:count, TIME]
        if count and (times[0] < last or (times[1:] < times[:-1]).any()):
            what = f"{recording.path}: the clock of CPU {cpu} goes back"
            raise PasidlabError(what, hint="the recording is damaged, or the clock is: record again")
        last = int(times[-1]) if count else last
        yield out[:count]
