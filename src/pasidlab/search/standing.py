"""Where all processes of a search are before a round: what they have together, and whether one of them has to stop."""

from __future__ import annotations

from dataclasses import dataclass

from pasidlab.search.exchange import Exchange
from pasidlab.search.result import StopReason

_TROUBLE: tuple[StopReason, ...] = ("disk_full", "max_memory")
_STOP: tuple[StopReason, ...] = ("interrupted", "max_states", "timeout")


@dataclass(frozen=True)
class Standing:
    """Sums over all processes; what keeps one of them from going on; what asks for an end before the next round."""

    unexpanded: int
    states: int
    bytes: int
    disk: int
    trouble: StopReason | None
    stop: StopReason | None


def standing(peers: Exchange, counts: tuple[int, int, int, int], reasons: set[StopReason]) -> Standing:
    """Of the counts (the first four of ``Standing``) and the reasons to stop that each process has."""
    unexpanded, states, taken, disk, *flags = peers.total([*counts, *(reason in reasons for reason in _TROUBLE + _STOP)])
    given = [reason for reason, flag in zip(_TROUBLE + _STOP, flags, strict=True) if flag]
    trouble, stop = ([reason for reason in given if reason in kind] for kind in (_TROUBLE, _STOP))
    return Standing(unexpanded, states, taken, disk=disk, trouble=next(iter(trouble), None), stop=next(iter(stop), None))
