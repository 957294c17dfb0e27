"""The compiled inner loops of the search: expand, scatter, insert, and the exact hash table they fill.

A packed state is ``words`` 64-bit words. The top bits of its hash select one of ``PARTITIONS`` partitions. A partition is a log of its
states in the order found, so in level order, and a table of keys. The 32 hash bits below the partition's, scaled to the number of lines,
are the line where a key belongs; from a full line it moves on to the next.

States of several words are in a log in slices (``slice_kernels``). For a state of one word the log has the state, and the key is its whole
hash, which is a bijection: the key is the state. Keys have 64 bits, in lines of eight; 0 is none. The partition's bits are all set in a
key, so no key is 0. One thread at a time works on a partition, so nothing is atomic.
"""

from __future__ import annotations

from pasidlab.search import observed as word_of
from pasidlab.search.memory import (
    below,
    call3,
    compiled,
    equal_lanes,
    load8,
    load32,
    load64,
    prefetch,
    shift_right,
    store8,
    store64,
    trailing_zeros,
)
from pasidlab.search.partition import (
    BATCH,
    COUNT,
    DONE,
    END,
    LIMIT,
    LINE,
    LINES,
    LOG,
    NEXT,
    PARTITIONS,
    PLACE,
    PLACE_BITS,
    PLACE_MASK,
    ROW,
    SOURCE,
    TABLE,
    TOP,
    Table,
    copy_state,
    hash_state,
    line_of,
)
from pasidlab.search.slice_kernels import insert_slices, probe_slices, read_state

_KEY_TOP = -1 << TOP  # set in every key

# Bytes from the start of `observed`.
STATE_BROKEN_AT = word_of.STATE_BROKEN * word_of.WORD
STEP_BROKEN_AT = word_of.STEP_BROKEN * word_of.WORD
ERROR_AT = word_of.ERROR * word_of.WORD
PENDING_AT = word_of.PENDING * word_of.WORD
AGAIN_AT = word_of.AGAIN * word_of.WORD

# A group's tally of what `expand` observed.
OPEN = 0  # property bits for which violations are still of interest
OPEN_ERROR = 1  # 1 if model errors are
BY_STATE = 2  # property bits violated by a state
BY_STEP = 3  # property bits violated by a step
ERROR = 4  # 1 after a model error
AGAIN = 5  # liveness bits of repeated faults seen
PENDING = 6  # liveness bits of states seen
TALLY = 8
ERROR_ROW = 128  # rows of a group's worst states: 0..63 by state, 64..127 by step, one for model errors
WORST_ROWS = 129


@compiled("int64(int64, int64, int64, int64, int64, int64)")
def keep_smallest(state: int, words: int, mask: int, seen: int, worst: int, row: int) -> int:
    """For each bit of ``mask`` keep the smallest state in ``worst[row + bit]``.

    ``seen`` is the mask of the rows in use so far; return what it is now.
    """
    for bit in range(64):
        if (mask >> bit) & 1:
            best = worst + (row + bit) * words * 8
            w = 0
            while w < words - 1 and load64(state + 8 * w) == load64(best + 8 * w):
                w += 1
            if ((seen >> bit) & 1) == 0 or below(load64(state + 8 * w), load64(best + 8 * w)):
                copy_state(best, state, words)
    return seen | mask


@compiled("int64(int64, int64, int64[:, ::1], int64, int64, int64, int64, int64, int64, int64, int64[::1], int64, int64)")
def expand_frontier(
    expand: int,
    words: int,
    parts: Table,
    slices: int,
    count: int,
    first: int,
    last: int,
    quota: int,
    out: int,
    observed: int,
    tally: Table,
    worst: int,
    scratch: int,
) -> int:
    """Expand the next frontier states of partitions first..last-1 into ``out``, each until it has ``quota`` successors.

    Return the number of all successors. ``scratch``: a state, and behind it room for ``slice_kernels``.
    """
    stride, start, again, pending, rows = words * 8, out, 0, 0, parts.ctypes.data
    open_properties, open_error = tally[OPEN], tally[OPEN_ERROR]
    for p in range(first, last):
        place, full = parts[p, NEXT], out + quota * stride
        while place != parts[p, END] and out < full:
            state = parts[p, LOG] + place * stride
            if words > 1:
                state = scratch
                read_state(rows + p * ROW, slices, count, words, place, state, scratch + stride)
            out += call3(expand, state, out, observed) * stride
            again, pending = again | load64(observed + AGAIN_AT), pending | load64(observed + PENDING_AT)
            by_state, by_step = load64(observed + STATE_BROKEN_AT) & open_properties, load64(observed + STEP_BROKEN_AT) & open_properties
            error = open_error if load64(observed + ERROR_AT) != 0 else 0
            if (by_state | by_step | error) != 0:
                tally[BY_STATE] = keep_smallest(state, words, by_state, tally[BY_STATE], worst, 0)
                tally[BY_STEP] = keep_smallest(state, words, by_step, tally[BY_STEP], worst, 64)
                tally[ERROR] = keep_smallest(state, words, error, tally[ERROR], worst, ERROR_ROW)
            place += 1
        parts[p, NEXT] = place
    tally[AGAIN], tally[PENDING] = tally[AGAIN] | again, tally[PENDING] | pending
    return (out - start) // stride


