"""What the modelling language refuses, at its place, and what to write instead."""

from __future__ import annotations

import ast
from typing import NoReturn

from pasidlab.errors import PasidlabError, Position

INSTEAD = {
    "Try": "model a fault with maybe() and an if; there are no exceptions",
    "With": "call lock and unlock yourself, as the kernel does",
    "Lambda": "write a function with a name",
    "ListComp": "use a for loop over each(...) or range(...)",
    "DictComp": "use a for loop over each(...) or range(...)",
    "SetComp": "use a for loop over each(...) or range(...)",
    "List": "state lives in struct fields; give the struct a count",
    "Dict": "state lives in struct fields; give the struct a count",
    "Set": "state lives in struct fields; give the struct a count",
    "JoinedStr": "texts have no place in a model; use an enumeration",
    "Raise": "use check(property, False, sentence) or require(False)",
    "Yield": "use choose(low, high) for several outcomes",
    "Await": "use wait_until(condition)",
    "Constant": "the language knows whole numbers, True, False and None",
    "NamedExpr": "assign in a statement of its own",
    "Global": "state lives in struct fields",
    "Nonlocal": "state lives in struct fields",
    "FunctionDef": "define functions at module level",
    "ClassDef": "define structs at module level",
    "Delete": "assign None instead",
    "Import": "import at module level",
    "ImportFrom": "import at module level",
    "Match": "use if / elif",
    "Subscript": "use at(Struct, number) for an element of a struct",
}


def reject(node: ast.AST, file: str, what: str = "", hint: str = "") -> NoReturn:
    """Refuse a construct at its place, saying what to write instead."""
    kind = type(node).__name__
    position = Position(file, getattr(node, "lineno", 0), getattr(node, "col_offset", 0) + 1)
    raise PasidlabError(
        what or f"{_quoted(ast.unparse(node).splitlines()[0][:60])} ({kind}) is not part of the language",
        position=position,
        hint=hint or INSTEAD.get(kind, ""),
    )


def _quoted(text: str) -> str:
    return text if text[0] in "\"'" else f"'{text}'"
