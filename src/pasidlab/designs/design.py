"""A design: the functions that replace kernel functions, and where they come from."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pasidlab.designs.intake.judged import Judged
from pasidlab.errors import PasidlabError
from pasidlab.lang.ir import Function, Property
from pasidlab.lang.names import Names
from pasidlab.lang.own import OwnModel, OwnScope
from pasidlab.lang.source import File, Text, read_text
from pasidlab.model.promises import PROPERTIES
from pasidlab.model.scope import DEFAULT_PARTS, THOROUGH_PARTS, Scope, scope_of
from pasidlab.model.sources import MODEL_FILES, PREEMPT_RT_FILES, fixed_functions

_HERE = Path(__file__).parent
_ORDER = (
    "eager-ipi", "late-either", "late-either-refs", "late-exclusive", "late-bare", "late-locked",
    "memory-edit", "early", "early-read", "task-work",
)  # fmt: skip


AnyScope = Scope | OwnScope
"""The scope of a design, and that of a model of one's own."""


@dataclass(frozen=True, repr=False)
class Design:
    """A design: its name and the file whose functions replace kernel functions. Or a model of one's own, with no kernel around it."""

    name: str
    path: Path
    text: str | None = None
    """What stands in ``path``; None: as the file is now."""
    functions: Callable[[Names], dict[str, Function]] | None = field(default=None, compare=False)
    """Ready-made functions (out of C) that replace kernel functions, those of ``path`` too."""
    files: tuple[str, ...] = ()
    """Where they stand; empty: in ``path``."""
    beside: tuple[Text, ...] = ()
    """Files that are read after ``path``: their functions replace those of the same names."""
    origin: str = ""
    """What the user named, if not ``path``."""
    notes: tuple[str, ...] = ()
    """What the reader of a verdict should know about how the functions were come by."""
    account: Callable[[], Judged] | None = field(default=None, compare=False)
    """Of a design out of C, once its functions were asked for: what of the input is judged. None: all of it is."""
    provenance: tuple[tuple[str, str, str], ...] = ()
    """Of a source tree: function, its place there (empty: built in), and why it stayed built in."""
    around: str = ""
    """Of a design out of C: the design whose kernel surrounds its functions."""
    version: str = ""
    """Of a source tree: of which Linux."""
    texts: tuple[tuple[str, str], ...] = field(default=())
    """The files that were read to open it, by name (``Files``)."""
    shown: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    """Lines of what it was read from and is no file by its name (``Files``)."""

    preempt_rt: bool = False
    """The kernel around has CONFIG_PREEMPT_RT."""
    own: OwnModel | None = field(default=None, compare=False)
    """What the file of a model of one's own says of it; None: a design."""

    def __repr__(self) -> str:
        """``Design('early')``; of what a user named also where it stands."""
        if BUILT_IN.get(self.name) is self:
            return f"Design({self.name!r})"
        return f"Design({self.name!r}, {self.origin or str(self.path)!r})"

    @property
    def properties(self) -> tuple[Property, ...]:
        """What must hold: the nine promises, or those of the model."""
        return self.own.properties if self.own else PROPERTIES

    @property
    def property_names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(p.name for p in self.properties)

    @property
    def parts(self) -> Mapping[str, AnyScope]:
        """What is explored when no scope is given."""
        return {"scope": self.own.scope()} if self.own else DEFAULT_PARTS

    @property
    def thorough_parts(self) -> Mapping[str, AnyScope]:
        """What is explored where time does not matter. PasidlabError for a model of one's own, which has one scope."""
        if self.own:
            raise PasidlabError(f"{self.name} is a whole model, with one scope", hint="leave out --thorough; --size makes it larger")
        return {**DEFAULT_PARTS, **THOROUGH_PARTS}

    def scope(self, *, events: str | None = None, **sizes: int) -> AnyScope:
        """A scope of these sizes and events, named as on the command line; what is not named is as by default.

        For a design, default is ``Scope()``. PasidlabError for a size or an event that there is not.
        """
        if self.own:
            return self.own.changed(sizes, events)
        made = scope_of(sizes)
        return made if events is None else made.with_events(events.split(","))

    @property
    def file(self) -> File:
        """The file of ``path``, to be read."""
        return self.path if self.text is None else Text(str(self.path), self.text)

    @property
    def kernel_files(self) -> tuple[Path, ...]:
        """The files of the kernel around; none for a model of one's own."""
        if self.own:
            return ()
        return (*MODEL_FILES, *PREEMPT_RT_FILES) if self.preempt_rt else MODEL_FILES

    @property
    def fixed(self) -> frozenset[str]:
        """Functions around the design that are no kernel code: it may not replace them."""
        return frozenset() if self.own else fixed_functions()

    @property
    def layers(self) -> tuple[File, ...]:
        """The files of the kernel around and those of the design; each replaces functions of those before."""
        return (*self.kernel_files, self.file, *self.beside)

    @property
    def sources(self) -> tuple[str, ...]:
        """The files its functions stand in."""
        return self.files or (str(self.path),)

    @property
    def history(self) -> str:
        """The docstring of the file: where the design comes from and what was said about it."""
        return ast.get_docstring(ast.parse(self.file.text if isinstance(self.file, Text) else read_text(self.file))) or ""

    @property
    def idea(self) -> str:
        """The first sentence of its history."""
        return self.history.split("\n\n")[0].replace("\n", " ").removeprefix(f"{self.name}: ")


BUILT_IN: dict[str, Design] = {name: Design(name, _HERE / f"{name.replace('-', '_')}.py") for name in _ORDER}
"""The designs of the debate."""
