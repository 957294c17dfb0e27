"""The compiled inner loops of the search: expand, scatter, insert, and the exact hash table they fill.

A packed state is ``words`` 64-bit words. Its hash selects one of ``PARTITIONS`` partitions. A partition is a log of its states in the
order found (so in level order) and an open-addressing table of 32-bit slots: the position in the log plus one (``INDEX_BITS``) below
a few more bits of the hash (the tag); 0 is an empty slot. A tag that fits is confirmed against the log: storage is exact.
One thread at a time works on a partition, so nothing here is atomic.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pasidlab.check.native import below, call3, compiled, load8, load32, load64, prefetch, shift_right, store8, store32, store64

Table = npt.NDArray[np.int64]

PARTITION_BITS = 6
PARTITIONS = 1 << PARTITION_BITS
INDEX_BITS = 26
INDEX_MASK = (1 << INDEX_BITS) - 1
TAG_MASK = 0xFFFF_FFFF ^ INDEX_MASK
BATCH = 32  # states whose cache lines are fetched together
_TOP = 64 - PARTITION_BITS
_TAG_SHIFT = _TOP - 32  # moves the hash bits just below the partition's to the top of a 32-bit slot

# Columns of a partition's row.
LOG = 0  # address of the log
COUNT = 1  # states in the log
TABLE = 2  # address of the slots
SLOTS_MASK = 3  # number of slots (a power of two) minus one
LIMIT = 4  # states from which the table, or the log, has to grow first
NEXT = 5  # log position of the next state to expand
END = 6  # log position behind the last state to expand in this level
SOURCE = 7  # insertion so far in this round: number of the group ...
DONE = 8  # ... and how many of its states
COLUMNS = 16  # a row has cache lines of its own

# A group's tally of what `expand` observed.
OPEN = 0  # property bits for which violations are still of interest
OPEN_ERROR = 1  # 1 if model errors are
BY_STATE = 2  # property bits violated by a state
BY_STEP = 3  # property bits violated by a step
ERROR = 4  # 1 after a model error
AGAIN = 5  # liveness bits of repeated faults seen
TALLY = 8
ERROR_ROW = 128  # rows of a group's worst states: 0..63 by state, 64..127 by step, one for model errors
WORST_ROWS = 129


@compiled("int64(int64, int64)")
def hash_state(state: int, words: int) -> int:
    """Mix all bits of a packed state into 64."""
    h = load64(state) * -0x61C8864680B583EB
    h ^= shift_right(h, 32)
    for w in range(1, words):
        h = (h ^ load64(state + 8 * w)) * -0x3D4D51C2D82B14B1
        h ^= shift_right(h, 29)
    h *= -0x2917014799A6026D
    return h ^ shift_right(h, 32)  # type: ignore[no-any-return]


@compiled("boolean(int64, int64, int64)")
def same_state(a: int, b: int, words: int) -> bool:
    """Whether two packed states are equal."""
    for w in range(words):  # noqa: SIM110
        if load64(a + 8 * w) != load64(b + 8 * w):
            return False
    return True


@compiled("void(int64, int64, int64)")
def copy_state(to: int, state: int, words: int) -> None:
    """Copy one packed state."""
    for w in range(words):
        store64(to + 8 * w, load64(state + 8 * w))


@compiled("int64(int64, int64, int64, int64, int64, int64)")
def keep_smallest(state: int, words: int, mask: int, seen: int, worst: int, row: int) -> int:
    """For each bit of ``mask`` keep the smallest state in ``worst[row + bit]``; ``seen`` says which rows are in use. Return them."""
    for bit in range(64):
        if (mask >> bit) & 1:
            best = worst + (row + bit) * words * 8
            smaller = ((seen >> bit) & 1) == 0
            if not smaller:
                w = 0
                while w < words - 1 and load64(state + 8 * w) == load64(best + 8 * w):
                    w += 1
                smaller = below(load64(state + 8 * w), load64(best + 8 * w))
            if smaller:
                copy_state(best, state, words)
    return seen | mask


@compiled("int64(int64, int64, int64[:, ::1], int64, int64, int64, int64, int64, int64[::1], int64)")
def expand_frontier(
    expand: int, words: int, parts: Table, first: int, last: int, quota: int, out: int, observed: int, tally: Table, worst: int
) -> int:
    """Expand the next ``quota`` frontier states of each partition first..last-1 into ``out``; return the number of successors."""
    stride, start, again = words * 8, out, 0
    open_properties, open_error = tally[OPEN], tally[OPEN_ERROR]
    for p in range(first, last):
        end = min(parts[p, END], parts[p, NEXT] + quota)
        state, stop = parts[p, LOG] + parts[p, NEXT] * stride, parts[p, LOG] + end * stride
        while state != stop:
            out += call3(expand, state, out, observed) * stride
            again |= load64(observed + 40)
            by_state, by_step = load64(observed) & open_properties, load64(observed + 8) & open_properties
            error = open_error if load64(observed + 24) != 0 else 0
            if (by_state | by_step | error) != 0:
                tally[BY_STATE] = keep_smallest(state, words, by_state, tally[BY_STATE], worst, 0)
                tally[BY_STEP] = keep_smallest(state, words, by_step, tally[BY_STEP], worst, 64)
                tally[ERROR] = keep_smallest(state, words, error, tally[ERROR], worst, ERROR_ROW)
            state += stride
        parts[p, NEXT] = end
    tally[AGAIN] |= again
    return (out - start) // stride


@compiled("void(int64, int64, int64, int64, int64[::1], int64)")
def scatter(words: int, states: int, count: int, numbers: int, offsets: Table, out: int) -> None:
    """Sort ``count`` states by partition into ``out``; partition p's lie from offsets[p] to offsets[p + 1]. ``numbers``: a byte each."""
    stride = words * 8
    offsets[:] = 0
    for i in range(count):
        p = shift_right(hash_state(states + i * stride, words), _TOP)
        store8(numbers + i, p)
        offsets[p] += 1
    total = count
    for p in range(PARTITIONS, -1, -1):
        total -= offsets[p]
        offsets[p] = total
    # now offsets[p] is where partition p begins; placing its states moves it on to where it ends
    for i in range(count):
        p = load8(numbers + i)
        copy_state(out + offsets[p] * stride, states + i * stride, words)
        offsets[p] += 1
    for p in range(PARTITIONS, 0, -1):
        offsets[p] = offsets[p - 1]
    offsets[0] = 0


