"""States of several words, kept in slices: exactly the states that were put in, in their order, in a fraction of the memory."""

from __future__ import annotations

import numpy as np
import pytest
from lazyreg_double import lazyreg

from harness import some
from pasidlab.checking.api import check
from pasidlab.model.scope import DEFAULT_PARTS, Scope
from pasidlab.search import kernels as k
from pasidlab.search import partition
from pasidlab.search import slice_kernels as s
from pasidlab.search.breadth_first import search
from pasidlab.search.memory import Block
from pasidlab.search.slices import Slices, StateMask, slice_masks
from pasidlab.search.store import States, Store

ALL = (1 << 64) - 1
WORD_EACH = [(ALL, 0), (0, ALL)]


def put_in(store: Store, states: States) -> None:
    """What a round of the search does with successors, by one thread."""
    states = np.ascontiguousarray(states, dtype=np.uint64)
    sorted_, numbers, offsets = np.empty_like(states), Block(len(states)), np.zeros((1, partition.PARTITIONS + 1), dtype=np.int64)
    k.scatter(store.words, states.ctypes.data, len(states), numbers.address, offsets[0], sorted_.ctypes.data)
    sources, hashes, scratch = np.array([sorted_.ctypes.data], dtype=np.int64), Block(16 * partition.BATCH), Block(s.SCRATCH)
    p = 0
    while p >= 0:
        p = k.insert(
            store.words, store.parts, *store.cut, p, partition.PARTITIONS, sources, offsets, hashes.address, scratch.address
        )  # fmt: skip
        if p >= 0 and store.crowded(p):
            store.grow_slices()
        elif p >= 0:
            store.grow(p)


