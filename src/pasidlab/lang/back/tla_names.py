"""Identifiers of one module of TLA+: no definition may hide another."""

from __future__ import annotations

import re

_WORDS = (
    "ASSUME ASSUMPTION AXIOM BOOLEAN CASE CHOOSE CONSTANT CONSTANTS DOMAIN ELSE ENABLED EXCEPT EXTENDS FALSE IF IN INSTANCE LAMBDA "
    "LEMMA LET LOCAL MODULE NEW OBVIOUS OTHER PROOF PROVE QED RECURSIVE SF_ STRING SUBSET TAKE THEN THEOREM TRUE UNCHANGED UNION USE "
    "VARIABLE VARIABLES WF_ WITH WITNESS BY DEF DEFINE DEFS HAVE HIDE OMITTED ONLY PICK PROPOSITION STATE ACTION TEMPORAL "
    "a b And Or Xor Shl Shr Double Abs Div Mod Less Bit Stop Off Int Nat vars Init Next Spec TypeOK go broken broke_ condition o"
)
"""The language's words, and the names that every exported module has."""


class TlaNames:
    """Gives identifiers: of a module, or (``inner``) inside one of its definitions."""

    def __init__(self, outer: TlaNames | None = None) -> None:
        self._outer = outer
        self._taken = set() if outer else set(_WORDS.split())

    def inner(self) -> TlaNames:
        """Names that are known in one definition alone."""
        return TlaNames(self)

    def taken(self, name: str) -> bool:
        """Whether something has this name here."""
        return name in self._taken or (self._outer is not None and self._outer.taken(name))

    def fresh(self, wanted: str) -> str:
        """An identifier like the text, unlike all others."""
        plain = re.sub(r"\W", "_", wanted, flags=re.ASCII).strip("_") or "x"
        name = base = plain if plain[0].isalpha() else f"v{plain}"
        number = 1
        while self.taken(name):
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name
