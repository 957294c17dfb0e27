"""The compiled loops of a log in slices: states of several words, stored as numbers of the values that their slices have.

A slice is a mask over a packed state: what belongs to one CPU, say. All values that a slice has had are in a table, which all partitions
share; a state in a log is the numbers of its values, side by side, without gaps. Each partition gives a number as many bits as it needs,
and cuts its log anew when a number needs more. A key of a partition's table is half a word, in lines of sixteen; 0 is none. It is some bits
of the state's hash, and below that the state's place in the log, from 1.

Exact, whatever the masks are, under one condition: each bit of a state is in some mask. ``Slices`` sees to that. A state that is looked
for is compared with every state in the log whose key is equal, word by word.

Rows are addresses here: that of partition p's row, and that of the first of ``count`` slices' rows.

A partition is worked on by one thread, but the values are all threads' own. A value is added under the lock of its slice. Its number
is published after the value: who finds the number finds the value. Tables of values move only while no thread is in here.
"""

from __future__ import annotations

from pasidlab.search.memory import (
    claim,
    compiled,
    equal_halves,
    load32,
    load64,
    prefetch,
    publish,
    shift_right,
    store32,
    store64,
    trailing_zeros,
)
from pasidlab.search.partition import (
    BATCH,
    BITS,
    COUNT,
    CROWDED,
    FULL,
    LIMIT,
    LINE,
    LINES,
    LOG,
    MOST_SLICES,
    PLACE,
    PLACE_BITS,
    ROOM,
    TABLE,
    WIDTHS,
    hash_state,
    line_of,
)

# Columns of a slice's row.
MASK = 0  # address of its bits in a packed state
VALUES = 1  # address of its values, as long as a state each
INDEX = 2  # address of the numbers of values plus 1, four bytes each; 0 is none
PLACES = 3  # of the index, less one: a power of two
SIZE = 4  # values
MOST = 5  # values there is room for
LOCK = 6  # address of a word: 1 while a thread adds a value
SLICE_COLUMNS = 8

SLICE_ROW = 8 * SLICE_COLUMNS  # bytes

SCRATCH = 8 * (2 * MOST_SLICES + 16)  # bytes a caller provides: two words a slice, and a state
_STATE = 16 * MOST_SLICES  # where the state is


_NUMBERS = 8 * MOST_SLICES  # of a state's values
_WORD = 8  # bytes
_MOST_BITS = 56  # that one word holds wherever they begin
_FEW = 4  # words of a state that registers hold


@compiled("int64(int64, int64)")
def _of(row: int, column: int) -> int:
    """What a row has in a column."""
    value: int = load64(row + _WORD * column)
    return value


@compiled("void(int64, int64, int64)")
def _put(row: int, column: int, value: int) -> None:
    store64(row + _WORD * column, value)


@compiled("int64(int64, int64, int64)")
def value_number(slice_row: int, state: int, words: int) -> int:
    """Number of the value that a state has in a slice; if there is none, -1 less the place of the index where it belongs."""
    mask, values, index, places = _of(slice_row, MASK), _of(slice_row, VALUES), _of(slice_row, INDEX), _of(slice_row, PLACES)
    h, factor = 0, -0x61C8864680B583EB
    for w in range(words):
        h += (load64(state + 8 * w) & load64(mask + 8 * w)) * factor
        factor *= -0x3D4D51C2D82B14B1
    h ^= shift_right(h, 32)
    at = shift_right(h * -0x2917014799A6026D, 24) & places
    while True:
        number = load32(index + 4 * at) - 1
        if number < 0:
            return -1 - at
        w, value = 0, values + number * words * 8
        while w < words and load64(state + 8 * w) & load64(mask + 8 * w) == load64(value + 8 * w):
            w += 1
        if w == words:
            return number
        at = (at + 1) & places


