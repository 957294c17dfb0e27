"""Reads what a file says of itself, without executing it: ``model(...)`` at its top makes it a model of one's own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TypeVar

from pasidlab.errors import PasidlabError, Position
from pasidlab.lang.events import EVERY, NAME
from pasidlab.lang.ir import SOUND, Property
from pasidlab.lang.names import KERNEL, nearest
from pasidlab.lang.own import CONTEXT_EVENTS, SOUND_KERNEL, Copies, OwnModel
from pasidlab.lang.own_copies import own_copies
from pasidlab.lang.source import python_tree
from pasidlab.lang.words import Words

T = TypeVar("T", int, str)
PARTS = ("sizes", "events", "mistakes", "copies")
MODULES = ("__future__", "typing", "enum")
"""Modules a model may import from, beside that of the language: the compiler knows what these mean."""
PROMISES = ("never", "stuck", "pending")
WITNESS = "write reached('{0}') in the step that puts it to the test: what holds without that may hold because nothing happens"


def own_model(text: str, file: str, language: ModuleType) -> OwnModel | None:
    """The model that a file says it is; None if it says nothing of the kind. ``language`` is the module with the language's names.

    Raises PasidlabError with the place of what is wrong. A text that is no Python is left to the compiler.
    """
    try:
        tree = python_tree(text, file)
    except PasidlabError:
        return None
    calls = [node.value for node in tree.body if isinstance(node, ast.Expr) and _name_of(node.value) == "model"]
    if not calls:
        return None
    return _Reading(tree, file, language).model(calls)


def _name_of(node: ast.AST) -> str:
    """The name of what is called; empty if it is no call of a name."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


