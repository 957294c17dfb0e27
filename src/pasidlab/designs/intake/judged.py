"""What of an input a check judges: for each function and each hunk ``judged``, ``built in`` with the reason, ``unrelated``, or
``same code``: its change is nothing the model has.

``judging`` decides it; every report tells it from here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from pasidlab.errors import counted


class Fate(Enum):
    """What becomes of a function or a hunk."""

    JUDGED = "judged"
    BUILT_IN = "built in"
    UNRELATED = "unrelated"
    SAME = "same code"


@dataclass(frozen=True)
class LeftOut:
    """A changed line of a judged function that has no meaning in the model."""

    text: str
    line: int  # of the file; 0: the line was taken away
    why: str


@dataclass(frozen=True)
class Item:
    """A function, or with an empty name the lines of a file outside functions.

    ``changed``: the input gives or changes it. ``needed``: without it the verdict says nothing of the tree.
    """

    function: str
    file: str
    line: int  # 0: it is not there any more, or nowhere
    fate: Fate
    why: str = ""
    changed: bool = True
    needed: bool = False
    left_out: tuple[LeftOut, ...] = ()
    allowed: bool = False

    @property
    def open(self) -> bool:
        """True if it keeps the verdict from being ``holds``."""
        unjudged = self.fate in (Fate.BUILT_IN, Fate.SAME) and (self.changed or self.needed)
        return not self.allowed and (unjudged or bool(self.left_out))

    @property
    def name(self) -> str:
        """The function's name, or what stands for one."""
        return self.function or f"lines outside functions of {self.file}"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f" ({place})" if self.function and place else ""
        if self.fate is Fate.JUDGED:
            return f"{self.name}{where}: " + "; ".join(f"'{one.text}' means nothing here: {one.why}" for one in self.left_out)
        if self.fate is Fate.SAME:
            return f"{self.name}{where}: {self.why}"
        return f"{self.name}{where}: {self.fate.value}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class HunkFate:
    """A hunk of a patch: where it stands, what it changes, and the worst fate among the functions it touches."""

    patch: str
    line: int
    file: str
    functions: tuple[str, ...]
    fate: Fate
    why: str = ""


@dataclass(frozen=True)
class Judged:
    """The account for one input. ``unused``: options of the command that nothing asked for. ``edited``: changed lines that are judged."""

    items: tuple[Item, ...] = ()
    hunks: tuple[HunkFate, ...] = ()
    unused: tuple[str, ...] = ()
    edited: frozenset[tuple[str, int]] = frozenset()

    @property
    def open(self) -> tuple[Item, ...]:
        """What is of the territory, not judged, and not acknowledged: with any of it nothing holds."""
        return tuple(item for item in self.items if item.open)

    @property
    def related(self) -> tuple[Item, ...]:
        """The functions the input gives or changes, but for unrelated ones."""
        return tuple(item for item in self.items if item.changed and item.fate is not Fate.UNRELATED)

    @property
    def acknowledged(self) -> tuple[Item, ...]:
        """What is not judged, as the user has said he knows."""
        return tuple(item for item in self.items if item.allowed)

    def sentences(self) -> list[str]:
        """What a reader of a verdict must know, the most important first; empty if there is nothing to say."""
        found = []
        related = self.related
        judged = [item for item in related if item.fate is Fate.JUDGED and not item.left_out]
        if related:
            found.append(f"judged {len(judged)} of {counted(len(related), 'changed function')}")
        else:
            taken = [item for item in self.items if item.fate is Fate.JUDGED]
            rest = [item for item in self.items if item.fate is Fate.BUILT_IN]
            if taken or rest:
                found.append(f"judged {len(taken)} of {counted(len(taken) + len(rest), 'function')} of the tree")
        if self.open:
            found.append("not judged: " + "; ".join(str(item) for item in self.open))
        if self.acknowledged:
            found.append("not judged, as acknowledged: " + "; ".join(str(item) for item in self.acknowledged))
        unrelated = [hunk for hunk in self.hunks if hunk.fate is Fate.UNRELATED]
        if unrelated:
            found.append(f"unrelated: {counted(len(unrelated), 'hunk')} ({', '.join(dict.fromkeys(hunk.file for hunk in unrelated))})")
        loose = [item for item in self.items if item.changed and item.fate is Fate.UNRELATED] if not self.hunks else []
        if loose:
            found.append("unrelated: " + "; ".join(f"{item.name}(): {item.why}" for item in loose))
        if self.unused:
            found.append("used nowhere: " + ", ".join(self.unused))
        return found

    def sentence(self) -> str:
        """All of it in one line."""
        return "; ".join(self.sentences())

    def allowing(self, names: Iterable[str]) -> Judged:
        """The same, with what is named (``*`` stands for any letters) acknowledged; a name that meets nothing is one more unused option."""
        names = list(names)
        met: set[str] = set()
        items = []
        for item in self.items:
            mine = [name for name in names if fnmatch.fnmatchcase(item.function or item.file, name)] if item.open else []
            met |= set(mine)
            items.append(replace(item, allowed=True) if mine else item)
        unused = (f"--allow-unjudged {name}" for name in names if name not in met)
        return replace(self, items=tuple(items), unused=(*self.unused, *unused))
