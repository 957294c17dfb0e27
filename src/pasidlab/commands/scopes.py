"""The scope that the options of a command ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pasidlab.check.scope import Scope


def scope_from(cpus: int | None, tasks: int | None, mms: int | None, pasids: int | None, events: str | None) -> Scope | None:
    """The scope of the sizes and events given, the usual ones in place of those that are not; None if none is given."""
    from pasidlab.check.scope import Scope

    if all(option is None for option in (cpus, tasks, mms, pasids, events)):
        return None
    usual = Scope()
    mms = mms if mms is not None else usual.mms
    base = Scope(
        cpus=cpus if cpus is not None else usual.cpus, tasks=tasks if tasks is not None else usual.tasks, mms=mms,
        pasids=pasids if pasids is not None else max(mms, 1),
    )  # fmt: skip
    return base.with_events(events.split(",")) if events is not None else base
