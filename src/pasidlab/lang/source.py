"""Collects declarations from Python source files without executing them: one flat namespace, later files override earlier ones."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pasidlab import reading
from pasidlab.errors import PasidlabError, Position

_DEEPEST = 200  # of a tree: operators, brackets and statements in each other
_SPLIT = "split it over several assignments, or functions"


@dataclass(frozen=True)
class SourceFunction:
    """A function definition as found in a file."""

    name: str
    node: ast.FunctionDef
    file: str

    @property
    def position(self) -> Position:
        return Position(self.file, self.node.lineno, self.node.col_offset + 1)


@dataclass(frozen=True)
class SourceStruct:
    """A struct class and the file it stands in."""

    name: str
    node: ast.ClassDef
    count: ast.expr
    file: str
    symmetric: bool = False


@dataclass
class Namespace:
    """All that a set of source files declares."""

    functions: dict[str, SourceFunction] = field(default_factory=dict)
    structs: dict[str, SourceStruct] = field(default_factory=dict)
    bases: dict[str, SourceStruct] = field(default_factory=dict)  # classes structs inherit fields from
    values: dict[str, tuple[ast.expr, str]] = field(default_factory=dict)  # NAME = expression: constants, aliases, singletons
    files: dict[str, list[str]] = field(default_factory=dict)  # file -> lines of text

    def copy(self) -> Namespace:
        """A namespace that can be extended without touching this one."""
        return Namespace(dict(self.functions), dict(self.structs), dict(self.bases), dict(self.values), dict(self.files))


@dataclass(frozen=True)
class Text:
    """A source file by its name, and what stands in it."""

    name: str
    text: str

    def __str__(self) -> str:
        return self.name


File = Path | Text


def read_text(path: Path) -> str:
    """The text of a source file; PasidlabError when it cannot be read or is not text."""
    try:
        return reading.content(path).decode().replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise PasidlabError(f"no such file: {path}") from None
    except OSError as error:
        raise PasidlabError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PasidlabError(f"{path} is not a text file (byte {error.start} is not UTF-8)") from None


def collect(files: Iterable[File], into: Namespace | None = None) -> Namespace:
    """Read the files in order into a namespace."""
    namespace = into or Namespace()
    for file in files:
        collect_text(file.text if isinstance(file, Text) else read_text(file), str(file), namespace)
    return namespace


def python_tree(text: str, file: str) -> ast.Module:
    """The tree of a text. PasidlabError for what is no Python, and for what is nested so deep that no walk through it would end well."""
    try:
        tree = ast.parse(text, file)
    except SyntaxError as error:
        place = Position(file, error.lineno or 1, error.offset or 1)
        raise PasidlabError(f"not valid Python: {error.msg}", position=place) from None
    except (RecursionError, MemoryError):  # the parser's stack is one of memory
        raise PasidlabError(f"{file} is nested too deeply to be read", hint=_SPLIT) from None
    except ValueError as error:
        raise PasidlabError(f"{file}: not valid Python: {error}") from None
    level: list[tuple[ast.AST, ast.AST]] = [(node, node) for node in tree.body]
    for _ in range(_DEEPEST):
        level = [(below, below if hasattr(below, "lineno") else placed) for node, placed in level for below in ast.iter_child_nodes(node)]
    if level:
        place = Position(file, getattr(level[0][1], "lineno", 1))
        raise PasidlabError(f"this is nested more than {_DEEPEST} deep", position=place, hint=_SPLIT)
    return tree


def collect_text(text: str, file: str, namespace: Namespace) -> None:
    """Add the declarations of one file's text."""
    tree = python_tree(text, file)
    namespace.files[file] = text.splitlines()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            replaced = namespace.functions.get(node.name)
            if replaced and not node.decorator_list:
                node.decorator_list = replaced.node.decorator_list  # a replacement keeps the role of what it replaces
            namespace.functions[node.name] = SourceFunction(node.name, node, file)
        elif isinstance(node, ast.ClassDef):
            _collect_class(node, file, namespace)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if isinstance(node.value, ast.Lambda):
                place = Position(file, node.lineno, node.col_offset + 1)
                raise PasidlabError("a lambda is not part of the language", position=place, hint=f"write def {node.targets[0].id}(...)")
            namespace.values[node.targets[0].id] = (node.value, file)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            namespace.values[node.target.id] = (node.value, file)
        elif not isinstance(node, ast.Import | ast.ImportFrom) and not _means_nothing(node):
            shown = ast.unparse(node).splitlines()[0][:60]
            raise PasidlabError(
                f"'{shown}' at module level is not part of the language",
                position=Position(file, node.lineno, node.col_offset + 1),
                hint="a model file holds imports, constants, structs and functions",
            )


def _means_nothing(node: ast.stmt) -> bool:
    """A docstring, ``...``, ``model(...)``, and what is for type checkers or for running the file."""
    if isinstance(node, ast.If) and not node.orelse:
        return ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
    call = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    is_model = isinstance(call, ast.Name) and call.id == "model"
    return is_model or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _collect_class(node: ast.ClassDef, file: str, namespace: Namespace) -> None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "struct":
            options = {keyword.arg: keyword.value for keyword in decorator.keywords}
            symmetric = isinstance(flag := options.get("symmetric"), ast.Constant) and flag.value is True
            namespace.structs[node.name] = SourceStruct(node.name, node, options.get("count", ast.Constant(1)), file, symmetric)
            return
        if isinstance(decorator, ast.Name) and decorator.id == "base":
            namespace.bases[node.name] = SourceStruct(node.name, node, ast.Constant(1), file)
            return
    if any(isinstance(base, ast.Name) and base.id == "IntEnum" for base in node.bases):
        for item in node.body:
            if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
                namespace.values[f"{node.name}.{item.targets[0].id}"] = (item.value, file)
        namespace.values[node.name] = (ast.Name("IntEnum"), file)
        return
    raise PasidlabError(
        f"class {node.name} is neither a struct nor an enumeration",
        position=Position(file, node.lineno, node.col_offset + 1),
        hint="write @struct(count=...) above it, or derive it from IntEnum",
    )
