"""A hand-written successor function of LazyReg: the engine's test double for what the language's backend compiles.

N tasks on C CPUs share a lazily loaded register. Property bits: 0 owner, 1 msr value, 2 coherent. Bit 3 (no task of 1
ever has pc 4) fails by a step. Liveness class 0 is pending while task 0 has pc 2 or more and "again" when its pc is 2.
Counter 0 counts restores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import cfunc, njit

from pasidlab.search.memory import load64, shift_right, store64

MASK20 = (1 << 20) - 1


@njit
def get(s: int, at: int, bits: int) -> int:
    return (s >> at) & ((1 << bits) - 1)


@njit
def put(s: int, at: int, bits: int, value: int) -> int:
    return (s & ~(((1 << bits) - 1) << at)) | (value << at)


@njit
def emit(out: int, n: int, words: int, s: int) -> int:
    """Store ``s`` as successor number n, spread over ``words`` words; return n + 1."""
    to = out + n * words * 8
    if words == 1:
        store64(to, s)
    else:
        for w in range(words):
            store64(to + 8 * w, 7)
        store64(to, s & MASK20)
        store64(to + 8 * (words - 1), shift_right(s, 20))
    return n + 1


@dataclass(frozen=True)
class Double:
    """What the engine wants of a native model."""

    words: int
    initial: npt.NDArray[np.uint64]
    max_successors: int
    expand_address: int
    observed_words: int
    keep: Any  # the compiled function: it lives as long as this does

    def optimised(self) -> Double:
        return self


@cache
def lazyreg(tasks: int = 3, cpus: int = 2, *, bug: bool = False, words: int = 1) -> Double:
    """LazyReg; ``bug``: the last step of the handler leaves the task's `last` CPU as it is."""
    base, shared = 6 * cpus, 6 * cpus + 9 * tasks

    def expand(state: int, out: int, observed: int) -> int:
        s = load64(state) if words == 1 else load64(state) | (load64(state + 8 * (words - 1)) << 20)
        pasid, n, bad, step, restores, reached = get(s, shared, 2), 0, 0, 0, 0, 0
        for c in range(cpus):
            cur, msr, owner = get(s, 6 * c, 2), get(s, 6 * c + 2, 2), get(s, 6 * c + 4, 2)
            if msr != 0 and msr != pasid:
                bad |= 2
            if cur == 0:
                for t in range(tasks):
                    free = True
                    for d in range(cpus):
                        free = free and get(s, 6 * d, 2) != t + 1
                    if free:
                        need = 0 if owner == t + 1 and get(s, base + 9 * t + 1, 2) == c + 1 else 1
                        n = emit(out, n, words, put(put(s, 6 * c, 2, t + 1), base + 9 * t, 1, need))
                continue
            at = base + 9 * (cur - 1)
            need, last, act, pc = get(s, at, 1), get(s, at + 1, 2), get(s, at + 5, 1), get(s, at + 6, 3)
            if need == 0 and (owner != cur or last != c + 1):
                bad |= 1
            if need == 0 and act == 1 and pc != 4 and msr != pasid:
                bad |= 4
            off = put(s, 6 * c, 2, 0)
            n = emit(out, n, words, off if need == 1 else put(off, at + 3, 2, msr))
            if pc == 0:
                if need == 1:
                    loaded = put(put(s, 6 * c + 2, 2, get(s, at + 3, 2)), 6 * c + 4, 2, cur)
                    n = emit(out, n, words, put(put(loaded, at + 1, 2, c + 1), at, 1, 0))
                    restores += 1
                elif msr == 0:
                    n = emit(out, n, words, put(s, at + 6, 3, 1))
            elif pc == 1:
                n = emit(out, n, words, put(s, at + 6, 3, 0 if pasid == 0 else 2))
            elif pc == 2:
                n = emit(out, n, words, put(s, at + 6, 3, 0 if act == 1 else 3))
            elif pc == 3:
                n = emit(out, n, words, put(put(s, at + 5, 1, 1), at + 6, 3, 4))
                step |= 8
            else:
                done = put(s, at + 6, 3, 0)
                reached |= 1
                if need == 1:
                    edited = put(done, at + 3, 2, pasid)
                    n = emit(out, n, words, edited if bug else put(edited, at + 1, 2, 0))
                else:
                    n = emit(out, n, words, put(done, 6 * c + 2, 2, pasid))
        if pasid == 0:
            for v in range(1, 4):
                n = emit(out, n, words, put(s, shared, 2, v))
        pc = get(s, base + 6, 3)
        store64(observed, bad)
        store64(observed + 8, step)
        store64(observed + 16, load64(observed + 16) | reached)
        store64(observed + 24, 0)
        store64(observed + 32, 1 if pc >= 2 else 0)
        store64(observed + 40, 1 if pc == 2 else 0)
        store64(observed + 64, load64(observed + 64) + restores)
        return n

    compiled = cfunc("int64(int64, int64, int64)")(expand)
    initial = np.zeros((1, words), dtype=np.uint64)
    if words > 2:
        initial[0, 1 : words - 1] = 7
    most = cpus * max(tasks, 2) + 3
    return Double(words, initial, most, compiled.address, 9, compiled)
