"""The designs of the debate, one file each, and how to find one by name."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from pasidlab.errors import PasidlabError
from pasidlab.lang.names import nearest

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
    """The built-in design of that name, or the file of that name; PasidlabError if there is neither."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(name)
    if path.suffix == ".py" or path.exists():
        return Design(path.stem, path)
    raise PasidlabError(f"unknown design '{name}'", hint=nearest(name, BUILT_IN))


def __getattr__(name: str) -> Design:
    design = BUILT_IN.get(name.replace("_", "-"))
    if design is None:
        raise AttributeError(name)
    return design
