"""Designs out of C files, patches, mails and source trees: the functions found there in the kernel around a built-in design."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from pasidlab import designs
from pasidlab.errors import PasidlabError

if TYPE_CHECKING:
    from pasidlab.lang.c.gather import Gathered

SUFFIXES = (".c", ".h", ".patch", ".diff", ".mbox", ".eml", ".mail", ".txt")


def is_c(name: str) -> bool:
    """Whether a name is one for the C front end; ``-`` is standard input."""
    return name == "-" or name.endswith(SUFFIXES)


def gathered(
    name: str, base: str | None = None, config: Iterable[str] = (), stubs: Iterable[str] = (), kernel: str | None = None,
    reverse: bool = False,
) -> tuple[Gathered, designs.Design]:  # fmt: skip
    """The functions of a file (with an empty name: of the tree ``kernel`` alone) and the design around them."""
    from pasidlab.lang.c.gather import from_tree, gather, read_options

    options = read_options(config, stubs, kernel, reverse, base)
    found = gather(name, options) if name else from_tree(options)
    return found, _around(base, found)


def compared(
    name: str, base: str | None = None, config: Iterable[str] = (), stubs: Iterable[str] = (), kernel: str | None = None,
    reverse: bool = False,
) -> tuple[tuple[Gathered | None, designs.Design], tuple[Gathered, designs.Design]]:  # fmt: skip
    """The functions before a patch and after it, each with the design around them; before a patch without a tree, that design alone."""
    from pasidlab.lang.c.gather import before_and_after, read_options

    before, after = before_and_after(name, read_options(config, stubs, kernel, reverse, base))
    return (before, _around(base, before or after)), (after, _around(base, after))


def _around(base: str | None, found: Gathered) -> designs.Design:
    if base and base not in designs.BUILT_IN and not base.endswith(".py"):
        raise PasidlabError(f"--base {base} is no design")
    return designs.find(base or found.base)


def design_of(found: Gathered, around: designs.Design, origin: str, allowed: Iterable[str] = ()) -> designs.Design:
    """The design they make. What a tree could not give is known once it has been compiled.

    ``allowed``: functions that need not be judged, as the user knows; ``*`` stands for any letters.
    """
    allowed = tuple(allowed)
    return replace(
        around, name=found.name, functions=found.functions, files=found.files, origin=origin, notes=tuple(found.notes),
        account=lambda: found.judged().allowing(allowed),
        provenance=tuple((row.function, row.place, row.why) for row in found.provenance()) if found.tree else (),
    )  # fmt: skip