@compiled("void(int64, int64, int64, int64, int64[::1], int64)")
def scatter(words: int, states: int, count: int, numbers: int, offsets: Table, out: int) -> None:
    """Sort ``count`` states by partition into ``out``; partition p's lie from offsets[p] to offsets[p + 1].

    ``numbers`` is room for a byte for each state.
    """
    stride = words * 8
    offsets[:] = 0
    if words == 1:
        for i in range(count):
            p = shift_right(hash_state(states + i * 8, 1), TOP)
            store8(numbers + i, p)
            offsets[p] += 1
    else:
        for i in range(count):
            p = shift_right(hash_state(states + i * stride, words), TOP)
            store8(numbers + i, p)
            offsets[p] += 1
    total = count
    for p in range(PARTITIONS, -1, -1):
        total -= offsets[p]
        offsets[p] = total
    # now offsets[p] is where partition p begins; placing its states moves it on to where it ends
    if words == 1:
        for i in range(count):
            p = load8(numbers + i)
            store64(out + offsets[p] * 8, load64(states + i * 8))
            offsets[p] += 1
    else:
        for i in range(count):
            p = load8(numbers + i)
            copy_state(out + offsets[p] * stride, states + i * stride, words)
            offsets[p] += 1
    for p in range(PARTITIONS, 0, -1):
        offsets[p] = offsets[p - 1]
    offsets[0] = 0


@compiled("int64(int64, int64, int64)")
def rank_of(state: int, words: int, ranks: int) -> int:
    """The process that owns a state, by bits of its hash that choose neither its partition nor its line."""
    return ((hash_state(state, words) & PLACE_MASK) * ranks) >> PLACE_BITS


@compiled("void(int64, int64, int64, int64, int64[::1], int64)")
def share_out(words: int, states: int, count: int, ranks: int, offsets: Table, out: int) -> None:
    """Sort ``count`` states by the process that owns them into ``out``; rank r's lie from offsets[r] to offsets[r + 1]."""
    stride = words * 8
    offsets[:] = 0
    for i in range(count):
        offsets[rank_of(states + i * stride, words, ranks)] += 1
    total = count
    for r in range(ranks, -1, -1):
        total -= offsets[r]
        offsets[r] = total
    for i in range(count):
        r = rank_of(states + i * stride, words, ranks)
        copy_state(out + offsets[r] * stride, states + i * stride, words)
        offsets[r] += 1
    for r in range(ranks, 0, -1):
        offsets[r] = offsets[r - 1]
    offsets[0] = 0


@compiled("int64(int64, int64, int64)")
def probe(table: int, lines: int, h: int) -> int:
    """Address of the key of the state of one word whose hash is ``h``, or of the empty place where it belongs."""
    number = line_of(h, lines)
    while True:
        line = table + number * LINE
        found = equal_lanes(line, -1, h | _KEY_TOP)
        found = found if found != 0 else equal_lanes(line, -1, 0)
        if found != 0:
            return line + 8 * trailing_zeros(found)
        number += 1
        if number == lines:
            number = 0


@compiled("void(int64, int64, int64, int64, int64, int64)")
def fetch(words: int, table: int, lines: int, batch: int, size: int, hashes: int) -> None:
    """Hash a batch of states and have the lines where they belong brought into the cache."""
    if words == 1:
        for k in range(size):
            h = hash_state(batch + k * 8, 1)
            store64(hashes + 8 * k, h)
            prefetch(table + line_of(h, lines) * LINE)
    else:
        for k in range(size):
            h = hash_state(batch + k * words * 8, words)
            store64(hashes + 8 * k, h)
            prefetch(table + line_of(h, lines) * LINE)


@compiled("int64(int64, int64, int64, int64, int64, int64, int64)")
def insert_narrow(log: int, count: int, table: int, lines: int, batch: int, size: int, hashes: int) -> int:
    """Insert a batch of states of one word; return the count.

    No branch depends on whether a state is new, because no processor can predict it.
    """
    for k in range(size):
        h = load64(hashes + 8 * k)
        key = h | _KEY_TOP
        line = table + line_of(h, lines) * LINE
        equal, empty = equal_lanes(line, -1, key), equal_lanes(line, -1, 0)
        if (equal | empty) != 0:
            at, new = line + 8 * trailing_zeros(equal if equal != 0 else empty), equal == 0
        else:
            at = probe(table, lines, h)
            new = load64(at) == 0
        store64(at, key)
        store64(log + count * 8, load64(batch + k * 8))
        count += new
    return count


