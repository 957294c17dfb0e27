"""A model for any number of CPUs and tasks: the code that is the same whatever the numbers are.

The compiler puts numbers of elements into a lowered model as constants. A model is lowered here for two different choices of
these numbers. What differs between the two stands for "every element"; all else must be equal. Conditions, each checked:

1. The number of CPUs, and that of tasks, is a plain ``size(...)``. Nothing but the struct itself uses that size (``_uses``).
2. Both lowered models differ only in bounds of loops over ``each`` and of ``pick`` (``_generalised``).
3. References to CPUs and tasks are copied, compared for equality and followed; nothing else is done with them (``execute``).
4. A loop over all CPUs or tasks tests, or finds one: it stores nothing in rounds that go on (``execute``).
5. Initially all CPUs are alike, and all tasks are alike: ``@initial`` names none of them (``execute``).

A model that breaks one is refused at its place in the source. Everything else has as many elements as the scope says.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pasidlab.checking.model import bounds_of, design_model
from pasidlab.checking.reductions import EVERY_STEP
from pasidlab.designs import AnyScope, Design
from pasidlab.errors import PasidlabError, Position
from pasidlab.lang import source
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.ir import Action, Instr, Model
from pasidlab.lang.scope import Bounds
from pasidlab.lang.types import Domain, Field, Ref

SORTS = ("Cpu", "Task")
EVERY = "%every."
"""An operand of this name, followed by a struct, stands for the number of its elements."""
_PAIRS = ((8, 12), (9, 13))  # numbers of elements, all of as many bits: references are as wide in both models


@dataclass(frozen=True)
class General:
    """A model without numbers of CPUs and tasks. ``sorts`` are the structs of any number."""

    model: Model
    sorts: tuple[str, ...]

    def sort_of(self, domain: Domain) -> str:
        """The struct of any number that a reference is to; empty for all else."""
        return domain.struct if isinstance(domain, Ref) and domain.struct in self.sorts else ""

    def any_number(self, field: Field) -> bool:
        """Whether a field belongs to CPUs or tasks."""
        return field.struct in self.sorts


def generalised(design: Design, scope: AnyScope) -> General:
    """The model of a design for any number of CPUs and tasks. PasidlabError, with a place, where a condition is not met."""
    if design.functions is not None:
        raise PasidlabError("a proof for any number needs a model in Python", hint="leave out --prove: C is explored as ever")
    space = source.collect([ARRIVALS, *design.layers])
    sizes = {name: _size_of(space, name) for name in SORTS if name in space.structs}
    if not sizes:
        raise PasidlabError(f"{design.name} has no struct Cpu or Task, of which there could be any number")
    if len({size for size, _ in sizes.values()}) < len(sizes):
        struct = space.structs[SORTS[1]]
        place = Position(struct.file, struct.node.lineno, struct.node.col_offset + 1)
        raise PasidlabError("the numbers of CPUs and of tasks are one size", position=place, hint="a size(...) for each")
    for name, (size, counted) in sizes.items():
        for position in _uses(space, size, counted):
            what = f"the number of elements of {name} is used as a number here"
            raise PasidlabError(what, position=position, hint="a proof for any number allows it only in @struct(count=...)")
    bounds = bounds_of(design, scope)
    first, second = (_lowered(design, scope, bounds, sizes, choice) for choice in (0, 1))
    return _Generalising(tuple(sizes)).model(first, second)


def _lowered(design: Design, scope: AnyScope, bounds: Bounds, sizes: dict[str, tuple[str, str]], choice: int) -> Model:
    numbers = {size: _PAIRS[n][choice] for n, (size, _) in enumerate(sizes.values())}
    reductions = replace(EVERY_STEP, forgetting=False)
    return design_model(design, scope, reductions=reductions, optimised=False, bounds=replace(bounds, sizes={**bounds.sizes, **numbers}))


def _size_of(space: source.Namespace, name: str) -> tuple[str, str]:
    """The size that says how many elements a struct has, and the constant that holds it, if there is one."""
    struct = space.structs[name]
    node: ast.expr = struct.count
    constant = ""
    if isinstance(struct.count, ast.Name) and struct.count.id in space.values:
        constant = struct.count.id
        node = space.values[constant][0]
    size = _sized(node)
    if not size:
        place = Position(struct.file, struct.node.lineno, struct.node.col_offset + 1)
        raise PasidlabError(f"there cannot be any number of {name}: its count is not a plain size(...)", position=place)
    return size, constant


def _sized(node: ast.AST) -> str:
    """The name in ``size("name")``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "size" and len(node.args) == 1:
        return str(node.args[0].value) if isinstance(node.args[0], ast.Constant) else ""
    return ""