@compiled("int64(int64, int64, int64)")
def interned(slice_row: int, state: int, words: int) -> int:
    """Number of the value that a state has in a slice, which is added if there is none; -1: there is no room."""
    number = value_number(slice_row, state, words)
    if number >= 0:
        return number
    lock = _of(slice_row, LOCK)
    while claim(lock) == 0:
        pass
    number = value_number(slice_row, state, words)
    if number < 0:
        at, number, size = -1 - number, -1, _of(slice_row, SIZE)
        if size < _of(slice_row, MOST):
            number, value, mask = size, _of(slice_row, VALUES) + size * words * 8, _of(slice_row, MASK)
            for w in range(words):
                store64(value + 8 * w, load64(state + 8 * w) & load64(mask + 8 * w))
            _put(slice_row, SIZE, size + 1)
            publish(_of(slice_row, INDEX) + 4 * at, size + 1)
    publish(lock, 0)
    return number


@compiled("void(int64, int64)")
def reindex(slice_row: int, words: int) -> None:
    """Fill an empty index of a slice with all of its values."""
    for number in range(_of(slice_row, SIZE)):
        at = -1 - value_number(slice_row, _of(slice_row, VALUES) + number * words * 8, words)
        store32(_of(slice_row, INDEX) + 4 * at, number + 1)


@compiled("void(int64, int64, int64, int64)")
def _put_bits(log: int, at: int, width: int, value: int) -> None:
    """Change the bits from number ``at`` to ``value``, and no others."""
    to, shift = log + (at >> 3), at & 7
    store64(to, (load64(to) & ~(((1 << width) - 1) << shift)) | (value << shift))


@compiled("void(int64, int64, int64, int64, int64)")
def _read_numbers(log: int, at: int, widths: int, count: int, numbers: int) -> None:
    """The numbers from bit ``at`` of a log on, each as wide as ``widths`` has it."""
    have = rest = 0
    for c in range(count):
        width = load64(widths + 8 * c)
        if have < width:
            rest, have = shift_right(load64(log + (at >> 3)), at & 7), 64 - (at & 7)
        store64(numbers + 8 * c, rest & ((1 << width) - 1))
        rest, have, at = shift_right(rest, width), have - width, at + width


@compiled("void(int64, int64, int64, int64, int64)")
def _write_numbers(log: int, at: int, widths: int, count: int, numbers: int) -> None:
    """Write what ``_read_numbers`` reads."""
    used = bits = 0
    for c in range(count):
        width = load64(widths + 8 * c)
        if used + width > _MOST_BITS:
            _put_bits(log, at, used, bits)
            at, used, bits = at + used, 0, 0
        bits |= load64(numbers + 8 * c) << used
        used += width
    _put_bits(log, at, used, bits)


@compiled("void(int64, int64, int64, int64, int64, int64)")
def _read_few_words(row: int, slices: int, count: int, words: int, place: int, out: int) -> None:
    """``read_state`` for states of 2 to 4 words, which are put together in registers."""
    log, at, widths, have, rest = _of(row, LOG), place * _of(row, BITS), row + _WORD * WIDTHS, 0, 0
    first = second = third = fourth = 0
    for c in range(count):
        width = load64(widths + 8 * c)
        if have < width:
            rest, have = shift_right(load64(log + (at >> 3)), at & 7), 64 - (at & 7)
        value = _of(slices + c * SLICE_ROW, VALUES) + (rest & ((1 << width) - 1)) * words * 8
        rest, have, at = shift_right(rest, width), have - width, at + width
        first |= load64(value)
        second |= load64(value + 8)
        if words > 2:
            third |= load64(value + 16)
        if words > 3:
            fourth |= load64(value + 24)
    store64(out, first)
    store64(out + 8, second)
    if words > 2:
        store64(out + 16, third)
    if words > 3:
        store64(out + 24, fourth)


@compiled("void(int64, int64, int64, int64, int64, int64)")
def _find_values(row: int, slices: int, count: int, words: int, place: int, found: int) -> None:
    """Write the addresses of the values of a partition's state at ``place`` (from 0)."""
    _read_numbers(_of(row, LOG), place * _of(row, BITS), row + _WORD * WIDTHS, count, found)
    for c in range(count):
        store64(found + 8 * c, _of(slices + c * SLICE_ROW, VALUES) + load64(found + 8 * c) * words * 8)


