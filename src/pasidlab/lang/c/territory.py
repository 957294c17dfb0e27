"""Reads ``model/linux/territory.toml``: which files, functions and lines of Linux matter to the model."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from pasidlab.errors import PasidlabError

_FLOW = re.compile(
    r"\b(?:if|else|for|while|do|switch|case|default|goto|break|continue|return)\b|^\w+\s*:(?!:)"
    r"|^[{}]|^#\s*(?:ifdef|ifndef|elif|endif)\b"
)


@dataclass(frozen=True)
class TerritoryPart:
    """Functions of some files. ``words`` empty: every line of them matters. ``words_of_c``: what other kernel code is written in."""

    files: tuple[str, ...]
    functions: tuple[str, ...]
    words: tuple[str, ...]
    unrelated: bool
    why: str
    words_of_c: bool = False

    def has(self, file: str, function: str) -> bool:
        """True if the function is meant; an empty name, for lines outside functions, where all functions of the file are."""
        return _named(file, self.files) and _named(function, self.functions)

    def names(self, function: str) -> bool:
        """True if the function is meant by its name, not merely as one of all."""
        return function in self.functions


@dataclass(frozen=True, eq=False)
class Territory:
    """What the file says."""

    places: tuple[TerritoryPart, ...]
    anywhere: tuple[str, ...]
    elsewhere: tuple[str, ...]  # files where the words mean something else
    needed: tuple[str, ...]
    unseen: frozenset[str]  # reasons for which a call is ignored, and nobody asks
    order: tuple[str, ...]  # wrappers of an access that only order it
    settled: frozenset[str]  # constants that no task of the model has
    options: frozenset[str]  # CONFIG options of other kernels, or judged as one of their own
    partly: Mapping[str, str]  # calls of which the model has but a part, and what it lacks
    fixups: tuple[str, ...]  # names of the fix-up of the fault
    enables: tuple[str, ...]  # calls that enable interrupts in the handler
    handlers: tuple[str, ...]  # of the fault
    model: frozenset[str]  # functions of the model that Linux does not have
    early: str  # the design whose handler calls the fix-up before that

    def place(self, file: str, function: str) -> TerritoryPart | None:
        """The first place that has a function of a file; None outside the territory."""
        found = next((place for place in self.places if place.has(file, function)), None)
        return None if found is None or found.unrelated else found

    def has_file(self, file: str) -> bool:
        """True if some function of a file is of the territory."""
        return any(_named(file, place.files) for place in self.places if not place.unrelated)

    def by_name(self, function: str) -> bool:
        """True if some file of the territory has a function of that name by name, not merely as one of all."""
        return any(place.names(function) and not place.unrelated for place in self.places)

    def _known(self, file: str) -> bool:
        """True if a file is that of some place, or of another machine."""
        return any(_named(file, globs) for globs in (self.elsewhere, *(place.files for place in self.places)))

    def relevant(self, file: str, function: str, lines: Sequence[str]) -> list[str]:
        """The changed lines of a function that matter. Comments must be gone.

        A file that no place names may be a place's under a shorter path: there the name of the function decides.
        """
        place = _deciding(self, file, function)
        lines = [line for line in lines if line]
        if place is not None and not place.words:
            return lines
        words = place.words if place is not None else ()
        return [line for line in lines if _mentions(line, words) or (words and _FLOW.search(line)) or self.mentions(file, line)]

    def mentions(self, file: str, line: str) -> bool:
        """True if a line has one of the words that matter anywhere."""
        return not _named(file, self.elsewhere) and _mentions(line, self.anywhere)


@lru_cache(maxsize=1 << 12)
def _deciding(land: Territory, file: str, function: str) -> TerritoryPart | None:
    """The place that says which lines of a function matter: a patch asks for each of its lines."""
    place = land.place(file, function)
    if place is None and not land._known(file):
        return next((one for one in land.places if not one.unrelated and one.names(function)), None)
    return place


@lru_cache(maxsize=1 << 12)
def _named(name: str, globs: tuple[str, ...]) -> bool:
    return _pattern(globs).match(name) is not None


@cache
def _pattern(globs: tuple[str, ...]) -> re.Pattern[str]:
    """What any of the globs matches, in one expression: a patch asks for thousands of names."""
    return re.compile("|".join(map(fnmatch.translate, globs)) or r"(?!)")


def _mentions(line: str, globs: tuple[str, ...]) -> bool:
    if not globs:
        return False
    names = re.findall(r"[A-Za-z_]\w*(?:->\w+)?", line) + re.findall(r"[A-Za-z_]\w*\.\w+", line)
    return any(_named(name, globs) for whole in names for name in {whole, *whole.split("->")})


@cache
def territory() -> Territory:
    """The territory of the kernel around a design."""
    path = Path(__file__).parents[2] / "model" / "linux" / "territory.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PasidlabError(f"cannot read the territory {path}: {error}") from None
    places = tuple(
        TerritoryPart(
            tuple(one["files"]), tuple(one.get("functions", ["*"])), tuple(one.get("words", [])), one.get("unrelated", False), one["why"],
            one.get("words_of_c", False),
        )
        for one in data["place"]
    )  # fmt: skip
    return Territory(
        places, tuple(data["anywhere"]["words"]), tuple(data["anywhere"]["except"]), needed=tuple(data["tree"]["needed"]),
        unseen=frozenset(data["unseen"]["reasons"]), order=tuple(data["unseen"]["order"]), settled=frozenset(data["unseen"]["settled"]),
        options=frozenset(data["unseen"]["options"]), partly=data["partly"], fixups=tuple(data["fixup"]["names"]),
        enables=tuple(data["fixup"]["enables"]),
        handlers=tuple(data["fixup"]["handlers"]), model=frozenset(data["model"]["functions"]), early=data["fixup"]["before"],
    )  # fmt: skip
