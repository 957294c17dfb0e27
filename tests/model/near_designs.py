"""Designs close to one that holds, each with one to three small edits, explored with every reduction on and off.

``python tests/model/near_designs.py FIRST COUNT`` compares the designs of these seeds and prints what differs, and counts.
A statement is dropped, swapped with its neighbour or moved out of a lock, a CPU or a mask of components is another, a value is stale.
What is edited is the design itself or the part of the kernel that owns the registers.
"""

from __future__ import annotations

import ast
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pasidlab
from pasidlab import Scope, check, designs
from pasidlab.checking.reductions import Reductions
from pasidlab.checking.result import CheckResult
from pasidlab.errors import PasidlabError
from pasidlab.search.result import Budget

HOLDING = ("early", "early-read", "late-exclusive", "late-locked", "memory-edit")
SCOPE = Scope(cpus=2, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "migrate"}))
FPU = Path(pasidlab.__file__).parent / "model" / "linux" / "fpu.py"
OWNERS = ("fpregs_restore_userregs", "switch_fpu_prepare", "fpregs_mark_activate", "fpregs_state_valid", "switch_fpu_finish")
MOST_STATES = 2_000_000
EVERY = 4  # each of so many designs is explored with every combination of reductions
MASKS = ("XFEATURE_MASK_FPSTATE", "XFEATURE_MASK_PASID", "XFEATURE_MASK_USER")


@dataclass(frozen=True)
class Edited:
    """Source text of a design, and what was done to it."""

    base: str
    text: str
    edits: tuple[str, ...]


class _Change(ast.NodeTransformer):
    """Replaces the ``number``-th name out of a set by another one of it."""

    def __init__(self, names: tuple[str, ...], number: int, other: str) -> None:
        self.names, self.left, self.other, self.done = names, number, other, ""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.names and isinstance(node.ctx, ast.Load):
            self.left -= 1
            if self.left == -1 and node.id != self.other:
                self.done = f"{node.id} becomes {self.other}"
                return ast.parse(self.other, mode="eval").body
        return node


def blocks(function: ast.FunctionDef) -> list[list[ast.stmt]]:
    """Every block of statements, docstrings left out of account by those who edit."""
    found = []
    for node in ast.walk(function):
        for name in ("body", "orelse"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                found.append(block)
    return found


def _plain(block: list[ast.stmt]) -> list[int]:
    return [i for i, s in enumerate(block) if not isinstance(s, ast.Return) and not _is_docstring(s)]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def edit(rng: random.Random, function: ast.FunctionDef) -> str:
    """Change one thing; what was done, or nothing where it could not be."""
    kind = rng.choice(("drop", "swap", "swap", "move", "cpu", "mask", "stale"))
    if kind in ("cpu", "mask"):
        names = ("this_cpu",) if kind == "cpu" else MASKS
        change = _Change(names, rng.randrange(3), "at(Cpu, 0)" if kind == "cpu" else rng.choice(MASKS))
        change.visit(function)
        return change.done
    block = rng.choice(blocks(function))
    places = _plain(block)
    if not places:
        return ""
    at = rng.choice(places)
    shown = ast.unparse(block[at]).splitlines()[0]
    if kind == "drop":
        block[at] = ast.Pass()
        return f"without {shown}"
    if kind == "stale":
        return _stale(block, at)
    to = at + 1 if kind == "swap" else rng.choice(places)
    if to not in places or to == at:
        return ""
    block.insert(to, block.pop(at))
    return f"{shown} moved by {to - at}"


def _stale(block: list[ast.stmt], at: int) -> str:
    """A value that a statement reads is read one statement earlier."""
    loads = [n for n in ast.walk(block[at]) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)]
    if at == 0 or not loads or _is_docstring(block[at - 1]) or isinstance(block[at], ast.While):
        return ""
    load = loads[0]
    text = ast.unparse(load)

    class Replace(ast.NodeTransformer):
        def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
            return ast.Name("stale", ast.Load()) if node is load else self.generic_visit(node)  # type: ignore[return-value]

    block[at] = Replace().visit(block[at])
    block.insert(at - 1, ast.parse(f"stale = {text}").body[0])
    return f"{text} read a statement early"


