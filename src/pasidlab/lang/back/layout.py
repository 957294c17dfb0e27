"""How a state is packed into 64-bit words: each field's elements lie side by side in one word, at a fixed stride."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pasidlab.errors import PasidlabError
from pasidlab.lang.types import Field

State = tuple[int, ...]
"""All elements of all fields, in the order of the model's fields."""


@dataclass(frozen=True)
class PackedField:
    """Where a field lies: ``word``, bit ``shift`` of its first element, ``width`` of each, and its offset in a State."""

    field: Field
    word: int
    shift: int
    width: int
    offset: int


class Layout:
    """Packing of the states of one model."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.places: dict[str, PackedField] = {}
        offset = 0
        offsets = {}
        for field in fields:
            offsets[field.path] = offset
            offset += field.count
        self.length = offset
        used: list[int] = []
        for field in sorted((f for f in fields if not f.observer), key=lambda f: (-f.domain.bits * f.count, f.path)):
            width = field.domain.bits
            total = width * field.count
            if total > 64:
                raise PasidlabError(
                    f"field {field.path} needs {total} bits, more than one word holds", hint="use a smaller scope or split the field"
                )
            if not total:  # a single value: no bits, and no shift beyond a word
                self.places[field.path] = PackedField(field, 0, 0, 0, offsets[field.path])
                continue
            word = next((w for w, bits in enumerate(used) if bits + total <= 64), len(used))
            if word == len(used):
                used.append(0)
            self.places[field.path] = PackedField(field, word, used[word], width, offsets[field.path])
            used[word] += total
        self.words = max(len(used), 1)
        self.bits = sum(used)

    def pack(self, state: State) -> tuple[int, ...]:
        """The packed words of a state."""
        words = [0] * self.words
        for place in self.places.values():
            for i in range(place.field.count):
                code = place.field.domain.code(state[place.offset + i])
                words[place.word] |= code << (place.shift + i * place.width)
        return tuple(words)

    def unpack(self, words: Sequence[int] | npt.NDArray[np.uint64]) -> State:
        """The state that packed words stand for."""
        state = [0] * self.length
        for place in self.places.values():
            mask = (1 << place.width) - 1
            for i in range(place.field.count):
                code = int(words[place.word]) >> (place.shift + i * place.width) & mask
                state[place.offset + i] = place.field.domain.value(code)
        return tuple(state)
