"""Saved checks: what ``check -o FILE.json`` wrote, read back. Whatever is not as it should be is told at its place in the document."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pasidlab.designs import AnyScope, Opening
from pasidlab.errors import PasidlabError
from pasidlab.lang.own import OwnScope
from pasidlab.lang.source import read_text
from pasidlab.model.scope import Scope
from pasidlab.trace.steps import Move, Recipe

T = TypeVar("T")
KINDS: dict[type, str] = {str: "a string", int: "a whole number", bool: "true or false", list: "a list", dict: "an object"}
HINT = "write one with: pasidlab check DESIGN -o FILE.json"


@dataclass(frozen=True)
class Saved:
    """One design of the document. ``file`` is as it was named, ``opened`` what opens a design that is not built in."""

    design: str
    file: str
    opened: Opening | None
    recipes: tuple[tuple[Recipe, AnyScope], ...]


@dataclass(frozen=True)
class Document:
    """A saved check. ``directory`` is the folder it was made in; None: it does not say."""

    directory: Path | None
    results: tuple[Saved, ...]


class JsonNode:
    """A value in the document, and the way to it: ``results[0].counterexamples[1].loop``."""

    def __init__(self, file: Path, way: str, value: Any) -> None:
        self.file, self.way, self.value = file, way, value

    def fails(self, what: str) -> PasidlabError:
        """The error that something is not as it should be there."""
        return PasidlabError(f"{self.file}: not a saved check: {self.way or 'the document'} {what}", hint=HINT)

    def as_a(self, kind: type[T]) -> T:
        """The value, if it is of that kind. True is no number."""
        value = self.value
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.fails(f"is not {KINDS[kind]}")
        return value

    def get(self, name: str) -> JsonNode:
        """A member that must be there."""
        members = self.as_a(dict)
        way = f"{self.way}.{name}" if self.way else name
        if name not in members:
            raise JsonNode(self.file, way, None).fails("is missing")
        return JsonNode(self.file, way, members[name])

    def maybe(self, name: str) -> JsonNode | None:
        """A member that may be missing or null."""
        return self.get(name) if self.as_a(dict).get(name) is not None else None

    def __iter__(self) -> Iterator[JsonNode]:
        for n, value in enumerate(self.as_a(list)):
            yield JsonNode(self.file, f"{self.way}[{n}]", value)

    def all(self, kind: type[T]) -> list[T]:
        """A list whose values are all of that kind."""
        return [entry.as_a(kind) for entry in self]


def read(file: Path) -> Document:
    """The document. Raises PasidlabError if it is none, with the place of what is wrong."""
    try:
        root = JsonNode(file, "", json.loads(_text(file)))
    except json.JSONDecodeError as error:
        raise PasidlabError(f"{file}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of too many digits
        raise PasidlabError(f"{file}: not JSON that can be read: {error}") from None
    directory = root.maybe("directory")
    return Document(Path(directory.as_a(str)) if directory else None, tuple(_saved(result) for result in root.get("results")))


def _text(file: Path) -> str:
    """What a file holds; ``-`` is standard input."""
    if str(file) != "-":
        return read_text(file)
    if sys.stdin is None:
        raise PasidlabError("standard input is closed", hint="name a file, or let one be read: - < found.json")
    try:
        return sys.stdin.buffer.read().decode()
    except OSError as error:
        raise PasidlabError(f"cannot read standard input: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise PasidlabError(f"standard input is not text (byte {error.start} is not UTF-8)") from None


def _saved(result: JsonNode) -> Saved:
    opened = result.maybe("opened")
    found = tuple((_recipe(node), _scope(node.get("scope"))) for node in result.get("counterexamples"))
    return Saved(result.get("design").as_a(str), result.get("file").as_a(str), _opened(opened) if opened else None, found)


def _opened(node: JsonNode) -> Opening:
    told: dict[str, Any] = {name: inner.as_a(str) for name in ("base", "kernel") if (inner := node.maybe(name))}
    told |= {"name": node.get("name").as_a(str), "config": node.get("config").all(str), "stubs": node.get("stubs").all(str)}
    if allowed := node.maybe("allow_unjudged"):
        told["allow_unjudged"] = allowed.all(str)
    if reverse := node.maybe("reverse"):
        told["reverse"] = reverse.as_a(bool)
    if side := node.maybe("side"):
        told["side"] = side.as_a(str)
    if texts := node.maybe("texts"):
        told["texts"] = {name: texts.get(name).as_a(str) for name in texts.as_a(dict)}
    return Opening.from_json(told)


def _scope(node: JsonNode) -> AnyScope:
    if own := node.maybe("sizes"):
        counts = {name: own.get(name).as_a(int) for name in own.as_a(dict)}
        return OwnScope(counts, frozenset(node.get("events").all(str)), _bounds(node))
    sizes = {name: node.get(name).as_a(int) for name in ("cpus", "tasks", "mms", "pasids")}
    events, bounds = frozenset(node.get("events").all(str)), _bounds(node)
    return _told(node, lambda: Scope(**sizes, events=events, bounds=bounds))


def _bounds(node: JsonNode) -> dict[str, int]:
    bounds = node.get("bounds")
    counts = {name: bounds.get(name).as_a(int) for name in bounds.as_a(dict)}
    if any(count < 0 for count in counts.values()):
        raise bounds.fails("has a negative number")
    return counts


def _told(node: JsonNode, make: Callable[[], T]) -> T:
    """What is made, or the error at its place in the document."""
    try:
        return make()
    except PasidlabError as error:
        raise node.fails(f"is wrong: {error.what}") from None


def _recipe(node: JsonNode) -> Recipe:
    moves = tuple(_move(move) for move in node.get("moves"))
    loop = node.maybe("loop")
    if loop and not 0 <= loop.as_a(int) < len(moves):
        raise loop.fails(f"is not a step of {len(moves)}")
    name = node.get("property").as_a(str)
    return Recipe(
        name, node.get("sentence").as_a(str), moves, broken_by_step=node.get("broken_by_step").as_a(bool),
        loop=loop.as_a(int) if loop else None, exact=node.get("exact").as_a(bool),
        initial=None if name else tuple(node.get("initial").all(int)),
        shortest=shortest.as_a(bool) if (shortest := node.maybe("shortest")) else True,
    )  # fmt: skip


def _move(node: JsonNode) -> Move:
    parts = list(node)
    if len(parts) != 3:
        raise node.fails("is not an action, its parameters and its choices")
    action, params, choices = parts
    return Move(action.as_a(str), tuple(params.all(int)), tuple(choices.all(int)))