def random_states(count: int, values: int, words: int = 2) -> States:
    return np.random.default_rng(count).integers(0, values, size=(count, words), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


@pytest.mark.parametrize("masks", [[], WORD_EACH, [(0xFF, 0xFF00)], [(ALL, 1), (1, ALL)]])
@pytest.mark.parametrize("values", [1, 300, 1 << 40])
def test_a_store_has_what_was_put_in_and_nothing_else(masks: list[StateMask], values: int) -> None:
    store, states = Store(2, masks=masks), random_states(20_000, values)
    for first in range(0, len(states), 3_000):  # with all that came before
        put_in(store, states[: first + 3_000])
    found = [tuple(state) for p in range(partition.PARTITIONS) for state in store.run(p, 0, int(store.parts[p, partition.COUNT])).tolist()]
    assert len(found) == store.count and sorted(found) == sorted({tuple(state) for state in states.tolist()})
    assert (store.numbers(states) >= 0).all() and len(set(store.numbers(np.array(found, dtype=np.uint64)).tolist())) == len(found)
    others = states + np.uint64(1)
    known = np.array([tuple(state) in set(found) for state in others[:100].tolist()])
    assert ((store.numbers(others[:100]) >= 0) == known).all()


def test_a_log_keeps_the_order_while_it_is_cut_anew() -> None:
    store, states = Store(2, masks=WORD_EACH), random_states(5_000, 70_000)
    before: dict[int, States] = {}
    bits = []
    for first in range(0, len(states), 500):
        put_in(store, states[first : first + 500])
        bits.append(int(store.parts[0, partition.BITS]))
        for p, run in before.items():
            assert (store.run(p, 0, len(run)) == run).all()
        before = {p: store.run(p, 0, int(store.parts[p, partition.COUNT])) for p in range(partition.PARTITIONS)}
    assert bits == sorted(bits) and bits[0] < bits[-1] == 2 * 13  # 5,000 values of each word, or nearly


def test_masks_have_every_bit_once() -> None:
    for masks in ([], WORD_EACH, [(0xFF, 0xFF00)], [(ALL, 1), (1, ALL)], [(1 << n, 0) for n in range(64)]):
        made = slice_masks(2, masks)
        assert len(made) <= partition.MOST_SLICES
        for word in range(2):
            assert sum(mask[word] for mask in made) == ALL  # none twice, or the sum is larger


def test_values_keep_their_numbers_when_slices_grow() -> None:
    slices, states = Slices(2, WORD_EACH), random_states(1_000, 1 << 40)
    for n in range(len(states)):
        if s.interned(slices.address, states[n:].ctypes.data, 2) < 0:
            slices.grow()
            assert s.interned(slices.address, states[n:].ctypes.data, 2) == n
    assert [s.value_number(slices.address, states[n:].ctypes.data, 2) for n in range(len(states))] == list(range(len(states)))
    assert slices.rows[0, s.SIZE] == len(states) and slices.rows[1, s.SIZE] == 0


@pytest.mark.parametrize("jobs", some([1, 2, 3], 2))
def test_each_level_is_that_of_the_store_of_one_word(jobs: int) -> None:
    """Words 0 and 2 have what the one word has, cut at bit 20; word 1 is 7."""
    plain, sliced = search(lazyreg(2), jobs=1), search(lazyreg(2, words=3), jobs=jobs)
    assert sliced.level_sizes == plain.level_sizes
    for depth in range(plain.depth + 1):
        wanted, found = (np.concatenate(list(result.store.level(depth))) for result in (plain, sliced))
        assert (np.sort(wanted[:, 0]) == np.sort(found[:, 0] | found[:, 2] << np.uint64(20))).all()


def pairs_of(count: int, values: int) -> States:
    """States whose two words come together but for the lowest bit: half of what the words have by themselves."""
    numbers = np.random.default_rng(count).integers(0, values, size=count, dtype=np.uint64)
    return np.stack([numbers, numbers * np.uint64(0x9E3779B97F4A7C15) ^ np.arange(count, dtype=np.uint64) % np.uint64(2)], axis=1)


def test_slices_whose_values_come_together_become_one_and_no_state_moves() -> None:
    first, then = pairs_of(500_000, 30_000), pairs_of(100_000, 50_000)
    merging, apart = (Store(2, masks=WORD_EACH) for _ in range(2))
    for store in (merging, apart):
        put_in(store, first)
    assert merging.count > 1 << 15
    before = [merging.run(p, 0, int(merging.parts[p, partition.COUNT])) for p in range(partition.PARTITIONS)]
    merging.open_level()
    assert len(apart.slices.masks) == 2 and merging.slices.masks.tolist() == [[ALL, ALL]]
    assert all((merging.run(p, 0, len(run)) == run).all() for p, run in enumerate(before))
    for store in (merging, apart):
        put_in(store, then)
    assert merging.count == apart.count > len(np.concatenate(before))
    for states in (first[:1000], then, then + np.uint64(1 << 40)):
        assert (merging.numbers(states) == apart.numbers(states)).all()
    assert merging.slices.widths < apart.slices.widths


def test_slices_whose_values_come_in_all_pairs_stay_apart() -> None:
    store = Store(2, masks=WORD_EACH)
    put_in(store, np.array([(a, b) for a in range(200) for b in range(200)], dtype=np.uint64))
    store.open_level()
    assert len(store.slices.masks) == 2 and store.slices.widths == 16


@pytest.mark.parametrize("jobs", some([1, 3], 2))
def test_a_search_whose_slices_are_merged_early_finds_the_same(jobs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    worth_it = "pasidlab.search.store._WORTH_MERGING"
    monkeypatch.setattr(worth_it, 1 << 30)
    apart = search(lazyreg(2, words=3), jobs=1)
    monkeypatch.setattr(worth_it, 1 << 8)
    merged = search(lazyreg(2, words=3), jobs=jobs)
    assert len(merged.store.slices.masks) < len(apart.store.slices.masks)
    assert merged.level_sizes == apart.level_sizes and merged.violations == apart.violations
    for depth in range(apart.depth + 1):
        wanted, found = (np.concatenate(list(result.store.level(depth))) for result in (apart, merged))
        assert (wanted == found).all()


LARGE = [*(DEFAULT_PARTS[name] for name in ("traps", "family", "bonds")), Scope(2, 3, 1, 1, DEFAULT_PARTS["race"].events)]


@pytest.mark.parametrize("scope", some(LARGE, 2), ids=str)
def test_twelve_bytes_a_state_of_the_kernel_model(scope: Scope) -> None:
    (found,) = check("early-read", scope, jobs=1).parts
    assert found.reason == "complete" and found.states > 200_000
    assert found.bytes_per_state < 12


def test_where_there_is_no_room_to_merge_slices_all_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    store, rooms = Store(2, masks=WORD_EACH), []

    def no_room(p: int) -> int:
        rooms.append(p)
        return 1 << 40 if len(rooms) < 30 else 0

    def full(*_: object) -> None:
        raise MemoryError

    put_in(store, pairs_of(500_000, 30_000))
    before = [store.run(p, 0, int(store.parts[p, partition.COUNT])) for p in range(partition.PARTITIONS)]
    monkeypatch.setattr(store, "_room", no_room)
    monkeypatch.setattr(store, "_move", full)
    store.open_level()
    assert len(rooms) >= 30 and len(store.slices.masks) == 2
    monkeypatch.undo()
    assert all((store.run(p, 0, len(run)) == run).all() for p, run in enumerate(before))