def _uses(space: source.Namespace, size: str, counted: str) -> Iterator[Position]:
    """Where a size is used beside ``@struct(count=...)``: also by way of other constants, types and members of enumerations."""
    tainted = {counted} if counted else set()
    for name, (value, file) in space.values.items():
        if name != counted and _mentions(value, size, tainted) is not None:
            yield Position(file, value.lineno, value.col_offset + 1)
    for struct in (*space.structs.values(), *space.bases.values()):
        for item in struct.node.body:
            yield from _place(_mentions(item, size, tainted), struct.file)
        if not (isinstance(struct.count, ast.Name) or _sized(struct.count)) or struct.name not in SORTS:
            yield from _place(_mentions(struct.count, size, tainted), struct.file)
    for function in space.functions.values():
        yield from _place(_mentions(function.node, size, tainted), function.file)


def _place(node: ast.expr | None, file: str) -> Iterator[Position]:
    if node is not None:
        yield Position(file, node.lineno, node.col_offset + 1)


def _mentions(tree: ast.AST, size: str, tainted: set[str]) -> ast.expr | None:
    """The first expression in a piece of source that names a size, or a constant made of it; texts count as annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _sized(node) == size:
            return node
        if isinstance(node, ast.Name) and node.id in tainted:
            return node
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _inside(node.value, size, tainted):
            return node
    return None


def _inside(text: str, size: str, tainted: set[str]) -> bool:
    """Whether a text, read as an annotation, names a size."""
    try:
        return _mentions(ast.parse(text, mode="eval"), size, tainted) is not None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


class _Generalising:
    """Joins two lowered models that differ in the numbers of elements."""

    def __init__(self, sorts: tuple[str, ...]) -> None:
        self.sorts = sorts
        self.number = {_PAIRS[n]: sort for n, sort in enumerate(sorts)}

    def model(self, first: Model, second: Model) -> General:
        """The first model, with marks for what differs."""
        self._equal([f.path for f in first.fields], [f.path for f in second.fields])
        for a, b in zip(first.fields, second.fields, strict=True):
            self._equal((self._domain(a.domain), a.default), (self._domain(b.domain), b.default))
        self._equal(len(first.actions), len(second.actions))
        self._equal(len(first.predicates), len(second.predicates))
        model = replace(
            first,
            actions=tuple(self._action(a, b) for a, b in zip(first.actions, second.actions, strict=True)),
            init=self._action(first.init, second.init),
            predicates=tuple(
                replace(a, action=self._action(a.action, b.action)) for a, b in zip(first.predicates, second.predicates, strict=True)
            ),
        )
        return General(model, self.sorts)

    def _domain(self, domain: Domain) -> object:
        return domain.struct if isinstance(domain, Ref) and domain.struct in self.sorts else domain

    def _equal(self, a: object, b: object) -> None:
        if a != b:
            raise PasidlabError("the lowered model depends on the number of elements in a way that is not known here")

    def _action(self, first: Action, second: Action) -> Action:
        self._equal(len(first.code), len(second.code))
        parameters = [[(name, self._domain(domain)) for name, domain in action.params] for action in (first, second)]
        self._equal(*parameters)
        return replace(first, code=tuple(self._instr(a, b) for a, b in zip(first.code, second.code, strict=True)))

    def _instr(self, a: Instr, b: Instr) -> Instr:
        if (a.op, a.args) == (b.op, b.args):
            return a
        args = list(a.args)
        for n, pair in enumerate(zip(a.args, b.args, strict=False)):
            if pair[0] != pair[1]:
                sort = self.number.get(pair)  # type: ignore[arg-type]
                bound = (a.op in ("le", "eq", "choose") and n == 2) or (a.op == "deref" and n == 1)
                if a.op != b.op or len(a.args) != len(b.args) or sort is None or not bound:
                    what = f"'{a.op}' depends on the number of elements here"
                    raise PasidlabError(what, position=a.site.position, hint="use each(...), pick(...) and comparisons of elements")
                args[n] = EVERY + sort
        return a.with_args(*args)
