"""The designs of the debate, one file each, and how to find one by name."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pasidlab.errors import PasidlabError
from pasidlab.lang.c.judged import Judged
from pasidlab.lang.ir import Function
from pasidlab.lang.names import Names, nearest

_HERE = Path(__file__).parent
_ORDER = (
    "eager-ipi", "late-either", "late-either-refs", "late-exclusive", "late-bare", "late-locked",
    "memory-edit", "early", "early-read", "task-work",
)  # fmt: skip


@dataclass(frozen=True)
class Design:
    """A design: its name and the file whose functions replace kernel functions."""

    name: str
    path: Path
    functions: Callable[[Names], dict[str, Function]] | None = field(default=None, compare=False)
    """Ready-made functions (out of C) that replace kernel functions, those of ``path`` too."""
    files: tuple[str, ...] = ()
    """Where they stand; empty: in ``path``."""
    origin: str = ""
    """What the user named, if not ``path``."""
    notes: tuple[str, ...] = ()
    """What the reader of a verdict should know about how the functions were come by."""
    account: Callable[[], Judged] | None = field(default=None, compare=False)
    """Of a design out of C, once its functions were asked for: what of the input is judged. None: all of it is."""
    provenance: tuple[tuple[str, str, str], ...] = ()
    """Of a source tree: function, its place there (empty: built in), and why it stayed built in."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The files its functions stand in."""
        return self.files or (str(self.path),)

    @property
    def history(self) -> str:
        """The docstring of the file: where the design comes from and what was said about it."""
        return ast.get_docstring(ast.parse(self.path.read_text(encoding="utf-8"))) or ""

    @property
    def idea(self) -> str:
        """The first sentence of its history."""
        return self.history.split("\n\n")[0].replace("\n", " ").removeprefix(f"{self.name}: ")


BUILT_IN: dict[str, Design] = {name: Design(name, _HERE / f"{name.replace('-', '_')}.py") for name in _ORDER}


def find(name: str) -> Design:
    """The built-in design of that name, or that of a file: Python, C, a patch or a mail. PasidlabError if there is neither."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    from pasidlab.designs.kernel_c import design_of, gathered, is_c

    if is_c(name):
        return design_of(*gathered(name), name)
    path = Path(name)
    if name and (path.suffix == ".py" or path.exists()):
        return Design(path.stem, path)
    raise PasidlabError(f"unknown design '{name}'", hint=nearest(name, BUILT_IN))


def __getattr__(name: str) -> Design:
    design = BUILT_IN.get(name.replace("_", "-"))
    if design is None:
        raise AttributeError(name)
    return design
