"""Small models of the language, from text; and the two engines side by side."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path

import numpy as np

from pasidlab.lang.back.native import CompiledModel, compile_model
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Model, Property
from pasidlab.lang.local_steps import LocalSteps
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.scope import Bounds
from pasidlab.search.breadth_first import search
from pasidlab.search.observed import AGAIN, ERROR, REACHED, STATE_BROKEN, STEP_BROKEN
from pasidlab.search.result import Budget

PROPERTIES = (Property("p", "a promise"), Property("q", "another"), Property("sound_kernel", "no crash"))
BITS = {p.name: 1 << n for n, p in enumerate(PROPERTIES)}


def build(folder: Path, text: str, *, events: str = "", limits: dict[str, int] | None = None, merged: bool = True) -> Model:
    path = folder / "model.py"
    path.write_text(text, encoding="utf-8")
    bounds = Bounds({"n": 2}, frozenset(events.split()), limits or {})
    return build_model("model", [path], bounds, PROPERTIES, merged=merged)


def broken(folder: Path, text: str, events: str, *, tasks: int = 2) -> set[str]:
    """The properties that a model with contexts breaks: merged or not, local steps first or not, interpreted and compiled."""
    verdicts = []
    for merged in (True, False):
        path = folder / "model.py"
        path.write_text(text, encoding="utf-8")
        bounds = Bounds({"cpus": 2, "tasks": tasks}, frozenset(events.split()))
        model = build_model("model", [path], bounds, PROPERTIES, merged=merged, local_first=True)
        assert_engines_agree(model, 40, stride=7)
        for local_first in (False, True):
            found = search(compile_model(model, local_first=local_first), budget=Budget(max_states=1_000_000))
            assert (found.reason, found.error) == ("complete", None)
            verdicts.append({PROPERTIES[bit].name for bit in found.violations})
    assert all(verdict == verdicts[0] for verdict in verdicts)
    return verdicts[0]


class Native:
    """A compiled model, called for one state at a time."""

    def __init__(self, model: Model, *, symmetric: bool = False, optimised: bool = False, local_first: bool = False) -> None:
        quick: CompiledModel = compile_model(model, symmetric=symmetric, local_first=local_first)
        self.model = quick.optimised() if optimised else quick
        signature = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        self.expand = signature(self.model.expand_address)
        self.out = np.zeros((max(self.model.max_successors, 1), self.model.words), np.uint64)
        self.bits = {name: 1 << n for n, name in enumerate(self.model.properties)}

    def step(self, state: tuple[int, ...]) -> tuple[Counter, int, int, bool, int, int]:
        """Successors with how often each comes, and the masks and the error observed."""
        packed, seen = np.array(state, np.uint64), np.zeros(self.model.observed_words, np.uint64)
        count = self.expand(packed.ctypes.data, self.out.ctypes.data, seen.ctypes.data)
        observed = [int(seen[word]) for word in (STATE_BROKEN, STEP_BROKEN, REACHED, ERROR, AGAIN)]
        return Counter(map(tuple, self.out[:count].tolist())), observed[0], observed[1], observed[3] != 0, observed[2], observed[4]


def interpreted(interpreter: Interpreter, bits: dict[str, int], state: tuple[int, ...]) -> tuple[Counter, int, int, bool, int, int]:
    """The same, by the interpreter."""
    unpacked = interpreter.layout.unpack(state)
    outcomes = interpreter.successors(unpacked)
    broken = step = reached = again = 0
    for name, _, _ in interpreter.violations(unpacked):
        broken |= bits[name]
    for outcome in outcomes:
        for failure in outcome.failures:
            step |= bits.get(failure.property, 0)
        for name in outcome.reached:
            reached |= bits[name]
        for name in outcome.repeated:
            again |= bits[name]
    successors = Counter(interpreter.canonical(o.state) for o in outcomes if o.state is not None)
    error = any(o.error for o in outcomes) or bool(interpreter.unanswered(unpacked))
    return successors, broken, step, error, reached, again


def assert_engines_agree(model: Model, most: int = 300, *, symmetric: bool = False, stride: int = 1) -> int:
    """Compare the engines, quick and optimised code, on reachable states; how many were compared."""
    native, interpreter = Native(model, symmetric=symmetric), Interpreter(model, symmetric=symmetric)
    optimised = Native(model, symmetric=symmetric, optimised=True)
    assert optimised.model.code.optimised
    local = Native(model, symmetric=symmetric, local_first=True) if model.private else None
    frontier = [tuple(words) for words in native.model.initial.tolist()]
    assert sorted(frontier) == sorted({interpreter.canonical(s) for s in interpreter.initial_states()})
    known, done = set(frontier), 0
    while frontier and done < most:
        state = frontier.pop(done * stride % len(frontier))
        mine, theirs = native.step(state), interpreted(interpreter, native.bits, state)
        assert mine == theirs, f"the engines differ in {interpreter.layout.unpack(state)}"
        assert optimised.step(state) == mine, f"optimised code differs in {interpreter.layout.unpack(state)}"
        if local:
            theirs_first = Counter(interpreter.canonical(s) for s in LocalSteps(interpreter).successors(interpreter.layout.unpack(state)))
            assert local.step(state)[0] == theirs_first, f"local steps first differ in {interpreter.layout.unpack(state)}"
        new = [s for s in sorted(mine[0]) if s not in known]
        known.update(new)
        frontier += new
        done += 1
    return done
