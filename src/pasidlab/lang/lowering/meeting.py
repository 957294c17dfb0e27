"""Ways through code that meet: of two that know the same from there on, the one that has accessed no more than the other ends.

Both go on alike, so the other one finds whatever it would have found, and more. What is asked of ways is asked of each, and an answer for
a set of accesses holds for its subsets. A way that comes to one place a second time goes on: its loop may have no end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

from pasidlab.lang.ir import Instr
from pasidlab.lang.lowering.contexts import ON_CPU, mask_change
from pasidlab.lang.lowering.flow import Code, liveness, successors
from pasidlab.lang.lowering.knowledge import FoundAccess, Knowledge, KnownOrSome, Some

_Contents = tuple[object, ...]
_Known = tuple[object, ...]

Meetings = Mapping[int, tuple[tuple[str, ...], frozenset[str]]]
"""Where ways may meet: at which instruction, and which locals and fields can matter from there on."""
Meet = Callable[[], Meetings]


def meetings_of(code: Code) -> Meet:
    """Where ways through a code may meet; found out once, if anybody asks."""
    return cache(partial(_meetings, code))


def _meetings(code: Code) -> Meetings:
    after = successors(code)
    comes = Counter(target for targets in after for target in targets)
    live, fields = liveness(code), _fields_behind(code, after)
    labels = [n for n, instr in enumerate(code) if instr.op == "label" and comes[n] > 1]
    return {n: (tuple(sorted(live[n])), fields[n]) for n in labels}


class Met:
    """The ways followed so far from one question: where they came by, what they knew, what they had accessed."""

    def __init__(self, matters: Meetings) -> None:
        self._matters, self._known = matters, dict[_Known, list[frozenset[_Contents]]]()

    def ends(self, way: Knowledge) -> bool:
        """Whether an earlier way has gone on from here in its place."""
        if way.at not in self._matters or way.visited.get(way.at, 0) > 1:
            return False
        found, known = frozenset(map(_told, way.found)), self._known.setdefault(self._key(way), [])
        if any(found <= more for more in known):
            return True
        known.append(found)
        return False

    def _key(self, way: Knowledge) -> _Known:
        names, paths = self._matters[way.at]
        numbers: dict[int, int] = {}

        def value(one: KnownOrSome) -> object:
            return one if isinstance(one, int) else (numbers.setdefault(id(one), len(numbers)), *_contents(one))

        mine = tuple((name, value(way.locals[name])) for name in names if name in way.locals)
        places = sorted(place for place in way.fields if place[0] in paths)
        fields = tuple((place, value(way.fields[place])) for place in places)
        return way.at, mine, fields, way.gone & paths, way.checked


def _contents(some: Some) -> _Contents:
    return some.low, some.high, some.but, _told(some.told) if some.told else None


def _told(access: FoundAccess) -> _Contents:
    path, element, written = access
    return path, element if isinstance(element, int) else _contents(element), written


def _fields_behind(code: Code, after: Sequence[Sequence[int]]) -> list[frozenset[str]]:
    """For each instruction the fields that it or one behind it may access."""
    behind = [_fields_of(instr) for instr in code]
    changed = True
    while changed:
        changed = False
        for i in range(len(code) - 1, -1, -1):
            more = behind[i].union(*(behind[j] for j in after[i]))
            if more != behind[i]:
                behind[i], changed = more, True
    return behind


def _fields_of(instr: Instr) -> frozenset[str]:
    if instr.op == "mask":
        return frozenset({mask_change(instr).field})
    return frozenset({instr.field or ON_CPU})
