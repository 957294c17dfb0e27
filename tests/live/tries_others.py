"""More dangers for ``tries``: what tasks of the program do to each other, and to the memory they have in common."""

from __future__ import annotations

from collections.abc import Iterator

from tries_place import Variant
from tries_rows import exits


def others() -> Iterator[Variant]:
    """Nobody is forgotten, and nobody's memory, handlers or results are changed."""
    for how in ("killed", "exec"):
        yield Variant("others", f"children of who is gone: {how}", exits(0)("orphans", how, "8"))
    yield Variant("others", "signals for who waits", exits(0)("interrupts", "0.5"))


VARIANTS = list(others())
