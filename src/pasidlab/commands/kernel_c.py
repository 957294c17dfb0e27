"""Designs out of C files, patches, mailboxes and source trees: what ``check``, ``replay`` and their relatives open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pasidlab import designs
from pasidlab.designs.kernel_c import design_of, gathered, is_c
from pasidlab.errors import PasidlabError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pasidlab.designs import Design
    from pasidlab.lang.c.gather import Gathered

def open_design(
    name: str,
    *,
    base: str | None = None,
    config: Iterable[str] = (),
    stubs: Iterable[str] = (),
    kernel: str | None = None,
    quiet: bool = True,
) -> Design:
    """The design of a name on the command line: built in, a Python file, or anything the C front end reads.

    With an empty name and a tree, the tree's own design. Unless ``quiet``, provenance and notes go to the terminal.
    """
    config, stubs = tuple(config), tuple(stubs)
    if not is_c(name) and not (kernel and not name):
        if base or config or stubs or kernel:
            raise PasidlabError(f"--base, --config, --stub and --kernel are for C files, patches and trees; {name} is none")
        return designs.find(name)
    found, around = gathered(name, base, config, stubs, kernel)
    _try_once(found, around)
    if not quiet:
        click.echo(_about(found, around))
    return design_of(found, around, name or str(kernel))


def _try_once(found: Gathered, around: Design) -> None:
    """Compile for the smallest scope: errors come before anything is explored, and a tree learns what stays built in."""
    from pasidlab.check.model import kernel_files
    from pasidlab.check.scope import Scope
    from pasidlab.lang import source
    from pasidlab.lang.lower import ARRIVALS
    from pasidlab.lang.names import Names

    space = source.collect([ARRIVALS, *kernel_files(), around.path])
    found.functions(Names(space, Scope(cpus=1, tasks=1, mms=1, pasids=1).compiler_bounds()))


def _about(found: Gathered, around: Design) -> str:
    """The base, the notes and, for a tree, the provenance table."""
    lines = [f"{found.name}: C functions in the kernel around '{around.name}'"]
    lines += [f"  note: {note}" for note in found.notes]
    if found.tree is not None:
        lines[0] = f"{found.name}: Linux {found.tree.tree.version} in the kernel around '{around.name}'"
        rows = found.provenance()
        width = max(len(row.function) for row in rows)
        lines += [f"  {row.function:<{width}}  {row.place or 'built in: ' + row.why}" for row in rows]
    return "\n".join(lines) + "\n"
