"""What of an input a check judges: a fate for each function and each hunk, which every report tells from here.

``judged``; ``built in``, with the reason; ``unrelated``; ``same code``: its change is nothing the model has; ``not executed``: no step of
the scope executes its change; ``equivalent``: by the rules of C its change means nothing. ``judging`` decides the
fates, ``in_steps`` the last one.
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
    IDLE = "not executed"
    EQUIVALENT = "equivalent"


@dataclass(frozen=True)
class LeftOut:
    """A changed line of a judged function that has no meaning in the model, or not all of it, or that no step of the scope executes."""

    text: str
    line: int  # of the file; 0: the line was taken away
    why: str
    means: bool = False  # it means something, but not all of it is judged

    def __str__(self) -> str:
        return f"'{self.text}': {self.why}" if self.means else f"'{self.text}' means nothing here: {self.why}"


@dataclass(frozen=True)
class Added:
    """Lines that patches add to a function, one after the other: file and line of each, as steps have them.

    ``begun``: the lines before them in which their first statement begins. ``gone``: lines are only taken away; the lines are all
    that is left of the function.
    """

    function: str
    file: str
    text: str  # the first line that says something
    lines: frozenset[tuple[str, int]]
    begun: frozenset[tuple[str, int]] = frozenset()
    whole: frozenset[tuple[str, int]] = frozenset()  # the lines of the function
    gone: bool = False
    callers: tuple[frozenset[tuple[str, int]], ...] | None = None  # of a function that only computes: lines that lead to it
    given: bool = False  # not by a patch: the function is given whole

    def is_idle(self, executed: frozenset[tuple[str, int]], present: frozenset[tuple[str, int]]) -> bool:
        """True if they stand in the code, or nothing does any more, and no step executed any of them."""
        code = self.lines & present or self.begun & present
        if not code and self.callers is not None and not self.whole & present:
            return not next((lines for lines in self.callers if lines & present), frozenset()) & executed
        return bool(code or self.gone or not self.whole & present) and not code & executed


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
    def unjudged(self) -> bool:
        """True if the verdict does not say all of it."""
        return bool(self.left_out) or (self.fate in (Fate.BUILT_IN, Fate.SAME, Fate.IDLE) and (self.changed or self.needed))

    @property
    def open(self) -> bool:
        """True if it keeps the verdict from being ``holds``."""
        return self.unjudged and not self.allowed

    @property
    def is_equivalent(self) -> bool:
        """True if by the rules of C its change means nothing."""
        return self.fate is Fate.EQUIVALENT

    @property
    def name(self) -> str:
        """The function's name, or what stands for one."""
        return self.function or f"lines outside functions of {self.file}"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        where = f" ({place})" if self.function and place else ""
        if self.fate is Fate.JUDGED:
            return f"{self.name}{where}: " + "; ".join(dict.fromkeys(map(str, self.left_out)))
        if self.fate is Fate.EQUIVALENT:
            return f"{self.name}{where}"
        if self.fate in (Fate.SAME, Fate.IDLE):
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
    """The account for one input. ``unused``: options of the command that nothing asked for. ``added``: lines that steps may execute.

    ``allows``: functions that need not be judged, as the user knows (``*`` stands for any letters).
    """

    items: tuple[Item, ...] = ()
    hunks: tuple[HunkFate, ...] = ()
    unused: tuple[str, ...] = ()
    added: tuple[Added, ...] = ()
    allows: tuple[str, ...] = ()

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
        return tuple(item for item in self.items if item.allowed and item.unjudged)

    @property
    def options_unused(self) -> tuple[str, ...]:
        """Options of the command that nothing asked for, with names to allow that meet nothing."""
        idle = (name for name in self.allows if not any(item.unjudged and _meets(item, name) for item in self.items))
        return (*self.unused, *(f"--allow-unjudged {name}" for name in idle))

    def in_steps(self, executed: frozenset[tuple[str, int]], present: frozenset[tuple[str, int]]) -> Judged:
        """The account after a search to the end: what it did not execute is not judged. ``present``: lines that stand in the code."""
        items = tuple(self._in_steps(item, executed, present) for item in self.items)
        idle = {(item.file, item.function): item.why for item in items if item.fate is Fate.IDLE}
        hunks = []
        for hunk in self.hunks:
            why = next((idle[hunk.file, name] for name in hunk.functions if (hunk.file, name) in idle), "")
            hunks.append(replace(hunk, fate=Fate.IDLE, why=why) if why and hunk.fate is Fate.JUDGED else hunk)
        return replace(self, items=items, hunks=tuple(hunks))

    def _in_steps(self, item: Item, executed: frozenset[tuple[str, int]], present: frozenset[tuple[str, int]]) -> Item:
        mine = [one for one in self.added if item.fate is Fate.JUDGED and (one.function, one.file) == (item.function, item.file)]
        idle = [one for one in mine if one.is_idle(executed, present)]
        if not idle:
            return item
        if len(idle) == len(mine) and not item.left_out:
            what = "it" if idle[0].given else "what the patch changes in it"
            gone = idle[0].callers is not None and not idle[0].whole & present
            why = "nothing of it is left in the steps of the scope" if gone else f"no step of the scope executes {what}"
            return replace(item, fate=Fate.IDLE, why=why)
        silent = (LeftOut(one.text, min(one.lines)[1], "no step of the scope executes it", means=True) for one in idle if not one.gone)
        return replace(item, left_out=(*item.left_out, *silent))

    def sentences(self) -> list[str]:
        """What a reader of a verdict must know, the most important first; empty if there is nothing to say."""
        found = []
        related = self.related
        judged = [item for item in related if item.fate in (Fate.JUDGED, Fate.EQUIVALENT)]
        partly = [item for item in judged if item.left_out]
        if related:
            found.append(f"judged {len(judged)} of {counted(len(related), 'changed function')}")
            found[-1] += f", {'one' if len(partly) == 1 else len(partly)} of them in part" if partly else ""
        else:
            taken = [item for item in self.items if item.fate is Fate.JUDGED]
            rest = [item for item in self.items if item.fate is Fate.BUILT_IN]
            if taken or rest:
                found.append(f"judged {len(taken)} of {counted(len(taken) + len(rest), 'function')} of the tree")
        if self.open:
            found.append("not judged: " + "; ".join(str(item) for item in self.open))
        if self.acknowledged:
            found.append("not judged, as acknowledged: " + "; ".join(str(item) for item in self.acknowledged))
        same = [item for item in judged if item.is_equivalent]
        if same:
            found.append("equivalent: " + "; ".join(str(item) for item in same) + ": by the rules of C the change means nothing")
        unrelated = [hunk for hunk in self.hunks if hunk.fate is Fate.UNRELATED]
        if unrelated:
            found.append(f"unrelated: {counted(len(unrelated), 'hunk')} ({', '.join(dict.fromkeys(hunk.file for hunk in unrelated))})")
        loose = [item for item in self.items if item.changed and item.fate is Fate.UNRELATED] if not self.hunks else []
        if loose:
            found.append("unrelated: " + "; ".join(f"{item.name}(): {item.why}" for item in loose))
        if self.options_unused:
            found.append("used nowhere: " + ", ".join(self.options_unused))
        return found

    def sentence(self) -> str:
        """All of it in one line."""
        return "; ".join(self.sentences())

    def allowing(self, names: Iterable[str]) -> Judged:
        """The account, with the functions of these names (``*`` stands for any letters) acknowledged."""
        names = tuple(names)
        items = (replace(item, allowed=item.allowed or any(_meets(item, name) for name in names)) for item in self.items)
        return replace(self, items=tuple(items), allows=(*self.allows, *names))


def _meets(item: Item, name: str) -> bool:
    return fnmatch.fnmatchcase(item.function or item.file, name)
