"""The one door for designs: a name, a Python or C file, a patch, a mail or a source tree, and how that is read.

A Python file that says so (``declare.model``) is a model of one's own.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pasidlab import declare
from pasidlab.designs.design import BUILT_IN, Design
from pasidlab.designs.intake.files import STANDARD_INPUT, Files
from pasidlab.errors import PasidlabError, Position, printable
from pasidlab.lang import source
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.names import Names, nearest
from pasidlab.lang.own_reading import own_model
from pasidlab.model.scope import Scope

if TYPE_CHECKING:  # the C front end is loaded when C is opened
    from pasidlab.designs.intake.gather import Gathered, InputOptions

SUFFIXES = (".c", ".h", ".patch", ".diff", ".mbox", ".eml", ".mail", ".txt")
"""Files the C front end reads."""
PREEMPT_RT = ("CONFIG_PREEMPT_RT=y", "CONFIG_PREEMPT_RT=n")
"""The one option that changes the kernel around itself."""
SIDES: tuple[Literal["before"], Literal["after"]] = ("before", "after")
Side = Literal["", "before", "after"]
"""Of a comparison: the tree before a patch, or after it. Empty: there is no comparison."""


@dataclass(frozen=True)
class Opening:
    """What opens a design: the same one in every process, on every machine that has the texts.

    ``name`` is that of a built-in design or of a file, ``-`` for standard input, or empty: the design of the tree ``kernel`` itself. All
    but the texts are options of the command line, for C alone. ``reverse`` takes a patch out of the tree. ``allow_unjudged`` names
    functions that need not be judged, as the user knows; ``*`` stands for any letters.
    """

    name: str = ""
    base: str | None = None
    config: tuple[str, ...] = ()
    stubs: tuple[str, ...] = ()
    kernel: str | None = None
    texts: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The files to be read, by name (``Files``). Empty: as they are on the disk."""
    allow_unjudged: tuple[str, ...] = ()
    reverse: bool = False
    side: Side = ""

    def design(self) -> Design:
        """The design. PasidlabError if there is none, or it cannot be compiled in the smallest scope."""
        files = Files(dict(self.texts))
        if is_c(self.name) or (self.kernel and not self.name):
            found = self._out_of_c(files)
        else:
            found = self._as_named(files)
        return replace(found, texts=tuple(sorted(files.read.items())), shown=files.shown)

    def _as_named(self, files: Files) -> Design:
        found = _by_name(self.name, files)
        kernels = () if found.own else PREEMPT_RT
        if replace(self, name="", texts=(), config=tuple(word for word in self.config if word not in kernels)) != Opening():
            what = "--base, --config, --stub, --kernel, --allow-unjudged, --compare and -R"
            hint = "" if found.own else "--config CONFIG_PREEMPT_RT=y is for every design"
            raise PasidlabError(f"{what} are for C files, patches and trees; {self.name} is none", hint=hint)
        return _on_rt(found) if self._rt else found

    @property
    def _rt(self) -> bool:
        """The last word of the configuration counts."""
        return [word for word in self.config if word in PREEMPT_RT][-1:] == [PREEMPT_RT[0]]

    def carrying(self, design: Design) -> Opening:
        """The opening that needs no file any more, once it has opened ``design``."""
        return replace(self, texts=design.texts)

    def _out_of_c(self, files: Files) -> Design:
        from pasidlab.designs.intake.gather import before_and_after, read_options

        options = read_options(self.config, self.stubs, self.kernel, self.reverse, self.base, files)
        before, found = before_and_after(self.name, options) if self.side else (None, _gathered(self.name, options))
        if self.base and self.base not in BUILT_IN and (_by_name(self.base, files).own or not self.base.endswith(".py")):
            raise PasidlabError(f"--base {self.base} is no design")
        if self.side == "before":
            around = _by_name(self.base or (before or found).base, files)
            if before is not None:
                return self._made(before, around)
            return _on_rt(around) if self._rt else around
        return self._made(found, _by_name(self.base or found.base, files))

    def _made(self, found: Gathered, around: Design) -> Design:
        """The design that functions make. What a tree could not give is known once it has been compiled."""
        around = _on_rt(around) if self._rt else around
        _try_once(found, around)
        allowed = self.allow_unjudged
        provenance = found.provenance() if found.tree else []
        return replace(
            around, name=printable(found.name), functions=found.functions, files=found.files, origin=self.name or str(self.kernel),
            notes=(*around.notes, *found.notes),
            provenance=tuple((row.function, row.place, row.why) for row in provenance), around=around.name,
            version=found.tree.tree.version if found.tree else "", account=lambda: found.judged().allowing(allowed),
        )  # fmt: skip

    def content(self, design: Design) -> tuple[Opening, str, tuple[str, ...]]:
        """What is equal for all names of ``design``, which this opened: the options, the kind of file, and the texts that were read."""
        kind = Path(self.name).suffix if is_c(self.name) else ""
        texts = sorted(text for _, text in design.texts) or [source.read_text(design.path)]
        return replace(self, name="", texts=()), kind, tuple(texts)

    def to_json(self) -> dict[str, Any]:
        """The opening as an object of JSON."""
        return {
            "name": self.name, "base": self.base, "config": list(self.config), "stubs": list(self.stubs), "kernel": self.kernel,
            "allow_unjudged": list(self.allow_unjudged), "reverse": self.reverse, "side": self.side, "texts": dict(self.texts),
        }  # fmt: skip

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> Opening:
        """The opening that ``to_json`` wrote."""
        texts: Mapping[str, str] = document.get("texts") or {}
        return Opening(
            document["name"], document.get("base"), tuple(document.get("config", ())), stubs=tuple(document.get("stubs", ())),
            kernel=document.get("kernel"), texts=tuple(sorted(texts.items())), allow_unjudged=tuple(document.get("allow_unjudged", ())),
            reverse=document.get("reverse", False), side=document.get("side", ""),
        )  # fmt: skip


