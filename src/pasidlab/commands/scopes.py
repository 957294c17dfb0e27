"""The scope that the options of a command ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pasidlab.model.scope import Scope


def scope_from(cpus: int | None, tasks: int | None, mms: int | None, pasids: int | None, events: str | None) -> Scope | None:
    """The scope of the sizes and events given; None if none is given.

    Events alone keep the sizes of part ``race``. Beside a size that is given, the others are as in ``Scope()``.
    """
    from pasidlab.model.scope import DEFAULT_PARTS, Scope

    sizes = (cpus, tasks, mms, pasids)
    if events is None and all(size is None for size in sizes):
        return None
    usual = DEFAULT_PARTS["race"] if all(size is None for size in sizes) else Scope()
    mms = mms if mms is not None else usual.mms
    base = Scope(
        cpus=cpus if cpus is not None else usual.cpus, tasks=tasks if tasks is not None else usual.tasks, mms=mms,
        pasids=pasids if pasids is not None else max(mms, 1),
    )  # fmt: skip
    return base.with_events(events.split(",")) if events is not None else base


def scope_line(scope: Scope | None) -> str:
    """The scope a check explores, in words."""
    return f"scope: {scope if scope is not None else 'the default parts (pasidlab designs lists them)'}"
