"""How a state is packed into 64-bit words: each field's elements lie side by side in one word, at a fixed stride.

A field too wide for that is cut into planes, each with some bits of every element.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pasidlab.errors import PasidlabError
from pasidlab.lang.types import Field, Ref

WORD = 64  # bits
_FEW = 8  # bits of an element that are no slice of their own
_PIECE = 24  # bits of a slice that is of no element
State = tuple[int, ...]
"""All elements of all fields, in the order of the model's fields."""


@dataclass(frozen=True)
class Plane:
    """Bits ``low`` and up of a field's elements, ``width`` of each: where they lie, ``shift`` is that of the first element."""

    word: int
    shift: int
    width: int
    low: int = 0

    @property
    def mask(self) -> int:
        """The bits of an element, without a shift."""
        return (1 << self.width) - 1


@dataclass(frozen=True)
class PackedField:
    """Where a field lies, from its low bits up, and its offset in a State. A field of one value has no planes."""

    field: Field
    planes: tuple[Plane, ...]
    offset: int

    @property
    def plane(self) -> Plane:
        """The only plane."""
        (only,) = self.planes
        return only


class Layout:
    """Packing of the states of one model."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.places: dict[str, PackedField] = {}
        self._used: list[int] = []  # bits of each word
        offset = 0
        offsets = {}
        for field in fields:
            offsets[field.path] = offset
            offset += field.count
        self.length = offset
        for field in sorted((f for f in fields if not f.observer), key=lambda f: (-f.domain.bits * f.count, f.path)):
            self.places[field.path] = PackedField(field, tuple(self._planes(field)), offsets[field.path])
        self.words = max(len(self._used), 1)
        self.bits = sum(self._used)

    def _planes(self, field: Field) -> Iterator[Plane]:
        """Room for a field."""
        most = field.domain.bits if field.domain.bits * field.count <= WORD else WORD // field.count
        if field.domain.bits and (not most or (isinstance(field.domain, Ref) and most < field.domain.bits)):
            what = f"field {field.path} needs {field.domain.bits * field.count} bits, more than one word holds"
            raise PasidlabError(what, hint="use a smaller scope or split the field")
        for low in range(0, field.domain.bits, max(most, 1)):
            width = min(most, field.domain.bits - low)
            total = width * field.count
            word = next((w for w, bits in enumerate(self._used) if bits + total <= WORD), len(self._used))
            if word == len(self._used):
                self._used.append(0)
            yield Plane(word, self._used[word], width, low)
            self._used[word] += total

    def slices(self) -> tuple[tuple[int, ...], ...]:
        """Masks of a packed state for a search that keeps it in slices: of each element, and of what is left, field by field.

        Elements of a few bits, and structs of one element, are what is left: no slice of it has more than ``_PIECE`` bits, but one of a
        wider field.
        """
        counts = {place.field.struct: place.field.count for place in self.places.values()}
        sizes = {s: sum(plane.width for place in self.places.values() if place.field.struct == s for plane in place.planes) for s in counts}
        own = {struct for struct in counts if counts[struct] > 1 and sizes[struct] > _FEW}
        elements: dict[tuple[str, int], list[int]] = {(s, i): [0] * self.words for s in sorted(own) for i in range(counts[s])}
        pieces = [[0] * self.words]
        for place in self.places.values():
            masks = [[0] * self.words for _ in range(place.field.count)]
            for plane in place.planes:
                for i, mask in enumerate(masks):
                    mask[plane.word] |= plane.mask << (plane.shift + i * plane.width)
            for i, mask in enumerate(masks):
                if place.field.struct not in own and _bits(pieces[-1]) + _bits(mask) > _PIECE:
                    pieces.append([0] * self.words)
                to = elements[place.field.struct, i] if place.field.struct in own else pieces[-1]
                to[:] = [a | b for a, b in zip(to, mask, strict=True)]
        return tuple(tuple(mask) for mask in [*elements.values(), *pieces] if any(mask))

    def pack(self, state: State) -> tuple[int, ...]:
        """The packed words of a state."""
        words = [0] * self.words
        for place in self.places.values():
            for i in range(place.field.count):
                code = place.field.domain.code(state[place.offset + i])
                for plane in place.planes:
                    words[plane.word] |= (code >> plane.low & plane.mask) << (plane.shift + i * plane.width)
        return tuple(words)

    def unpack(self, words: Sequence[int] | npt.NDArray[np.uint64]) -> State:
        """The state that packed words stand for."""
        state = [0] * self.length
        for place in self.places.values():
            for i in range(place.field.count):
                code = 0
                for plane in place.planes:
                    code |= (int(words[plane.word]) >> (plane.shift + i * plane.width) & plane.mask) << plane.low
                state[place.offset + i] = place.field.domain.value(code)
        return tuple(state)


def _bits(mask: Sequence[int]) -> int:
    return sum(word.bit_count() for word in mask)
