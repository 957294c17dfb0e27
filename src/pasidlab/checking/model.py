"""From a design and a scope to a lowered model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pasidlab.checking.reductions import EVERY_STEP, Reductions
from pasidlab.designs import Design
from pasidlab.lang.ir import Function, Model
from pasidlab.lang.lowering.forget import exact, watched
from pasidlab.lang.lowering.kept import kept_or_built
from pasidlab.lang.lowering.lower import build_model
from pasidlab.model.promises import PROPERTIES
from pasidlab.model.scope import Scope
from pasidlab.model.sources import MODEL_FILES


def design_model(
    design: Design,
    scope: Scope,
    *,
    reductions: Reductions = EVERY_STEP,
    optimised: bool = True,
    functions: dict[str, Function] | None = None,
    extra: Sequence[Path] = (),
) -> Model:
    """The kernel with the design in it. ``extra`` files override it in turn, ``functions`` (already compiled) override all.

    Symmetry is the compiler's (``native.compile_model``). Unless ``optimised``, nothing is simplified, merged or left out of the state.
    """
    files = [*MODEL_FILES, design.file, *extra]
    made = functions or design.functions
    bounds = scope.compiler_bounds()
    build = partial(build_model, functions=made) if made else kept_or_built
    model = build(
        design.name, files, bounds, PROPERTIES, merged=reductions.merging, optimised=optimised,
        local_first=reductions.local_first, whole=design.file,
    )  # fmt: skip
    return watched(model) if reductions.forgetting else exact(model)