def near_design(seed: int) -> Edited:
    """The design of that seed."""
    rng = random.Random(seed)
    base = rng.choice(HOLDING)
    tree = ast.parse(designs.BUILT_IN[base].path.read_text(encoding="utf-8"))
    kernel = {f.name: f for f in ast.parse(FPU.read_text(encoding="utf-8")).body if isinstance(f, ast.FunctionDef)}
    own = {f.name: f for f in tree.body if isinstance(f, ast.FunctionDef)}
    edits: list[str] = []
    while len(edits) < rng.randrange(1, 4):
        name = rng.choice([*own, *own, *(n for n in OWNERS if n in kernel)])
        function = own.get(name) or kernel[name]
        if done := edit(rng, function):
            edits.append(f"{name}: {done}")
            if name not in own:
                own[name] = function
                tree.body.append(function)
    return Edited(base, ast.unparse(ast.fix_missing_locations(tree)) + "\n", tuple(edits))


def combinations(every: bool) -> Iterator[dict[str, bool]]:
    """No reduction and all of them; with ``every`` each combination between."""
    for on in product((False, True), repeat=3):
        if every or len(set(on)) == 1:
            yield dict(zip(("merging", "symmetry", "forgetting"), on, strict=True))


def explored(path: str, scope: Scope, how: dict[str, bool]) -> CheckResult:
    """One exploration; PasidlabError for a design that is no design, or ends in a model error."""
    budget = Budget(max_states=MOST_STATES, after_violation=MOST_STATES)
    return check(path, scope, jobs=1, budget=budget, reductions=Reductions(**how))


def verdicts(result: CheckResult) -> dict[str, bool | None]:
    """By property: whether it holds; None where that is not settled."""
    return {p.name: p.holds for part in result.parts for p in part.properties}


def lengths(result: CheckResult) -> dict[str, int]:
    """By property that is broken: the steps of the shortest counterexample."""
    return {c.property: len(c.steps) for c in result.counterexamples}


def differences(path: str, scope: Scope, *, every: bool) -> tuple[list[str], bool, bool]:
    """What differs between reductions; whether the design was compared; whether something is broken."""
    found: list[str] = []
    exact, settled = None, True
    steps: dict[bool, dict[str, int]] = {}
    for how in combinations(every):
        result = explored(path, scope, how)
        name = ", ".join(word for word, on in how.items() if on) or "unreduced"
        if any(part.reason != "complete" for part in result.parts):
            settled = False
            continue
        mine = {name: holds for name, holds in verdicts(result).items() if holds is not None}
        exact = exact if exact is not None else mine
        for prop in exact.keys() & mine.keys():
            if exact[prop] != mine[prop]:
                found.append(f"{name}: {prop} {'holds' if mine[prop] else 'is broken'}")
        shortest = steps.setdefault(how["merging"], lengths(result))
        wrong = {p for p, n in lengths(result).items() if shortest.get(p, n) != n and p != "served"}
        found += [f"{name}: {p} takes {lengths(result)[p]} steps, not {shortest[p]}" for p in sorted(wrong)]
    return found, settled and exact is not None, bool(exact and not all(exact.values()))


def main(first: int, count: int) -> int:
    """Compare the designs of ``count`` seeds; the number that differ."""
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for seed in range(first, first + count):
            design, path = near_design(seed), Path(folder) / "near.py"
            path.write_text(design.text, encoding="utf-8")
            try:
                found, compared, broken = differences(str(path), SCOPE, every=seed % EVERY == 0)
            except PasidlabError as error:
                tally["refused"] += 1
                print(f"seed {seed} ({design.base}; {'; '.join(design.edits)}): refused: {str(error).splitlines()[0]}", flush=True)
                continue
            tally["differ" if found else "agree" if compared else "not compared"] += 1
            tally["of these broken"] += broken
            for line in found:
                print(f"seed {seed} ({design.base}; {'; '.join(design.edits)}): {line}", flush=True)
            if seed % 10 == 9:
                print(f"up to seed {seed}: {dict(tally)}", flush=True)
    print(f"seeds {first} to {first + count - 1}: {dict(tally)}")
    return tally["differ"]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])) > 0)