@compiled("int64(int64, int64[:, ::1], int64, int64, int64, int64, int64[::1], int64[:, ::1], int64, int64)")
def insert(
    words: int, parts: Table, slices: int, count: int, first: int, last: int, sources: Table, offsets: Table, hashes: int, scratch: int
) -> int:
    """Insert what the groups scattered to partitions first..last-1, in the order of the groups.

    Return -1 when done, or a partition that has to grow first: then call again with ``first`` at that partition.
    ``hashes`` is room for 2 * BATCH words. While a batch is inserted, the lines of the next one are on their way.
    """
    stride, rows = words * 8, parts.ctypes.data
    for p in range(first, last):
        table, lines = parts[p, TABLE], parts[p, LINES]
        for source in range(parts[p, SOURCE], sources.size):
            base, end = sources[source] + offsets[source, p] * stride, offsets[source, p + 1] - offsets[source, p]
            i, now, then = parts[p, DONE], hashes, hashes + 8 * BATCH
            fetch(words, table, lines, base + i * stride, min(end - i, BATCH), now)
            while i < end:
                size = min(end - i, BATCH)
                parts[p, SOURCE], parts[p, DONE] = source, i
                if parts[p, COUNT] + size > parts[p, LIMIT]:
                    return p
                batch = base + i * stride
                i += size
                fetch(words, table, lines, base + i * stride, min(end - i, BATCH), then)
                if words == 1:
                    parts[p, COUNT] = insert_narrow(parts[p, LOG], parts[p, COUNT], table, lines, batch, size, now)
                else:
                    taken = insert_slices(rows + p * ROW, slices, count, words, batch, size, now, scratch)
                    if taken < size:
                        parts[p, DONE] += taken
                        return p
                now, then = then, now
            parts[p, DONE] = 0
        parts[p, SOURCE] = 0
    return -1


@compiled("void(int64, int64, int64, int64, int64)")
def rehash(old: int, old_lines: int, table: int, lines: int, used: int) -> None:
    """Fill an empty table with the keys of a smaller one: both are gone through from front to back, but for some keys.

    ``used`` is a byte for each line, zero at first: reading back a line just written to would be slower.
    """
    for line in range(old, old + old_lines * LINE, LINE):
        keys = trailing_zeros(equal_lanes(line, -1, 0) | 256)
        for at in range(line, line + 8 * keys, 8):
            key = load64(at)
            number = line_of(key, lines)
            place = load8(used + number)
            while place == 8:
                number = number + 1 if number + 1 < lines else 0
                place = load8(used + number)
            store64(table + number * LINE + 8 * place, key)
            store8(used + number, place + 1)


@compiled("void(int64, int64[:, ::1], int64, int64, int64, int64, int64, int64)")
def find_state(words: int, parts: Table, slices: int, count: int, states: int, many: int, out: int, scratch: int) -> None:
    """For each of ``many`` states store to ``out`` its number, -1 if it has none.

    A number is a place * PARTITIONS + the partition: that of the key in the table for states of one word, that in the log for others.
    """
    for i in range(many):
        state = states + i * words * 8
        h = hash_state(state, words)
        p = shift_right(h, TOP)
        if words == 1:
            at = probe(parts[p, TABLE], parts[p, LINES], h)
            place = (at - parts[p, TABLE]) // 8 if load64(at) != 0 else -1
        else:
            at = probe_slices(parts.ctypes.data + p * ROW, slices, count, words, state, h, scratch)
            place = (load32(at) & ((1 << parts[p, PLACE]) - 1)) - 1
        store64(out + 8 * i, place * PARTITIONS + p if place >= 0 else -1)


@compiled("int64(int64, int64, int64, int64, int64, int64, int64)")
def expand_list(expand: int, words: int, states: int, count: int, out: int, observed: int, notes: int) -> int:
    """Expand ``count`` states into ``out``; return the number of successors.

    ``notes`` takes three words of each state: its number of successors and its pending and again masks.
    """
    total = 0
    for i in range(count):
        n = call3(expand, states + i * words * 8, out + total * words * 8, observed)
        total += n
        store64(notes + 24 * i, n)
        store64(notes + 24 * i + 8, load64(observed + PENDING_AT))
        store64(notes + 24 * i + 16, load64(observed + AGAIN_AT))
    return total
