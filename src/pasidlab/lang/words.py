"""How the steps and values of a model are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Words:
    """``values``: field (``Task.state``) -> value -> what it is called. ``actions``: rule -> words.

    ``aside`` are fields whose changes need not be told: the source says them already, or only properties remember them.
    ``signatures``: a rule without words is told by its name and arguments, at its place; else by the function that stores.
    """

    values: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    actions: Mapping[str, str] = field(default_factory=dict)
    aside: frozenset[str] = frozenset()
    signatures: bool = True