@compiled("int64(int64, int64, int64, int64, int64, int64)")
def probe(words: int, log: int, table: int, mask: int, state: int, h: int) -> int:
    """Slot of ``state`` whose hash is ``h``: where it is, or the empty one where it belongs."""
    slot, tag = h & mask, shift_right(h, _TAG_SHIFT) & TAG_MASK
    while True:
        entry = load32(table + slot * 4)
        if entry == 0:
            return slot
        if (entry & TAG_MASK) == tag and same_state(log + ((entry & INDEX_MASK) - 1) * words * 8, state, words):
            return slot
        slot = (slot + 1) & mask


@compiled("int64(int64, int64[:, ::1], int64, int64, int64[::1], int64[:, ::1], int64)")
def insert(words: int, parts: Table, first: int, last: int, sources: Table, offsets: Table, hashes: int) -> int:
    """Insert what the groups scattered to partitions first..last-1, in the order of the groups.

    Return -1 when done, or a partition that has to grow first: then call again with ``first`` at that partition.
    ``hashes`` is room for BATCH words. Each batch passes three times: ask for the slot, ask for the log entry, insert.
    """
    stride = words * 8
    for p in range(first, last):
        log, count, table, mask, limit = parts[p, LOG], parts[p, COUNT], parts[p, TABLE], parts[p, SLOTS_MASK], parts[p, LIMIT]
        for source in range(parts[p, SOURCE], sources.size):
            base, end = sources[source] + offsets[source, p] * stride, offsets[source, p + 1] - offsets[source, p]
            i = parts[p, DONE]
            while i < end:
                size = min(end - i, BATCH)
                if count + size > limit:
                    parts[p, COUNT], parts[p, SOURCE], parts[p, DONE] = count, source, i
                    return p
                batch = base + i * stride
                for k in range(size):
                    h = hash_state(batch + k * stride, words)
                    store64(hashes + 8 * k, h)
                    prefetch(table + (h & mask) * 4)
                for k in range(size):
                    h = load64(hashes + 8 * k)
                    entry = load32(table + (h & mask) * 4)
                    prefetch(log + (entry & INDEX_MASK) * stride)
                for k in range(size):
                    h = load64(hashes + 8 * k)
                    slot = probe(words, log, table, mask, batch + k * stride, h)
                    if load32(table + slot * 4) == 0:
                        copy_state(log + count * stride, batch + k * stride, words)
                        count += 1
                        store32(table + slot * 4, (shift_right(h, _TAG_SHIFT) & TAG_MASK) | count)
                i += size
            parts[p, DONE] = 0
        parts[p, COUNT], parts[p, SOURCE] = count, 0
    return -1


@compiled("void(int64, int64, int64, int64, int64)")
def rehash(words: int, log: int, count: int, table: int, mask: int) -> None:
    """Fill an empty table with the ``count`` distinct states of a log."""
    stride, ahead = words * 8, BATCH * 8 * words
    for index in range(count):
        state = log + index * stride
        prefetch(table + (hash_state(min(state + ahead, log + (count - 1) * stride), words) & mask) * 4)
        h = hash_state(state, words)
        slot = h & mask
        while load32(table + slot * 4) != 0:
            slot = (slot + 1) & mask
        store32(table + slot * 4, (shift_right(h, _TAG_SHIFT) & TAG_MASK) | (index + 1))


@compiled("void(int64, int64[:, ::1], int64, int64, int64)")
def find(words: int, parts: Table, states: int, count: int, out: int) -> None:
    """For each of ``count`` states store to ``out`` its number, log position * PARTITIONS + partition, or -1 if it is not stored."""
    for i in range(count):
        state = states + i * words * 8
        h = hash_state(state, words)
        p = shift_right(h, _TOP)
        slot = probe(words, parts[p, LOG], parts[p, TABLE], parts[p, SLOTS_MASK], state, h)
        entry = load32(parts[p, TABLE] + slot * 4)
        store64(out + 8 * i, ((entry & INDEX_MASK) - 1) * PARTITIONS + p if entry != 0 else -1)


@compiled("int64(int64, int64, int64, int64, int64, int64, int64)")
def expand_list(expand: int, words: int, states: int, count: int, out: int, observed: int, notes: int) -> int:
    """Expand ``count`` states into ``out``; ``notes`` takes (successors, pending, again) of each. Return the number of successors."""
    total = 0
    for i in range(count):
        n = call3(expand, states + i * words * 8, out + total * words * 8, observed)
        total += n
        store64(notes + 24 * i, n)
        store64(notes + 24 * i + 8, load64(observed + 32))
        store64(notes + 24 * i + 16, load64(observed + 40))
    return total