@compiled("int64(int64, int64, int64)")
def _word(values: int, count: int, w: int) -> int:
    """Word ``w`` of the state with these values."""
    word = 0
    for c in range(count):
        word |= load64(load64(values + 8 * c) + 8 * w)
    return word


@compiled("void(int64, int64, int64, int64, int64, int64, int64)")
def read_state(row: int, slices: int, count: int, words: int, place: int, out: int, scratch: int) -> None:
    """Write a partition's state at ``place`` (from 0) as packed words."""
    if words <= _FEW:
        _read_few_words(row, slices, count, words, place, out)
        return
    _find_values(row, slices, count, words, place, scratch)
    for w in range(words):
        store64(out + 8 * w, _word(scratch, count, w))


@compiled("boolean(int64, int64, int64, int64, int64, int64, int64)")
def _same_as(row: int, slices: int, count: int, words: int, place: int, state: int, scratch: int) -> bool:
    """Whether a partition's state at ``place`` (from 0) is ``state``."""
    read_state(row, slices, count, words, place, scratch + _STATE, scratch)
    for w in range(words):  # noqa: SIM110
        if load64(scratch + _STATE + 8 * w) != load64(state + 8 * w):
            return False
    return True


@compiled("int64(int64, int64, int64, int64, int64, int64, int64)")
def probe_slices(row: int, slices: int, count: int, words: int, state: int, h: int, scratch: int) -> int:
    """Address of the key of ``state`` whose hash is ``h``, or of the empty place where it belongs."""
    table, lines, places = _of(row, TABLE), _of(row, LINES), (1 << _of(row, PLACE)) - 1
    tag, number = shift_right(h, PLACE_BITS) << _of(row, PLACE), line_of(h, lines)
    while True:
        line = table + number * LINE
        empty = equal_halves(line, -1, 0)
        equal = equal_halves(line, ~places, tag) & ~empty
        while equal != 0:
            at = line + 4 * trailing_zeros(equal)
            if _same_as(row, slices, count, words, (load32(at) & places) - 1, state, scratch):
                return at
            equal &= equal - 1
        if empty != 0:
            return line + 4 * trailing_zeros(empty)
        number += 1
        if number == lines:
            number = 0