def is_c(name: str) -> bool:
    """True for a name that the C front end reads."""
    return name == STANDARD_INPUT or name.endswith(SUFFIXES)


def _on_rt(design: Design) -> Design:
    """The design in a kernel with CONFIG_PREEMPT_RT. PasidlabError if its functions say what they mean without it."""
    space = source.collect([design.file])
    for function in space.functions.values():
        for node in ast.walk(function.node):
            if isinstance(node, ast.Name) and node.id in ("local_bh_disable", "local_bh_enable"):
                at = Position(function.file, node.lineno, node.col_offset + 1)
                what = f"{node.id}() is that of a kernel without CONFIG_PREEMPT_RT"
                raise PasidlabError(what, position=at, hint="fpregs_lock() is right on both; C has local_bh_disable() on both")
    return replace(design, preempt_rt=True, notes=(*design.notes, "the kernel around has CONFIG_PREEMPT_RT"))


def _gathered(name: str, options: InputOptions) -> Gathered:
    from pasidlab.designs.intake.gather import from_tree, gather

    return gather(name, options) if name else from_tree(options)


def _by_name(name: str, files: Files) -> Design:
    """The built-in design of that name, or that of a Python file. PasidlabError if there is neither."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    path = Path(name)
    if name and (path.suffix == ".py" or files.is_file(name) or path.exists()):
        own = next((design for design in BUILT_IN.values() if design.path == path.absolute()), None)
        if own:
            return own
        text = files.text(name)
        return Design(printable(path.stem), path, text=text, own=own_model(text, name, declare))
    raise PasidlabError(f"unknown design '{name}'", hint=nearest(name, BUILT_IN))


def _try_once(found: Gathered, around: Design) -> None:
    """Compile for the smallest scope: errors come before anything is explored, and a tree learns what stays built in."""
    space = source.collect([ARRIVALS, *around.layers])
    found.functions(Names(space, Scope(cpus=1, tasks=1, mms=1, pasids=1).compiler_bounds()))
