"""What a file may replace of the model around it, and what it may take from there."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang import declare
from pasidlab.lang.functions import ARRIVALS
from pasidlab.lang.names import AMBIENT, KERNEL, nearest
from pasidlab.lang.source import File, Namespace, SourceFunction

_LANGUAGE = ("pasidlab.declare", "pasidlab.lang.declare", "pasidlab.model.ambient", "__future__", "typing", "enum", "collections.abc")
_EVENTS = ("rule", "user", "never", "stuck", "pending", "initial", "forget")
_RENAME = "give it a name of its own; a design replaces kernel functions, and nothing else"


def no_strangers(path: File, before: Iterable[str], namespace: Namespace) -> None:
    """Raise PasidlabError at a function that replaces none of those there were ``before``, has no role, and is never called.

    And for a file that declares nothing at all.
    """
    mine = [f for f in namespace.functions.values() if f.file == str(path)]
    if not mine and not any(file == str(path) for _, file in namespace.values.values()):
        raise PasidlabError(f"{path} replaces nothing", hint="define a kernel function in it, try_fixup_enqcmd_gp() for example")
    named = {f.name: set(_named(f)) for f in namespace.functions.values()}
    known = frozenset(before)
    for function in mine:
        called = any(function.name in names for caller, names in named.items() if caller != function.name)
        if not called and not function.node.decorator_list and function.name not in known:
            raise PasidlabError(f"nothing calls {function.name}()", position=function.position, hint=nearest(function.name, known))


def _named(function: SourceFunction) -> Iterator[str]:
    """The names in a function; in ``@rule(obliged="name")`` too."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.keyword) and node.arg == "obliged" and isinstance(node.value, ast.Constant):
            yield str(node.value.value)


def only_the_kernel(path: File, before: Namespace, namespace: Namespace, fixed: frozenset[str]) -> None:
    """Raise PasidlabError where a file replaces what is no kernel function: an event, a promise, the machine, a struct or a constant.

    ``fixed`` names the functions that are none, besides those with such a role. With another machine a verdict would mean nothing.
    """
    for function in namespace.functions.values():
        if function.file == str(path) and is_fixed(before.functions.get(function.name), fixed):
            raise _not_its_own(f"{function.name}()", function.position)
    for name, struct in {**namespace.structs, **namespace.bases}.items():
        if struct.file == str(path) and (name in before.structs or name in before.bases):
            raise _not_its_own(f"struct {name}", Position(struct.file, struct.node.lineno, struct.node.col_offset + 1))
    for name, (value, file) in namespace.values.items():
        if file == str(path) and name in before.values and ast.dump(value) != ast.dump(before.values[name][0]):
            raise _not_its_own(name, Position(file, getattr(value, "lineno", 1), 1))


def compiled_are_kernel(compiled: Mapping[str, Position], namespace: Namespace, fixed: frozenset[str]) -> None:
    """The same of functions that were compiled elsewhere (out of C), given with where they stand. Those of the model's own files may."""
    for name, position in compiled.items():
        around = namespace.functions.get(name)
        if around is not None and position.file != around.file and is_fixed(around, fixed):
            raise _not_its_own(f"{name}()", position)


def is_fixed(function: SourceFunction | None, fixed: frozenset[str]) -> bool:
    """Whether a function is none of the kernel that a design may replace."""
    if function is None:
        return False
    named = [d.func if isinstance(d, ast.Call) else d for d in function.node.decorator_list]
    roles = {d.id for d in named if isinstance(d, ast.Name)}
    return function.name in fixed or function.file == str(ARRIVALS) or not roles.isdisjoint(_EVENTS)


def _not_its_own(what: str, position: Position) -> PasidlabError:
    return PasidlabError(f"{what} is a name of the machine, the events or the promises around this file", position=position, hint=_RENAME)


def imports_exist(path: File, namespace: Namespace) -> None:
    """Raise PasidlabError where a file imports what is not read with it, what is not declared there, or under another name."""
    known = {*namespace.functions, *namespace.structs, *namespace.bases, *namespace.values, *AMBIENT}
    for node in ast.parse("\n".join(namespace.files[str(path)])).body:
        if isinstance(node, ast.Import):
            what = f"'{ast.unparse(node)}' is not read with this file"
            raise PasidlabError(what, position=_at(node, str(path)), hint="from pasidlab.kernel import the names that are used")
        if not isinstance(node, ast.ImportFrom):
            continue
        module = "." * node.level + (node.module or "")
        place = f"/{module.replace('.', '/')}.py"
        if module not in (KERNEL, *_LANGUAGE) and not any(file.endswith(place) for file in namespace.files):
            hint = "a design is one file; what it needs besides pasidlab.kernel and pasidlab.declare stands in it"
            raise PasidlabError(f"{module} is not read with this file", position=_at(node, str(path)), hint=hint)
        for alias in node.names:
            if alias.asname not in (None, alias.name):
                hint = f"import {alias.name} under its own name"
                raise PasidlabError(f"'{alias.name}' cannot be called {alias.asname} here", position=_at(alias, str(path)), hint=hint)
            if module not in _LANGUAGE and alias.name != "*" and alias.name not in known:
                what = f"{module} has no '{alias.name}'"
                language = f"from pasidlab.declare import {alias.name}" if hasattr(declare, alias.name) else ""
                raise PasidlabError(what, position=_at(alias, str(path)), hint=language or nearest(alias.name, known))


def _at(node: ast.AST, file: str) -> Position:
    return Position(file, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)
