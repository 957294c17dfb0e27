"""The scope that the options of a command ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pasidlab.errors import PasidlabError

if TYPE_CHECKING:
    from pasidlab.checking.api import AskedParts
    from pasidlab.designs import AnyScope, Design
    from pasidlab.model.scope import Scope


@dataclass(frozen=True)
class AskedScope:
    """The sizes and events that options name; None: they name none."""

    sizes: Mapping[str, int]
    events: str | None

    def of(self, design: Design) -> AnyScope | None:
        """The scope for a design; None if nothing is asked for. PasidlabError if there is no such size or event."""
        if not self.sizes and self.events is None:
            return None
        if design.own:
            return design.own.changed(self.sizes, self.events)
        return scope_from(self.sizes, self.events)


def asked_scope(named: Mapping[str, int | None], sizes: Sequence[str], events: str | None) -> AskedScope:
    """What the options --cpus, --tasks, --mms, --pasids (``named``), --size and --events ask for."""
    found = {name: count for name, count in named.items() if count is not None}
    for text in sizes:
        name, equals, digits = text.partition("=")
        if not (name and equals and digits.isdecimal() and digits.isascii() and len(digits) < 8):
            raise PasidlabError(f"--size {text} is not NAME=NUMBER", hint="for example --size cpus=3")
        if name in found:
            raise PasidlabError(f"--size {text}: {name} is {found[name]} already")
        found[name] = int(digits)
    return AskedScope(found, events)


def scope_from(sizes: Mapping[str, int], events: str | None) -> Scope | None:
    """The scope of a design with the sizes and events given; None if none is given.

    Events alone keep the sizes of part ``race``. Beside a size that is given, the others are as in ``Scope()``.
    """
    from pasidlab.model.scope import DEFAULT_PARTS, scope_of

    if events is None and not sizes:
        return None
    base = scope_of(sizes) if sizes else DEFAULT_PARTS["race"]
    return base.with_events(events.split(",")) if events is not None else base


def scope_lines(chosen: Sequence[tuple[Design, AskedParts]]) -> list[str]:
    """The scopes a check explores, in words: that of designs, and those of models of one's own."""
    lines = []
    for design, scope in chosen:
        if design.own:
            lines.append(f"scope of {design.name}: {scope or design.own.scope()}")
        else:
            kernel = "; CONFIG_PREEMPT_RT" if design.preempt_rt else ""
            parts = "the default parts and those of --thorough" if isinstance(scope, Mapping) else "the default parts"
            named = scope is None or isinstance(scope, Mapping)
            lines.append(f"scope: {f'{parts} (pasidlab designs lists them)' if named else scope}{kernel}")
    return list(dict.fromkeys(lines))
