"""Imports go one way: no part of the project knows of those behind it in the pipeline, and no modules import each other in a circle.

Files and functions are short. One name has one meaning.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import pasidlab

SOURCES = Path(pasidlab.__file__).parent
ORDER = [
    "errors version", "output reading interrupts", "search", "lang", "accelerator", "model declare", "kernel", "designs", "trace",
    "checking", "zoo live observe prove", "report", "explore", "commands", "cli", "__main__",
]  # fmt: skip
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names.split()}
BESIDE = {"__init__", "examples"}  # the public names, and models in the language
ALONE = {"search": {"errors", "output", "interrupts"}, "accelerator": {"errors", "output"}}
"""Parts of use by themselves, and all they import of the project."""


def name_of(path: Path) -> str:
    """A module's name inside the package; empty for the package itself."""
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


FILES = {name_of(path): path for path in sorted(SOURCES.rglob("*.py"))}


@cache
def imports(name: str) -> set[str]:
    """Modules of the project a file imports: also inside functions, and those only types are taken from."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: an import is written in full"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one.removeprefix("pasidlab.") in FILES else str(node.module) for one in inside}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {one.removeprefix("pasidlab").removeprefix(".") for one in found if one.split(".")[0] == "pasidlab"}


def part(name: str) -> str:
    return name.split(".")[0] or "__init__"


def reached(name: str) -> set[str]:
    """All modules that a module needs."""
    found: set[str] = set()
    left = list(imports(name))
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += imports(one)
    return found


def test_every_part_has_its_place():
    assert {part(name) for name in FILES} == set(RANK) | BESIDE


@pytest.mark.parametrize("name", sorted(RANK))
def test_imports_go_one_way(name):
    wrong = {
        (module, other)
        for module in FILES
        if part(module) == name
        for other in imports(module)
        if part(other) != name and RANK.get(part(other), 100) >= RANK[name]
    }
    assert wrong == set()


def test_no_modules_import_each_other_in_a_circle():
    assert {name for name in FILES if name in reached(name)} == set()


@pytest.mark.parametrize("name", sorted(ALONE))
def test_some_parts_can_be_used_alone(name):
    others = {part(other) for module in FILES if part(module) == name for other in reached(module)}
    assert others - {name} <= ALONE[name]


def test_other_programs_are_begun_where_they_die_with_pasidlab():
    """Only the COMMAND of ``observe record`` goes on: it is the user's."""
    begins = {name for name in FILES if "import subprocess" in FILES[name].read_text(encoding="utf-8")}
    assert begins == {"checking.children", "observe.record"}


LONG = {"accelerator.tokens.decode_tokens": "one loop; split into five functions it takes a quarter longer, compiled or not"}
"""Functions that may be long, and why."""


def test_files_have_400_lines_at_most_and_functions_40():
    files = {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}
    assert {name: text.count("\n") for name, text in files.items() if text.count("\n") > 400} == {}
    functions = [
        (f"{name}.{node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for name, text in files.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert {name for name, lines in functions if lines > 40} == set(LONG)


KERNEL_CODE = ("model.", "designs.", "zoo.bugs.", "zoo.mistakes", "observe.machine.", "examples.")
"""Files in the modelling language: a design or a recorder replaces functions of the kernel by their names."""

ONE_IDEA = {
    "__getattr__": "Python's own",
    "binary": "an operation as text of Promela, as text of TLA+, and as a term for z3: so are the other names of lang.back",
    "check": "the public word for both: explore a design, and, inside a design, what a property demands",
    **dict.fromkeys(["contains", "impossible", "literal", "of_domain", "outside", "truth", "unary"], "as binary"),
}
"""Names that several files define, and why. Private functions belong to their file alone."""


def is_kernel_code(name: str) -> bool:
    return name.startswith(KERNEL_CODE) and not name.startswith(("designs.intake.", "designs.opening", "designs.design"))


def definition(node: ast.stmt) -> tuple[str, str]:
    """The name of a class, a public function or a type, and what tells it from another; empty for any other statement.

    A type is an assignment to a capitalised name. Two files may both give a name to the same type.
    """
    match node:
        case ast.ClassDef(name) | ast.FunctionDef(name) if not name.startswith("_") or name.startswith("__"):
            return name, "here"
        case ast.Assign([ast.Name(name)], value) if name[0].isupper() and not name.isupper() and "_" not in name:
            text = ast.unparse(value)
            return name, re.sub(r"\b(npt|k)\.", "", text) if text != f"k.{name}" else "NDArray[np.uint64]"
    return "", ""


def test_one_name_of_a_class_a_type_or_public_function_has_one_meaning():
    homes: dict[str, set[str]] = {}
    for module, path in FILES.items():
        if not is_kernel_code(module):
            for name, meaning in map(definition, ast.parse(path.read_text(encoding="utf-8")).body):
                homes.setdefault(name, set()).add(f"{meaning} {module if meaning == 'here' else ''}")
    del homes[""]
    assert {name for name, meanings in homes.items() if len(meanings) > 1} == set(ONE_IDEA)
