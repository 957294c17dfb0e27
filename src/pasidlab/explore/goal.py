"""The shortest way to a state where an expression of the modelling language is true.

The expression becomes a predicate beside those of the model, which stays as it is: so the way consists of the steps a walk has. Looked
at are the states between those steps.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import replace

from pasidlab.checking.model import bounds_of
from pasidlab.errors import PasidlabError, Position, UnknownName, counted
from pasidlab.explore.walk import Walk, Walker
from pasidlab.lang.back.native import compile_model
from pasidlab.lang.ir import Model, Predicate, Property
from pasidlab.lang.lowering.lower import build_model
from pasidlab.lang.source import Text
from pasidlab.search.breadth_first import search
from pasidlab.search.graph import path_to
from pasidlab.search.result import MOST_WORDS, Budget
from pasidlab.trace.replay import Replayer

NAMES = {"cpu": "Cpu", "task": "Task", "mm": "Mm", "pasid": "PasidEntry", "other_cpu": "Cpu", "other_task": "Task"}
"""Names in an expression that stand for any element of a struct."""
WANTED = Property("wanted", "the expression is true")
EXAMPLE = "task.need_fpu_load and cpu.fpregs_owner is task"
"""What may be looked for in the kernel."""
PLACE, RETURN = "<expression>", "    return "
BUDGET = Budget(max_states=20_000_000, timeout=60.0)


def shortest_way(walker: Walker, expression: str) -> Walk:
    """A shortest walk to a state where the expression is true for some elements.

    Raises PasidlabError for a mistake in the expression, or if there is no such state, or none was found within BUDGET.
    """
    try:
        model = _watched(walker, expression)
    except (RecursionError, MemoryError):  # the parser's stack is one of memory
        raise PasidlabError("the expression is nested too deeply", hint="write fewer brackets, or operators, in each other") from None
    native = compile_model(model)
    if native.words > MOST_WORDS:
        raise PasidlabError(f"a state of this scope takes {native.words} words of 64 bits, {MOST_WORDS} are the most")
    bit = native.properties.index(WANTED.name)
    found = search(native, budget=BUDGET, stop_on=1 << bit)
    if bit not in found.violations:
        if found.error is not None:
            where = counted(found.error.depth, "step")
            what = f"the expression cannot be computed in a state {where} away: it follows None, or divides by 0"
            raise PasidlabError(what, hint="ask first: cpu.current is not None and cpu.current.need_fpu_load")
        if found.reason != "complete":
            raise PasidlabError(f"no such state among the first {found.states:,}, up to depth {found.depth_completed}")
        what = f"no state between two steps of a walk is such: all {found.states:,} of this scope were looked at"
        raise PasidlabError(what, hint="accesses that nobody can tell apart are one step of a walk")
    violation = found.violations[bit]
    way = Replayer(walker.replayer.interpreter, walker.design.shown).path("", "", path_to(found, violation.state, violation.depth))
    return walker.walk(way.recipe().moves, walker.initial.index(way.initial))


def _watched(walker: Walker, expression: str) -> Model:
    """The walker's model with the expression as its only predicate."""
    predicate = _predicate(walker, expression)
    known = walker.model.field_table()
    lost = sorted({str(i.args[1]) for i in predicate.action.code if i.op == "load"} - known.keys())
    if lost:
        raise PasidlabError(f"{lost[0]} never changes in this scope, so it is no part of a state")
    return replace(walker.model, predicates=(predicate,), properties=(*walker.model.properties, WANTED))


def names_of(walker: Walker) -> dict[str, str]:
    """The names in an expression that stand for any element of a struct: name -> struct. Of a model of one's own all its structs."""
    return {f.struct.lower(): f.struct for f in walker.model.fields} if walker.design.own else NAMES


def _predicate(walker: Walker, expression: str) -> Predicate:
    text = re.sub(r"\s", " ", expression).rstrip()
    tree = _parsed(text)
    names = names_of(walker)
    used = [name for name in names if any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))]
    params = ", ".join(f"{name}: {names[name]}" for name in used)
    code = f'@never("{WANTED.name}", "{WANTED.sentence}")\ndef wanted({params}) -> bool:\n{RETURN}{text}\n'
    header = "from pasidlab.declare import *\n" + ("" if walker.design.own else "from pasidlab.kernel import *\n")
    design = walker.design
    bounds = bounds_of(design, walker.scope)
    try:
        made = build_model(
            design.name, [*design.layers, Text(PLACE, header + code)], bounds, (*design.properties, WANTED),
            merged=False, functions=design.functions, whole=design.file, fixed=design.fixed,
        )  # fmt: skip
    except PasidlabError as error:
        raise _as_typed(error, names) from None
    return next(p for p in made.predicates if p.property == WANTED.name)


def _parsed(text: str) -> ast.Expression:
    """The tree of an expression. Raises PasidlabError, with the column in what was typed."""
    begin = len(text) - len(text.lstrip())
    if begin == len(text):
        raise PasidlabError("an expression is needed, and none was given", hint="write what must be true of the state, as in Python")
    try:
        return ast.parse(text[begin:], mode="eval")
    except SyntaxError as error:
        column = min(begin + error.offset, len(text) + 1) if error.offset else len(text) + 1
        raise PasidlabError(f"not an expression: {text[begin:]}", hint=error.msg, position=Position(PLACE, 1, column)) from None
    except ValueError as error:
        raise PasidlabError(f"not an expression: {text[begin:]}", hint=str(error), position=Position(PLACE, 1)) from None


def _as_typed(error: PasidlabError, names: Iterable[str]) -> PasidlabError:
    """An error at its column in what was typed; the compiler saw a function around that. Of an unknown name: what may be named."""
    if error.position is None or error.position.file != PLACE:
        return error
    known = f"{', '.join(names)} stand for any element" if isinstance(error, UnknownName) else ""
    hint = "; ".join(filter(None, (known, error.hint)))
    return PasidlabError(error.what, hint=hint, position=Position(PLACE, 1, max(1, error.position.column - len(RETURN))))