@compiled("boolean(int64, int64, int64, int64)")
def _cut_anew(row: int, slices: int, count: int, scratch: int) -> bool:
    """Give the numbers of each slice as many bits as all its values need, in all of a partition's log. False: it has to grow first.

    From the last state to the first: a state moves to bits that only states behind it had.
    """
    log, states, old, widths, numbers = _of(row, LOG), _of(row, COUNT), _of(row, BITS), row + _WORD * WIDTHS, scratch + _NUMBERS
    bits = 0
    for c in range(count):
        width = load64(widths + 8 * c)
        while (_of(slices + c * SLICE_ROW, SIZE) - 1) >> width > 0:
            width += 1
        store64(scratch + 8 * c, width)
        bits += width
    if (states + BATCH) * bits > _of(row, ROOM):
        return False
    for place in range(states - 1, -1, -1):
        _read_numbers(log, place * old, widths, count, numbers)
        _write_numbers(log, place * bits, scratch, count, numbers)
    for c in range(count):
        store64(widths + 8 * c, load64(scratch + 8 * c))
    _put(row, BITS, bits)
    _put(row, LIMIT, min(_of(row, FULL), _of(row, ROOM) // max(bits, 1)))
    return True


@compiled("boolean(int64, int64, int64, int64, int64, int64)")
def _append(row: int, slices: int, count: int, words: int, state: int, scratch: int) -> bool:
    """Add a state to a partition's log. False: the values of a slice (``CROWDED``), or the log, have to grow first."""
    numbers, widths, fits = scratch + _NUMBERS, row + _WORD * WIDTHS, True
    for c in range(count):
        number = interned(slices + c * SLICE_ROW, state, words)
        if number < 0:
            _put(row, CROWDED, 1)
            return False
        store64(numbers + 8 * c, number)
        fits = fits and number >> load64(widths + 8 * c) == 0
    if not fits:
        if not _cut_anew(row, slices, count, scratch):
            return False
        for c in range(count):
            store64(numbers + 8 * c, value_number(slices + c * SLICE_ROW, state, words))
    _write_numbers(_of(row, LOG), _of(row, COUNT) * _of(row, BITS), widths, count, numbers)
    _put(row, COUNT, _of(row, COUNT) + 1)
    return True


@compiled("int64(int64, int64, int64, int64, int64, int64, int64, int64)")
def insert_slices(row: int, slices: int, count: int, words: int, batch: int, size: int, hashes: int, scratch: int) -> int:
    """Insert a batch of states into a partition; return how many were taken in: fewer than ``size`` if something has to grow first."""
    table, lines, log, bits, place_bits = _of(row, TABLE), _of(row, LINES), _of(row, LOG), _of(row, BITS), _of(row, PLACE)
    places = (1 << place_bits) - 1
    for k in range(size):
        h = load64(hashes + 8 * k)
        line = table + line_of(h, lines) * LINE
        equal = equal_halves(line, ~places, shift_right(h, PLACE_BITS) << place_bits)
        if equal != 0:
            place = load32(line + 4 * trailing_zeros(equal)) & places
            prefetch(log + ((place * bits) >> 3))
    for k in range(size):
        h, state = load64(hashes + 8 * k), batch + k * words * 8
        at = probe_slices(row, slices, count, words, state, h, scratch)
        if load32(at) == 0:
            if not _append(row, slices, count, words, state, scratch):
                return k
            store32(at, (shift_right(h, PLACE_BITS) << place_bits) | _of(row, COUNT))
    return size


@compiled("void(int64, int64, int64, int64, int64, int64, int64, int64)")
def refill(row: int, slices: int, count: int, words: int, table: int, lines: int, place_bits: int, scratch: int) -> None:
    """Fill an empty table with the keys of all states of a partition."""
    states, state, hashes = _of(row, COUNT), scratch + _STATE, scratch + _NUMBERS
    for first in range(0, states, BATCH):
        size = min(BATCH, states - first)
        for k in range(size):
            read_state(row, slices, count, words, first + k, state, scratch)
            h = hash_state(state, words)
            store64(hashes + 8 * k, h)
            prefetch(table + line_of(h, lines) * LINE)
        for k in range(size):
            h = load64(hashes + 8 * k)
            number = line_of(h, lines)
            empty = equal_halves(table + number * LINE, -1, 0)
            while empty == 0:
                number = number + 1 if number + 1 < lines else 0
                empty = equal_halves(table + number * LINE, -1, 0)
            store32(table + number * LINE + 4 * trailing_zeros(empty), (shift_right(h, PLACE_BITS) << place_bits) | (first + k + 1))


@compiled("int64(int64, int64, int64, int64, int64)")
def intern_run(slices: int, count: int, words: int, states: int, size: int) -> int:
    """Add the values of ``size`` states to the slices; return how many states were taken in: fewer if a slice has to grow first."""
    for k in range(size):
        for c in range(count):
            if interned(slices + c * SLICE_ROW, states + k * words * 8, words) < 0:
                return k
    return size


@compiled("void(int64, int64, int64, int64, int64, int64)")
def write_run(row: int, slices: int, count: int, words: int, states: int, scratch: int) -> None:
    """Write a partition's states anew, all there are in its log. The slices have their values, and the row their widths."""
    for place in range(_of(row, COUNT)):
        for c in range(count):
            store64(scratch + 8 * c, value_number(slices + c * SLICE_ROW, states + place * words * 8, words))
        _write_numbers(_of(row, LOG), place * _of(row, BITS), row + _WORD * WIDTHS, count, scratch)


@compiled("void(int64, int64, int64, int64, int64, int64, int64, int64)")
def read_run(row: int, slices: int, count: int, words: int, first: int, last: int, out: int, scratch: int) -> None:
    """Write a partition's states first..last-1 as packed words."""
    for place in range(first, last):
        read_state(row, slices, count, words, place, out + (place - first) * words * 8, scratch)