class _Reading:
    """The reading of one file: its tree, its calls, and what it declares."""

    def __init__(self, tree: ast.Module, file: str, language: ModuleType) -> None:
        self.tree, self.file, self.language = tree, file, language
        self.calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        structs = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        self.contexts = any(s.name == "Cpu" and any(ast.unparse(b) == "CpuContext" for b in s.bases) for s in structs)

    def fails(self, node: ast.AST, what: str, hint: str = "") -> PasidlabError:
        place = Position(self.file, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)
        return PasidlabError(what, position=place, hint=hint)

    def model(self, calls: list[ast.expr]) -> OwnModel:
        if len(calls) > 1:
            raise self.fails(calls[1], "a file is one model: model(...) stands in it once")
        self._imports()
        if self.contexts:
            self._contexts()
        parts = self._parts(calls[0])
        sizes = self._table(parts.get("sizes"), int, "a number")
        events = self._table(parts.get("events"), str, "a text that says what it means")
        mistakes = self._table(parts.get("mistakes"), str, "a text that says what is wrong")
        self._all_used(parts)
        return OwnModel(
            sizes, events, mistakes, properties=tuple(self._properties()), not_counted=self._not_counted(events, mistakes),
            words=Words(self._values()), contexts=self.contexts, copies=self._copies(parts.get("copies")),
        )  # fmt: skip

    def _copies(self, node: ast.expr | None) -> Copies | None:
        return own_copies(node, self._table(node, str, "the name of a field, or two"), self.tree, self) if node else None

    def _imports(self) -> None:
        """Raise PasidlabError at an import of what the compiler does not read."""
        for node in ast.walk(self.tree):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
            for name in modules:
                if name == KERNEL:
                    hint = "a file without model(...) is a design, and has the kernel around it"
                    raise self.fails(node, "a model of one's own has no kernel around it to import from", hint)
                if name not in (*MODULES, self.language.__name__):
                    raise self.fails(node, f"a model is one file: nothing can be imported from {name}")
            for alias in node.names if isinstance(node, ast.ImportFrom) and node.module == self.language.__name__ else ():
                if alias.name != "*" and not hasattr(self.language, alias.name):
                    raise self.fails(alias, f"the language has no '{alias.name}'", nearest(alias.name, dir(self.language)))

    def _contexts(self) -> None:
        """Raise PasidlabError at the CPU if what contexts need is not there."""
        structs = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}
        cpu, task = structs["Cpu"], structs.get("Task")
        fields = {item.target.id for item in cpu.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)}
        functions = {node.name for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        if task is None or all(ast.unparse(base) != "TaskContext" for base in task.bases):
            raise self.fails(task or cpu, "a model with contexts needs tasks", "declare 'class Task(TaskContext)'")
        if "current" not in fields:
            raise self.fails(cpu, "a CPU with contexts needs to know which task it runs", "declare 'current: Task = NULL' in it")
        if "work_is_waiting" not in functions:
            hint = "define 'work_is_waiting() -> bool': whether this CPU, while idle, has a task to run"
            raise self.fails(cpu, "a model with contexts needs work_is_waiting()", hint)

    def _parts(self, call: ast.expr) -> dict[str, ast.expr]:
        assert isinstance(call, ast.Call)
        if call.args:
            raise self.fails(call.args[0], "model() takes sizes=..., events=..., mistakes=... and copies=...")
        for keyword in call.keywords:
            if keyword.arg not in PARTS:
                raise self.fails(keyword, f"model() has no '{keyword.arg}'", nearest(keyword.arg or "", PARTS))
        return {str(keyword.arg): keyword.value for keyword in call.keywords}

    def _table(self, node: ast.expr | None, kind: type[T], what: str) -> dict[str, T]:
        """Names, and for each a value of that kind; ``what`` says what it is."""
        if node is None:
            return {}
        if not isinstance(node, ast.Dict):
            raise self.fails(node, f"write names, and for each {what}: {{'name': ...}}")
        found: dict[str, T] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = _text(key)
            if name is None or not re.fullmatch(NAME, name) or name == EVERY:
                raise self.fails(key or value, "a name is small letters, digits and _ in quotes, and not 'all'")
            if name in found:
                raise self.fails(key or value, f"'{name}' stands there twice")
            given = value.value if isinstance(value, ast.Constant) else None
            if not isinstance(given, kind) or isinstance(given, bool) or given == "":
                raise self.fails(value, f"'{name}' needs {what}")
            found[name] = given
        return found

    def _all_used(self, parts: dict[str, ast.expr]) -> None:
        """Raise PasidlabError at a name that stands twice, or that nothing in the file asks for."""
        sizes = {_text(c.args[0]) or "" for c in self.calls if _name_of(c) == "size" and c.args}
        events = self._asked() | self._occurring() | (CONTEXT_EVENTS.keys() if self.contexts else set())
        seen: set[str] = set()
        for part, node in parts.items():
            if part == "copies":
                continue
            for key in node.keys if isinstance(node, ast.Dict) else ():
                name = _text(key) or ""
                asked = f"size('{name}')" if part == "sizes" else f"event('{name}'), happens('{name}') or event='{name}'"
                if name not in (sizes if part == "sizes" else events) and key is not None:
                    raise self.fails(key, f"nothing asks for '{name}'", f"{asked} does")
                if part != "sizes" and name in seen and key is not None:
                    raise self.fails(key, f"'{name}' is an event already")
                seen |= {name} if part != "sizes" else set()

    def _asked(self) -> set[str]:
        return {_text(c.args[0]) or "" for c in self.calls if _name_of(c) == "event" and c.args}

    def _occurring(self) -> set[str]:
        """Events that are counted where they occur, and those that follow from one."""
        happening = {_text(c.args[0]) or "" for c in self.calls if _name_of(c) == "happens" and c.args}
        return happening | {_text(k.value) or "" for c in self.calls for k in c.keywords if k.arg in ("event", "follows")}

    def _not_counted(self, events: Mapping[str, str], mistakes: Mapping[str, str]) -> dict[str, str]:
        counted = self._occurring() | (CONTEXT_EVENTS.keys() - {"ipi"} if self.contexts else set())
        said = dict.fromkeys(mistakes, "a mistake is made or not")
        return said | {name: "the model only asks whether there is such an event" for name in events if name not in counted}

    def _properties(self) -> Iterator[Property]:
        """The properties, in the order in which the file names them; the language's own comes last."""
        found: dict[str, list[str]] = {}
        first: dict[str, ast.AST] = {}
        for node, name, sentence in sorted(self._promises(), key=lambda p: (p[0].lineno, p[0].col_offset)):
            sentences = found.setdefault(name, [])
            first.setdefault(name, node)
            if sentence and sentence not in sentences:
                sentences.append(sentence)
        witnessed = {_text(c.args[0]) for c in self.calls if _name_of(c) == "reached" and c.args}
        for name, sentences in found.items():
            if name not in witnessed and name != SOUND:
                raise self.fails(first[name], f"nothing puts '{name}' to the test", WITNESS.format(name))
            if name != SOUND:
                yield Property(name, "; and ".join(sentences) or name)
        if not found.keys() - {SOUND}:
            raise self.fails(self.tree, "the model has no property", "write @never('name', 'what must not be') above a predicate")
        yield SOUND_KERNEL

    def _promises(self) -> Iterator[tuple[ast.Call, str, str]]:
        """Where a property is named, its name, and what is said of it."""
        pending: list[ast.Call] = []
        for call in self.calls:
            kind, name = _name_of(call), _text(call.args[0]) if call.args else None
            if name is None or kind not in (*PROMISES, "check"):
                continue
            if not (name.strip() and name.isprintable()):
                raise self.fails(call, f"the name of a property is one line that can be printed, this is {name!r}", "a word, as 'coherent'")
            sentence = _text(call.args[-1]) if len(call.args) > 1 else None
            yield call, name, self._meaning(kind, sentence)
            pending += [call] if kind == "pending" else []
        if len(pending) > 1:
            raise self.fails(pending[1], "a model has one @pending property")
        for call in self.calls:
            if _name_of(call) == "repeated" and not self.contexts:
                raise self.fails(call, "repeated() in a model without contexts", "declare 'class Cpu(CpuContext)'")

    @staticmethod
    def _meaning(kind: str, sentence: str | None) -> str:
        if kind == "pending":
            return "nobody waits for ever"
        return f"it never happens that {sentence}" if sentence else ""

    def _values(self) -> dict[str, dict[int, str]]:
        """Fields whose type is an enumeration of numbers, and what their values are called."""
        classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        named: dict[str, dict[int, str]] = {}
        for one in classes:
            if any(ast.unparse(base) == "IntEnum" for base in one.bases):
                members = [i for i in one.body if isinstance(i, ast.Assign) and isinstance(i.targets[0], ast.Name)]
                numbers = [(m.value.value, ast.unparse(m.targets[0])) for m in members if isinstance(m.value, ast.Constant)]
                named[one.name] = {number: name for number, name in numbers if isinstance(number, int)}
        return {
            f"{one.name}.{item.target.id}": named[ast.unparse(item.annotation)]
            for one in classes
            for item in one.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and ast.unparse(item.annotation) in named
        }
