"""From a design and a scope to a lowered model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pasidlab.check.scope import Scope
from pasidlab.designs import Design
from pasidlab.lang.forget import exact, watched
from pasidlab.lang.ir import Function, Model
from pasidlab.lang.lower import build_model
from pasidlab.linux.promises import PROPERTIES

_ROOT = Path(__file__).parents[1]


def kernel_files() -> list[Path]:
    """The sources of the machine and of the kernel around a design."""
    skip = {"__init__.py", "ambient.py", "promises.py"}
    folders = (_ROOT / "machine", _ROOT / "linux")
    return [path for folder in folders for path in sorted(folder.glob("*.py")) if path.name not in skip]


def design_model(
    design: Design,
    scope: Scope,
    *,
    merged: bool = True,
    optimised: bool = True,
    abstract: bool = True,
    local_first: bool = False,
    functions: dict[str, Function] | None = None,
    extra: Sequence[Path] = (),
) -> Model:
    """The kernel with the design in it. ``extra`` files override it in turn, ``functions`` (already compiled) override all.

    Unless ``optimised``, nothing is simplified, merged or left out of the state.
    """
    files = [*kernel_files(), design.path, *extra]
    made = functions or design.functions
    bounds = scope.compiler_bounds()
    model = build_model(
        design.name, files, bounds, PROPERTIES, merged=merged, optimised=optimised, local_first=local_first, functions=made,
        whole=design.path,
    )  # fmt: skip
    return watched(model) if abstract else exact(model)
