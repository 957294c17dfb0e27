"""From a design and a scope to a lowered model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pasidlab.checking.reductions import EVERY_STEP, Reductions
from pasidlab.designs import AnyScope, Design
from pasidlab.errors import PasidlabError
from pasidlab.lang.ir import Function, Model
from pasidlab.lang.lowering.forget import forgetting_nothing, watched
from pasidlab.lang.lowering.kept import kept_or_built
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.own import OwnScope
from pasidlab.lang.scope import Bounds
from pasidlab.model.scope import Scope
from pasidlab.model.words import WORDS


def design_model(
    design: Design,
    scope: AnyScope,
    *,
    reductions: Reductions = EVERY_STEP,
    optimised: bool = True,
    functions: dict[str, Function] | None = None,
    extra: Sequence[Path] = (),
    bounds: Bounds | None = None,
) -> Model:
    """The kernel with the design in it, or a model of one's own, which has no kernel around it.

    ``bounds`` replace those of the scope. ``extra`` files override it in turn, ``functions`` (already compiled) override all.
    Symmetry is the compiler's (``native.compile_model``). Unless ``optimised``, nothing is simplified, merged or left out of the state.
    """
    files = [*design.layers, *extra]
    made = functions or design.functions
    bounds = bounds or bounds_of(design, scope)
    build = partial(build_model, functions=made) if made else kept_or_built
    model = build(
        design.name, files, bounds, design.properties, merged=reductions.merging, optimised=optimised,
        local_first=reductions.local_first, whole=design.file, fixed=design.fixed,
    )  # fmt: skip
    model = replace(model, words=design.own.words if design.own else WORDS)
    return watched(model) if reductions.forgetting else forgetting_nothing(model)


def bounds_of(design: Design, scope: AnyScope) -> Bounds:
    """What the compiler needs to know of a scope. PasidlabError if it is no scope of that design."""
    if design.own is not None and isinstance(scope, OwnScope):
        return design.own.compiler_bounds(scope)
    if design.own is None and isinstance(scope, Scope):
        return scope.compiler_bounds()
    raise PasidlabError(f"that is no scope of {design.name}: {scope}", hint="the scope(...) of the opened design makes one")
