"""Events as the command line names them: which of a model's there are, and how often each may happen."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pasidlab.errors import PasidlabError
from pasidlab.lang.names import nearest

MOST_COUNTED = 255  # each count left is a state of its own
NAME = "[a-z][a-z0-9_]*"
EVERY = "all"


@dataclass(frozen=True)
class EventChoice:
    """What can be chosen. ``every`` are the events that ``all`` stands for, ``not_counted`` says why some have no limit."""

    known: Collection[str]
    every: frozenset[str]
    not_counted: Mapping[str, str] = field(default_factory=dict)

    def read(
        self, words: Iterable[str], events: frozenset[str], limits: Mapping[str, int]
    ) -> tuple[frozenset[str], dict[str, int]]:  # fmt: skip
        """The events and limits that the words make of those given.

        ``a,b`` means just these, ``+a`` and ``-a`` change the set, ``a:1`` limits, ``all`` is every event. PasidlabError for other words.
        """
        words = [word.strip() for word in words if word.strip()]
        if not words:
            raise PasidlabError("--events names no event", hint=f"known: {', '.join([*self.known, EVERY])}")
        chosen = set(events) if all(word[0] in "+-" for word in words) else set()
        bounds = dict(limits)
        for word in words:
            sign, name, count = self._word(word)
            named = set(self.every) if name == EVERY else {name}
            chosen = chosen - named if sign == "-" else chosen | named
            if count is not None:
                bounds |= dict.fromkeys(named - self.not_counted.keys(), count)
        return frozenset(chosen), bounds

    def _word(self, word: str) -> tuple[str, str, int | None]:
        """Sign, name and count of one word."""
        match = re.fullmatch(rf"([+-]?)({NAME})(?::(\d+))?", word)
        if not match:
            raise PasidlabError(f"cannot read event '{word}'", hint="write name, +name, -name or name:count")
        sign, name, count = match.groups()
        if name not in self.known and name != EVERY:
            raise PasidlabError(f"unknown event '{name}'", hint=nearest(name, [*self.known, EVERY]))
        if count is None:
            return sign, name, None
        if name in self.not_counted:
            raise PasidlabError(f"'{name}' cannot be counted: {self.not_counted[name]}", hint=f"without a count: {name}")
        if int(count) > MOST_COUNTED:
            raise PasidlabError(f"{name}:{count} is more than {MOST_COUNTED}", hint=f"without a count {name} may happen for ever")
        return sign, name, int(count)
