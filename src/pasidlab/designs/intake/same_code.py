"""Finds changes that the model has nothing of: the functions are compiled to the same code with such a change and without it.

Each change is taken back by itself: all of a function, then each block of lines, then each line or word. Where nothing compiles without a
block, it is taken back with another one, or with all of that kind: so a declaration and its use are judged together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pasidlab.designs.intake.changes import Changes, blocks, parts, taken_back
from pasidlab.designs.intake.code import LinkedCode, same_functions
from pasidlab.designs.intake.edits import Version
from pasidlab.designs.intake.equivalent import means_the_same
from pasidlab.designs.intake.judged import Fate, Item, LeftOut
from pasidlab.designs.intake.outside import Outside, lines_outside
from pasidlab.designs.intake.plain import joined, plain_text, tokens
from pasidlab.designs.intake.spans import FunctionSpan, bare_lines, functions_in
from pasidlab.lang.c.vocabulary import vocabulary

WHY = "the model compiles it to the same code before and after: what the patch changes in it is nothing the model has"
NOTHING = "by the rules of C the change means nothing"

Compile = Callable[[str, str], LinkedCode | None]
"""Compiles everything, with another text for one of the versions, by its key; None: it does not compile."""


@dataclass(frozen=True)
class _Text:
    """A function that is whole: its place, its lines without comments, and its plain text."""

    span: FunctionSpan
    bare: str
    plain: str


def _texts(source: str) -> dict[str, list[_Text]]:
    """The functions that are whole; of some there are several, for several configurations."""
    lines = source.split("\n")
    bare = bare_lines(lines)
    found: dict[str, list[_Text]] = {}
    for span in functions_in(lines):
        if span.whole:
            mine = bare[span.start : span.end]
            found.setdefault(span.name, []).append(_Text(span, "\n".join(filter(None, joined(mine))), plain_text(mine)))
    return found


class SameCode:
    """Looks through versions of texts for what changes nothing. ``matters``: a line of a file, outside functions, that has to be judged."""

    def __init__(self, versions: Mapping[str, Version], compiled: Compile, matters: Callable[[str, str], bool]) -> None:
        self.versions, self.compiled, self.matters = versions, compiled, matters
        self.before = {key: _texts(one.before) for key, one in versions.items()}
        self.after = {key: _texts(one.after.text) for key, one in versions.items()}

    def told(self, item: Item) -> Item:
        """A changed function, or the lines outside functions of a file, with what of the change is nothing the model has."""
        if not item.function:
            return self._outside(item)
        if item.fate is not Fate.UNRELATED and self._is_equivalent(item):
            return replace(item, fate=Fate.EQUIVALENT, why=NOTHING, left_out=tuple(one for one in item.left_out if one.means))
        return self._item(item) if item.fate is Fate.JUDGED and not item.why else item

    def _is_equivalent(self, item: Item) -> bool:
        """True if each text of the function means the same before and after, by the rules of C."""
        pairs = [(self.before[key].get(item.function, []), self.after[key].get(item.function, [])) for key in self._keys(item)]
        known = any(old for old, _ in pairs) and all(len(old) == len(new) for old, new in pairs)
        return known and all(means_the_same(was.bare, now.bare) for old, new in pairs for was, now in zip(old, new, strict=True))

    def _keys(self, item: Item) -> list[str]:
        return [key for key, version in self.versions.items() if version.file == item.file]

    def _outside(self, item: Item) -> Item:
        """Lines outside functions are judged where the code depends on each that matters, and on any at all."""
        reached = False
        for key, version in self.versions.items():
            if version.file == item.file:
                was, now = Outside(version.before), Outside(version.after.text)
                base = self.compiled(key, now.whole(now.text))
                groups = blocks(was.text, now.text)
                for changes in (piece for block in groups for piece in parts(block)):
                    if any(self.matters(item.file, line) for line in lines_outside(changes)):
                        if same_functions(self.compiled(key, now.whole(taken_back(now.text, changes))), base):
                            return item
                        reached = True
                everything = [one for block in groups for one in block]
                reached = reached or not same_functions(self.compiled(key, now.whole(taken_back(now.text, everything))), base)
        return replace(item, fate=Fate.JUDGED, why="") if reached else item

    def _item(self, item: Item) -> Item:
        found: list[LeftOut] = []
        for key in self._keys(item):
            old, new = self.before[key].get(item.function, []), self.after[key].get(item.function, [])
            if len(old) != len(new):
                continue
            for was, now in zip(old, new, strict=True):
                silent = self._silent(key, now.span, was.plain, now.plain)
                if silent is None:
                    return item if item.left_out else replace(item, fate=Fate.SAME, why=WHY)
                found += silent
        told = [one.text for one in item.left_out]
        fresh = (one for one in found if not any(text in one.text or one.text in text for text in told))
        return replace(item, left_out=(*item.left_out, *fresh))

    def _silent(self, key: str, span: FunctionSpan, was: str, now: str) -> list[LeftOut] | None:
        """The changes of a function that change nothing; None if all of them together do not."""
        if _words(was) == _words(now):
            return []
        base = self._with(key, span, now)
        if base is None:
            return []
        if same_functions(self._with(key, span, was), base):
            return None

        def silent(changes: Changes) -> bool:
            return same_functions(self._with(key, span, taken_back(now, changes)), base)

        def compiles(changes: Changes) -> bool:
            return self._with(key, span, taken_back(now, changes)) is not None

        found = [changes for changes in _smallest(_that_compile(blocks(was, now), compiles), silent) if _says_something(changes)]
        return [_left_out(changes) for changes in found if not means_the_same(taken_back(now, changes), now)]

    def _with(self, key: str, span: FunctionSpan, text: str) -> LinkedCode | None:
        lines = self.versions[key].after.text.split("\n")
        lines[span.start : span.end] = text.rstrip("\n").split("\n")
        return self.compiled(key, "\n".join(lines))


def _that_compile(groups: Sequence[Changes], compiles: Callable[[Changes], bool]) -> list[Changes]:
    """The groups, those without which nothing compiles put together with the nearest that mends this, else all of them in one."""
    if len(groups) < 2:
        return list(groups)
    found = [one for one in groups if compiles(one)]
    torn = [one for one in groups if one not in found]
    if len(torn) > 1 and len(torn) < len(groups) and compiles(together := tuple(change for one in torn for change in one)):
        return [*found, together]
    for one in torn:
        near = sorted((other for other in groups if other is not one), key=lambda other: abs(other[0].start - one[0].start))
        found.append(next((pair for other in near[:_NEAR] if compiles(pair := (*one, *other))), one))
    return found


_NEAR = 4  # blocks that are tried together with another one


def _smallest(groups: Sequence[Changes], silent: Callable[[Changes], bool]) -> Iterator[Changes]:
    """The changes that are silent: whole groups, else parts of them."""
    for changes in groups:
        if silent(changes):
            yield changes
            continue
        pieces = parts(changes)
        if len(pieces) > 1:
            yield from (piece for piece in pieces if silent(piece))


def _words(text: str) -> list[str]:
    """The words of a text. What messages say is no word."""
    return ['""' if (word := token.group()).startswith('"') and "asm" not in text else word for token in tokens(text)]


_HINTS = frozenset("likely unlikely inline __always_inline noinline notrace const ( ) { } ;".split())


def _says_something(changes: Changes) -> bool:
    """False where nothing but hints to the compiler, brackets or the words of a message change."""
    was, now = (_words(" ".join(text)) for text in ([one.before for one in changes], [one.now for one in changes]))
    return was != now and not {*was, *now} <= _HINTS and not (_asks_for_machines(now) and not was)


def _asks_for_machines(words: Sequence[str]) -> bool:
    """True for a condition on nothing but features without which there were no ENQCMD."""
    features = vocabulary().features
    rest = {word for word in words if not features.get(word) and not word.startswith("use_")}
    return bool(set(words) - rest) and rest <= {"if", "(", ")", "&&", "cpu_feature_enabled", "static_cpu_has", "boot_cpu_has"}


def _left_out(changes: Changes) -> LeftOut:
    gone = not any(one.now.strip() for one in changes)
    text = " ... ".join(" ".join((one.before if gone else one.now).split()) for one in changes)
    short = text if len(text) <= 100 else re.sub(r"\s\S*$", " ...", text[:100])
    return LeftOut(short, 0, f"the model compiles the function to the same code {'with' if gone else 'without'} it")
