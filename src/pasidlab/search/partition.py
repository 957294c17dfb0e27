"""How a state finds its partition and its line there, and what a partition's row says. The compiled loops share it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pasidlab.search.memory import compiled, load64, shift_right, store64

Table = npt.NDArray[np.int64]
States = npt.NDArray[np.uint64]  # [n, words]: packed states

PARTITION_BITS = 6
PARTITIONS = 1 << PARTITION_BITS
PLACE_BITS = 32 - PARTITION_BITS  # so that the 32 bits between are the ones that select the line
PLACE_MASK = (1 << PLACE_BITS) - 1
LINE = 64  # bytes
BATCH = 32  # states whose cache lines are fetched together
TOP = 64 - PARTITION_BITS

# Columns of a partition's row.
LOG = 0  # address of the log
COUNT = 1  # states in the log
TABLE = 2  # address of the keys
LINES = 3  # number of lines
LIMIT = 4  # states from which the table, or the log, has to grow first
NEXT = 5  # log position of the next state to expand
END = 6  # log position behind the last state to expand in this level
SOURCE = 7  # insertion so far in this round: number of the group ...
DONE = 8  # ... and how many of its states
# Columns of a log in slices.
BITS = 9  # of a state
ROOM = 10  # bits of the log
PLACE = 11  # bits of a key that are a place
FULL = 12  # states from which the table has to grow first
CROWDED = 13  # 1 if insertion stopped because a slice has no room for another value
WIDTHS = 16  # bits of each slice of a state
MOST_SLICES = 64
COLUMNS = WIDTHS + MOST_SLICES  # a row has cache lines of its own
ROW = 8 * COLUMNS  # bytes


@compiled("int64(int64, int64)")
def hash_state(state: int, words: int) -> int:
    """Mix all bits of a packed state into 64."""
    h = load64(state) * -0x61C8864680B583EB
    h ^= shift_right(h, 32)
    for w in range(1, words):
        h = (h ^ load64(state + 8 * w)) * -0x3D4D51C2D82B14B1
        h ^= shift_right(h, 29)
    return h * -0x2917014799A6026D


@compiled("int64(int64, int64)")
def line_of(key: int, lines: int) -> int:
    """Number of the line where a key belongs. Larger keys of a partition never belong to smaller lines."""
    return ((shift_right(key, PLACE_BITS) & 0xFFFF_FFFF) * lines) >> 32


@compiled("void(int64, int64, int64)")
def copy_state(to: int, state: int, words: int) -> None:
    """Copy one packed state."""
    for w in range(words):
        store64(to + 8 * w, load64(state + 8 * w))
