"""The compiled inner loops of random walks: one walk, and the way that given steps take.

A walk chooses among the successors of each state by weight. A step's weight is that of its label, divided by one more than the steps of
that label taken so far: rare steps come first. The weight of a label is the product of its groups' factors. These are drawn anew every now
and then, spread over many powers of two: for a while few groups do nearly everything, and then others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pasidlab.search.kernels import ERROR_AT, STATE_BROKEN_AT, STEP_BROKEN_AT
from pasidlab.search.memory import call3, compiled, load64, shift_right, store64
from pasidlab.search.observed import LABELS, WORD
from pasidlab.search.partition import copy_state

Numbers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

LABELS_AT = LABELS * WORD
SPREAD = 12.0  # powers of two between the least factor and the largest
PERIOD = 24  # steps between two draws of the factors, on average

# What a walker has: addresses and numbers.
EXPAND = 0  # the successor function
WORDS = 1  # of a packed state
PATH = 2  # where the states of the walk go, the first of which is there
MOST = 3  # steps of a walk
OUT = 4  # room for the successors of one state
SEEN = 5  # what the successor function observes
ROOM = 6  # room for the labels of those successors
LABEL = 7  # where the label of each step of the walk goes
MASK = 8  # bits of a label that are its number
RANDOM = 9  # state of the generator of random numbers
COLUMNS = 16

BY_STEP, ERROR = 64, 128  # places in ``first`` of violations by a step (by a state: from 0), and of a model error
FIRST = 129


@compiled("int64(int64[::1])")
def draw(walker: Numbers) -> int:
    """The next random number, of 53 bits (SplitMix64: Steele, Lea, Flood 2014)."""
    walker[RANDOM] += -0x61C8864680B583EB
    x = walker[RANDOM]
    x = (x ^ shift_right(x, 30)) * -0x40A7B892E31B1A47
    x = (x ^ shift_right(x, 27)) * -0x6B2FB644ECECEE15
    return shift_right(x ^ shift_right(x, 31), 11)


@compiled("float64(int64[::1])")
def draw_share(walker: Numbers) -> float:
    """A random number from 0 up to 1."""
    return draw(walker) / 9007199254740992.0  # 2 ** 53


@compiled("void(int64[::1], int64[:, ::1], float64[::1], float64[::1])")
def draw_weights(walker: Numbers, groups: Numbers, factors: Reals, weights: Reals) -> None:
    """Draw a factor for each group, and multiply them to the weights of the labels. A group of -1 is none."""
    for g in range(factors.size):
        factors[g] = 2.0 ** (-SPREAD * draw_share(walker))
    for label in range(weights.size):
        weights[label] = 1.0
        for column in range(groups.shape[1]):
            if groups[label, column] >= 0:
                weights[label] *= factors[groups[label, column]]


@compiled("int64(int64[::1], int64, int64[::1], int64)")
def look(walker: Numbers, state: int, first: Numbers, step: int) -> int:
    """Expand a state of a walk, its ``step``th; return the number of its successors.

    ``first`` takes the number of the first state that shows each violation.
    """
    seen = walker[SEEN]
    store64(seen + LABELS_AT, walker[ROOM])
    count = call3(walker[EXPAND], state, walker[OUT], seen)
    for row in (0, BY_STEP):
        broken = load64(seen + (STATE_BROKEN_AT if row == 0 else STEP_BROKEN_AT))
        if broken != 0:
            for bit in range(64):
                if (broken >> bit) & 1 and first[row + bit] < 0:
                    first[row + bit] = step
    if load64(seen + ERROR_AT) != 0 and first[ERROR] < 0:
        first[ERROR] = step
    return count


@compiled("int64(int64[::1], int64[:, ::1], float64[::1], float64[::1], float64[::1], int64[::1], int64[::1])")
def walk(walker: Numbers, groups: Numbers, factors: Reals, weights: Reals, sums: Reals, taken: Numbers, first: Numbers) -> int:
    """Walk from the state at PATH; return the number of steps made.

    ``taken`` counts the steps of each label number. ``first`` is set to the number of the first state that shows each violation; -1:
    none. ``sums`` has room for as many numbers as there are successors.
    """
    words, most, out, room, mask = walker[WORDS], walker[MOST], walker[OUT], walker[ROOM], walker[MASK]
    state, stride = walker[PATH], walker[WORDS] * 8
    first[:] = -1
    draw_weights(walker, groups, factors, weights)
    for step in range(int(most) + 1):
        count = look(walker, state, first, step)
        if count == 0 or step == most:
            return step
        if draw(walker) % PERIOD == 0:
            draw_weights(walker, groups, factors, weights)
        total = 0.0
        for i in range(count):
            number = load64(room + 8 * i) & mask
            total += weights[number] / (1.0 + taken[number])
            sums[i] = total
        at, chosen = total * draw_share(walker), 0
        while chosen < count - 1 and sums[chosen] <= at:
            chosen += 1
        label = load64(room + 8 * chosen)
        taken[label & mask] += 1
        store64(walker[LABEL] + 8 * step, label)
        state += stride
        copy_state(state, out + chosen * stride, words)
    return int(most)


@compiled("int64(int64[::1], int64[::1], int64[::1])")
def retrace(walker: Numbers, labels: Numbers, first: Numbers) -> int:
    """Make the steps of these labels from the state at PATH, but for those that cannot be made; return how many were made.

    Their labels go to LABEL, ``first`` is set as by ``walk``.
    """
    state, stride, made = walker[PATH], walker[WORDS] * 8, 0
    first[:] = -1
    count = look(walker, state, first, made)
    for label in labels:
        for i in range(count):
            if load64(walker[ROOM] + 8 * i) == label:
                copy_state(state + stride, walker[OUT] + i * stride, walker[WORDS])
                store64(walker[LABEL] + 8 * made, label)
                state += stride
                made += 1
                count = look(walker, state, first, made)
                break
    return made
