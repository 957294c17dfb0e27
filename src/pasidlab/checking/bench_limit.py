"""The machine's limit: how many random 64-bit keys a thread can insert into a hash set much larger than the caches.

A plain search has to do at least that for every transition. It is measured with ordinary pages, and with huge pages, as which the
search keeps its own tables.
"""

from __future__ import annotations

import threading
import time

from pasidlab.search.memory import Block, compiled, load64, prefetch, shift_right, store64

SLOTS_BITS = 27  # of 8 bytes

_BATCH = 32  # keys whose cache lines are fetched together
_FILL = 0.5


@compiled("int64(int64, int64, int64, int64, int64)")
def insert_random(table: int, mask: int, first: int, count: int, keys: int) -> int:
    """Insert the random keys number first .. first + count - 1 into a set; return how many were new.

    ``keys`` is room for _BATCH words; ``count`` is a multiple of that.
    """
    new = 0
    for batch in range(first, first + count, _BATCH):
        for k in range(_BATCH):
            x = (batch + k + 1) * -0x61C8864680B583EB
            x = (x ^ shift_right(x, 30)) * -0x40A7B892E31B1A47
            x = (x ^ shift_right(x, 27)) * -0x6B2FB644ECECEE15
            x = (x ^ shift_right(x, 31)) | 1
            store64(keys + 8 * k, x)
            prefetch(table + (shift_right(x, 20) & mask) * 8)
        for k in range(_BATCH):
            x = load64(keys + 8 * k)
            slot = shift_right(x, 20) & mask
            while load64(table + slot * 8) != 0 and load64(table + slot * 8) != x:
                slot = (slot + 1) & mask
            new += load64(table + slot * 8) == 0
            store64(table + slot * 8, x)
    return new


def hash_inserts(jobs: int, slots_bits: int = SLOTS_BITS, *, huge: bool = False) -> tuple[int, float]:
    """Insert random keys into 2**slots_bits slots, shared out to ``jobs`` threads, until they are half full: how many, and the seconds.

    ``huge``: in huge pages, else in ordinary ones.
    """
    per_thread = 1 << (slots_bits - (jobs - 1).bit_length())
    count = int(per_thread * _FILL)
    tables, keys = [Block(per_thread * 8, huge=huge) for _ in range(jobs)], [Block(_BATCH * 8) for _ in range(jobs)]
    for table in tables:
        table.words.fill(0)  # have the pages ready: their first touch is not part of the limit

    def work(i: int) -> None:
        insert_random(tables[i].address, per_thread - 1, i * count, count, keys[i].address)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, jobs)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    work(0)
    for thread in threads:
        thread.join()
    return jobs * count, time.perf_counter() - start
