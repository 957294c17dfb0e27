"""How each part begins, and which statements of the kernel model its steps execute: ``python tests/model/reached.py`` records both.

No promise notices behaviour that is gone: a kernel in which nothing happens keeps them all. So a statement that no step executes any more
is a change that must be looked at. What the compiler leaves out, having no effect, counts as not executed.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from small_parts import SMALL

from pasidlab.checking.api import check
from pasidlab.checking.model import design_model
from pasidlab.checking.reductions import ALL
from pasidlab.checking.result import CheckResult
from pasidlab.designs import BUILT_IN, Design
from pasidlab.lang.interpreter import Interpreter
from pasidlab.lang.ir import Model
from pasidlab.lang.lowering.lower import ARRIVALS
from pasidlab.model.sources import MODEL_FILES

TABLE = Path(__file__).with_name("reached.json")
SAME_AS_AROUND = "from pasidlab.kernel import Mm\n\n\ndef pasid_bound(mm: Mm) -> None:\n    pass\n"
UNFIXED = Design("unfixed", Path("unfixed.py"), text=SAME_AS_AROUND)
"""Before v5.18 nothing fixed an ENQCMD up: no task stood at one and went on. (A design has to replace something.)"""
DESIGNS = {**BUILT_IN, UNFIXED.name: UNFIXED}
WHERE = (
    *(("early-read", part) for part in SMALL),
    ("eager-ipi", "pushed"), ("unfixed", "threads"), ("unfixed", "tracer"), ("unfixed", "heirs"),
)  # fmt: skip
"""A design in a part. ``eager-ipi`` sends interrupts to other CPUs."""
FILES = tuple(map(str, (ARRIVALS, *MODEL_FILES)))


def observed(design: Design) -> Design:
    """The design, with a note of every line of the kernel model that a step executes."""
    return replace(design, files=(*design.sources, *FILES))


def executed(found: CheckResult) -> frozenset[str]:
    """Statements that the steps of an ``observed`` design executed, by name."""
    lines = frozenset[tuple[str, int]]().union(*(part.executed for part in found.parts))
    return frozenset(name for name, places in statements().items() if not lines.isdisjoint(places))


def begins(model: Model) -> frozenset[str]:
    """The initial states: what is not as declared."""
    interpreter = Interpreter(model)
    places = [(f"{field.path}[{n}]", field.default) for field in model.fields for n in range(field.count)]
    return frozenset(
        "begins: " + " ".join(f"{name}={value}" for (name, default), value in zip(places, state, strict=True) if value != default)
        for state in interpreter.initial_states()
    )


def within(path: Path, lines: range) -> frozenset[str]:
    """The statements that have a line of their own among these."""
    return frozenset(name for name, places in statements().items() if any((str(path), line) in places for line in lines))


@cache
def statements() -> dict[str, frozenset[tuple[str, int]]]:
    """Every statement of the kernel model: its name, and its own lines (file, line)."""
    return {name: places for path in (ARRIVALS, *MODEL_FILES) for name, places in _of_file(path)}


def _of_file(path: Path) -> Iterator[tuple[str, frozenset[tuple[str, int]]]]:
    seen = Counter[str]()
    for function in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.stmt) and node is not function and not _is_docstring(node):
                    what = f"{path.name}: {function.name}(): `{ast.unparse(node).splitlines()[0][:90]}`"
                    seen[what] += 1
                    lines = range(node.lineno, _end(node) + 1)
                    yield what if seen[what] == 1 else f"{what} #{seen[what]}", frozenset((str(path), line) for line in lines)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _end(node: ast.stmt) -> int:
    """The last line of a statement, without those of the statements in it."""
    inner = [child.lineno for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return min(inner) - 1 if inner else node.end_lineno or node.lineno


def reached_in(design: str, part: str) -> frozenset[str]:
    """How a small part begins, and the statements that are executed around a design in it."""
    model = design_model(DESIGNS[design], SMALL[part], reductions=ALL)
    return begins(model) | executed(check(observed(DESIGNS[design]), SMALL[part], jobs=1))


def recorded() -> dict[str, list[str]]:
    """Each beginning, each statement that is executed somewhere, and where (``place``)."""
    found: dict[str, list[str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return found


def place(design: str, part: str) -> str:
    """How a design in a part is called in the table."""
    return f"{part}, {design}"


def main() -> None:
    found = {place(*where): reached_in(*where) for where in WHERE}
    table = {name: [place for place, names in found.items() if name in names] for name in sorted(set().union(*found.values()))}
    rows = (f" {json.dumps(name)}: {json.dumps(places)}" for name, places in table.items())
    TABLE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
