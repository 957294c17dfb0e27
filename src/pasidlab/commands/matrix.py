"""``check --matrix FILE.toml``: designs, in scopes, in trees, with configurations: every combination is one check, all in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pasidlab import reading
from pasidlab.commands.scopes import AskedScope
from pasidlab.errors import PasidlabError
from pasidlab.lang.names import nearest

if TYPE_CHECKING:
    from pasidlab.designs import AnyScope, Design, Opening

SIZES = ("cpus", "tasks", "mms", "pasids")
SECTIONS = ("designs", "scopes", "trees", "configs")
EXAMPLE = 'designs = ["early"], then [scopes.small] with cpus = 2, tasks = 1 and events = "preempt"'


@dataclass(frozen=True)
class Matrix:
    """What a file asks for. Without trees or configs there is one of each: none."""

    designs: tuple[str, ...]
    scopes: Mapping[str, AskedScope]
    trees: Mapping[str, str | None]
    configs: Mapping[str, tuple[str, ...]]

    def checks(self, opening: Opening) -> Iterator[tuple[Design, Opening, AnyScope | None]]:
        """Every combination, opened as ``opening`` says otherwise. The design's name says which it is."""
        for name in self.designs:
            for tree, kernel in self.trees.items():
                for config, options in self.configs.items():
                    opened = replace(opening, name=name, kernel=kernel, config=options)
                    design = opened.design()
                    for scope, asked in self.scopes.items():
                        label = " ".join(part for part in (design.name, tree, config, scope) if part)
                        yield replace(design, name=label), opened.carrying(design), asked.of(design)


def read_matrix(file: str) -> Matrix:
    """Raises PasidlabError for a file that asks for nothing that can be checked, with its place in it."""
    told, _ = reading.toml(file, EXAMPLE)
    _known(file, "the file", told, SECTIONS)
    designs = told.get("designs")
    if not _strings(designs) or not designs:
        raise PasidlabError(f"{file}: 'designs' is not a list of names", hint=EXAMPLE)
    scopes = {name: _scope(file, name, scope) for name, scope in _table(file, told, "scopes").items()}
    trees = {name: str(Path(_string(f"{file}: trees.{name}", tree)).expanduser()) for name, tree in _table(file, told, "trees").items()}
    configs: dict[str, tuple[str, ...]] = {}
    for name, options in _table(file, told, "configs").items():
        if not _strings(options):
            raise PasidlabError(f"{file}: configs.{name} is not a list of options", hint='[configs] then small = ["CONFIG_X=n"]')
        configs[name] = tuple(options)
    return Matrix(
        tuple(dict.fromkeys(designs)),
        scopes or {"": AskedScope({}, None)},
        {**trees} or {"": None},
        configs or {"": ()},
    )


def _scope(file: str, name: str, told: object) -> AskedScope:
    if not isinstance(told, dict):
        raise PasidlabError(f"{file}: scopes.{name} is not a table", hint=EXAMPLE)
    _known(file, f"scopes.{name}", told, (*SIZES, "size", "events"))
    sizes = {**_table(file, told, "size"), **{key: told[key] for key in SIZES if key in told}}
    for key, count in sizes.items():
        if not isinstance(count, int) or isinstance(count, bool):
            raise PasidlabError(f"{file}: scopes.{name}.{key} is not a whole number")
    events = told.get("events")
    return AskedScope(sizes, None if events is None else _string(f"{file}: scopes.{name}.events", events))


def _table(file: str, told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = told.get(name, {})
    if not isinstance(table, dict):
        raise PasidlabError(f"{file}: '{name}' is not a table", hint=EXAMPLE)
    return table


def _known(file: str, where: str, told: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in told:
        if name not in names:
            raise PasidlabError(f"{file}: {where} has '{name}', which means nothing", hint=nearest(name, names))


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _string(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise PasidlabError(f"{where} is not text")
    return value
