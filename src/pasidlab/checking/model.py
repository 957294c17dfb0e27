"""From a design and a scope to a lowered model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pasidlab.designs import Design
from pasidlab.lang.ir import Function, Model
from pasidlab.lang.lowering.forget import exact, watched
from pasidlab.lang.lowering.lower import build_model
from pasidlab.model.promises import PROPERTIES
from pasidlab.model.scope import Scope
from pasidlab.model.sources import MODEL_FILES


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
    files = [*MODEL_FILES, design.file, *extra]
    made = functions or design.functions
    bounds = scope.compiler_bounds()
    model = build_model(
        design.name, files, bounds, PROPERTIES, merged=merged, optimised=optimised, local_first=local_first, functions=made,
        whole=design.file,
    )  # fmt: skip
    return watched(model) if abstract else exact(model)
