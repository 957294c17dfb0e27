"""More dangers for ``tries``: what tasks of the program do to each other, and to the memory they have in common."""

from __future__ import annotations

from collections.abc import Iterator

from tries_place import Variant
from tries_rows import Once, exits, judged


def others() -> Iterator[Variant]:
    """Nobody is forgotten, and nobody's memory, handlers or results are changed."""

    def in_scratch(code: int, program: str, *words: str) -> Once:
        return lambda place, number: judged(place.run("--", place.program(program), str(place.scratch), *words), code)

    for how in ("killed", "exec"):
        yield Variant("others", f"children of who is gone: {how}", exits(0)("orphans", how, "8"))
    for how in ("killed", "exec", "apart", "copied"):
        yield Variant("others", f"who has memory in common: {how}", exits(0)("heirs", how, "8"))
    for how in ("occupied", "beside"):
        yield Variant("others", f"pages beside ours: {how}", exits(0)("mappings", how))
    yield Variant("others", "memory in common, handlers apart", exits(0)("siblings"))
    for what in ("portal", "code", "slots", "page", "text"):
        yield Variant("others", f"calls on memory: {what}", exits(0)("calls_on", what))
    yield Variant("others", "code of theirs copied", exits(0)("copies"))
    yield Variant("others", "open files by other names", exits(0)("reopens"))
    yield Variant("others", "code of ours replaced", exits(0)("replaced"))
    yield Variant("others", "code of theirs replaced meanwhile", in_scratch(0, "patched", "100"))
    yield Variant("others", "code that nobody may read", in_scratch(4, "unread"))
    yield Variant("others", "first processes of pid namespaces", exits(0)("firsts"))
    yield Variant("others", "signals for who waits", exits(0)("interrupts", "0.5"))
    for unused in ("0", "1", "30"):
        yield Variant("others", f"signals that others block, {unused} unused", exits(0, options=("--exact",))("lends", unused, "0.5"))
    yield Variant("others", "compatibility mode", exits(0)("narrow"))
    for how in ("protects", "shortens"):
        yield Variant("others", f"memory taken from a large move: {how}", exits(0)("withdraws", how, "8388608"))
    for when in ("before", "meanwhile"):
        yield Variant("others", f"several signals that wait: {when}", exits(0)("several", when, "2097152"))
    yield Variant("others", "calls that are not interrupted", exits(0)("undisturbed", "0.5"))
    yield Variant("others", "handlers that are called once", exits(0)("oneshot"))
    yield Variant("others", "where threads may run", exits(0)("pinned"))
    yield Variant("others", "where threads may run, exact", exits(0, options=("--exact",))("pinned"))
    yield Variant("others", "files opened from a directory", exits(0)("from_here"))


VARIANTS = list(others())
