"""Which lines of a large function are taken: those with its words, and those that its helpers and locals lead to.

A refactoring moves such a line into a static function, or the value it asks for into a variable. The line is followed there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pasidlab.designs.intake.edits import Edited
from pasidlab.designs.intake.plain import joined
from pasidlab.designs.intake.spans import FunctionSpan, bare_lines, functions_in
from pasidlab.lang.c.link import parse_source
from pasidlab.lang.c.parse import CFunction
from pasidlab.lang.c.tokens import Source
from pasidlab.lang.c.vocabulary import GOVERNS, TreeLines, vocabulary

_CALL = re.compile(r"\b(\w+)\s*\(")
_SETS = re.compile(r"(?:[\w\s*]+[\s*])?(\w+)\s*=(?!=)")
_FLOW = re.compile(r"(?:return\b.*|goto \w+|break|continue);|\w+:|else|do|[{}]*;?|} else {")
_WORDS_OF_C = frozenset({"if", "while", "for", "switch", "return", "sizeof"})


@dataclass(frozen=True)
class LargeFunction:
    """A function of a tree: its file, its first line there (from 0), its lines up to its closing bracket."""

    source: Source
    start: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class LinesTaken:
    """Lines of a large function as a function of their own. ``function``: None if there is no such line.

    ``helpers``: functions that they call. ``texts``: the lines as they stand, without comments; ``was``: those before a patch.
    """

    entry: TreeLines
    function: CFunction | None = None
    helpers: Mapping[str, CFunction] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    was: frozenset[str] = frozenset()

    def has(self, line: str) -> bool:
        """True for a line that is taken, or was before the patch."""
        return self.entry.has(line) or line in self.texts or line in self.was


def function_in(source: Source | None, name: str) -> LargeFunction | None:
    """A function in kernel style: from its name at the left margin to the closing bracket there."""
    if source is None:
        return None
    lines = source.text.split("\n")
    head = re.compile(rf"^(\w[\w\s*]*\b)?{name}\(")
    for start, line in enumerate(lines):
        if head.match(line) and not line.rstrip().endswith(";"):
            end = next((n for n in range(start, len(lines)) if lines[n].startswith("}")), None)
            if end is not None:
                return LargeFunction(source, start, tuple(lines[start:end]))
    return None


def lines_taken(entry: TreeLines, large: LargeFunction, others: Iterable[Source], config: Mapping[str, str] | None) -> LinesTaken:
    """What is taken of a large function. Helpers are looked for in its file, then in ``others``; conditionals of #if count."""
    body = bare_lines(large.lines)  # a comment may name what comes later
    found = _Slice(entry, joined(body), _helpers([large.source, *others]))
    chosen = found.chosen()
    if not found.leads(chosen):
        return LinesTaken(entry)
    ends = ["return 0; }" if entry.result == "int" else "}"]
    handed_on = found.handed_on(chosen)
    head = [f"static {entry.result} {entry.function}__lines({entry.parameter})", "{", *(f"{one} = NULL;" for one in handed_on.values())]
    kept = [*head, *(found.lines[n] for n in chosen), *ends]
    first = next(n for n in chosen if found.has(n))
    numbers = [first, first, *handed_on, *chosen, chosen[-1]]
    places = [(large.source.file, large.start + n + 1) for n in numbers]
    helpers_used = found.with_what_they_call()
    for helper in helpers_used.values():
        kept[:0] = helper.source.text.split("\n")[helper.span.start : helper.span.end]
        places[:0] = [(helper.source.file, n + 1) for n in range(helper.span.start, helper.span.end)]
    unit = parse_source(Source("\n".join(kept), entry.file, places=tuple(places)), config)
    helpers = {name: unit.functions[name] for name in helpers_used if name in unit.functions}
    return LinesTaken(entry, unit.functions.get(f"{entry.function}__lines"), helpers, frozenset(_texts(body, found.lines, chosen)))


def _texts(body: Sequence[str], lines: Sequence[str], chosen: Iterable[int]) -> Iterator[str]:
    """The chosen lines as they stand; of a statement of several lines all of them."""
    for n in chosen:
        yield body[n]
        for k in range(n + 1, len(body)):
            if lines[k] or not body[k]:
                break
            yield body[k]


@dataclass(frozen=True)
class _Helper:
    source: Source
    span: FunctionSpan
    body: tuple[str, ...]


def _helpers(sources: Iterable[Source]) -> dict[str, _Helper]:
    """The whole functions of some files, but for those that have a meaning of their own."""
    words = vocabulary()
    found: dict[str, _Helper] = {}
    own = {entry.function for entry in words.tree_lines}
    for source in sources:
        lines = source.text.split("\n")
        for span in functions_in(lines):
            known = span.name in words.replacements or span.name in words.calls or words.is_ignored(span.name) or span.name in own
            if span.whole and not known and span.name not in found:
                found[span.name] = _Helper(source, span, tuple(lines[span.start : span.end]))
    return found


class _Slice:
    """Lines of one function that belong together. ``used`` has the helpers they call."""

    def __init__(self, entry: TreeLines, lines: Sequence[str], helpers: Mapping[str, _Helper]) -> None:
        self.entry, self.lines, self.helpers = entry, lines, helpers
        self.used: dict[str, _Helper] = {}
        self.parameters = set(re.findall(r"\w+", entry.parameter))
        behind = next((n for n, line in enumerate(lines) if f"{entry.after}(" in line), 0) if entry.after else 0
        above = next((n for n, line in enumerate(lines) if f"{entry.before}(" in line), len(lines)) if entry.before else len(lines)
        self.region = range(behind, above)

    def has(self, n: int) -> bool:
        """True for a line with the word, or with a call that leads to one."""
        return self.entry.has(self.lines[n]) or any(name in self.used for name in _CALL.findall(self.lines[n]))

    def leads(self, chosen: Iterable[int]) -> bool:
        """True if one of the lines is more than a conditional."""
        return any(self.has(n) for n in chosen)

    def chosen(self) -> list[int]:
        """The numbers of the lines, in their order."""
        for name in (name for n in self.region for name in _CALL.findall(self.lines[n])):
            self._follow(name)
        found = {n for n in self.region if self.has(n) or re.match(r"#\s*(if|else|elif|endif)", self.lines[n])}
        found |= {k for n in sorted(found) for k in self._of_local(n)}
        found |= {k for n in sorted(found) for k in self._of_member(n)}
        found |= {k for n in sorted(found) for k in self._governed(n)}
        return sorted(found)

    def _follow(self, name: str, above: frozenset[str] = frozenset()) -> bool:
        """True if a function leads to a line with the word. It and what it calls to get there are used then."""
        helper = self.helpers.get(name)
        if name in self.used or helper is None or name in above | {self.entry.function}:
            return name in self.used
        body = bare_lines(helper.body)
        inner = body[next((n + 1 for n, line in enumerate(body) if line.endswith("{")), 0) :]
        led = [self._follow(call, above | {name}) for line in inner for call in _CALL.findall(line)]
        if any(led) or any(self.entry.has(line) for line in inner):
            self.used[name] = helper
        return name in self.used

    def with_what_they_call(self) -> dict[str, _Helper]:
        """The helpers, and the functions without the word that they call."""
        found = dict(self.used)
        fresh = list(found.values())
        while fresh:
            calls = {name for line in bare_lines(fresh.pop().body) for name in _CALL.findall(line)}
            new = {name: self.helpers[name] for name in sorted(calls & self.helpers.keys() - found.keys() - {self.entry.function})}
            found |= new
            fresh += new.values()
        return found

    def handed_on(self, chosen: Iterable[int]) -> dict[int, str]:
        """Pointers to what is not modelled that a helper only hands on: the lines of their declarations, and these."""
        lines = [self.lines[n] for n in chosen if any(name in self.used for name in _CALL.findall(self.lines[n]))]
        used = {name for line in lines for name in re.findall(r"\b[A-Za-z_]\w*\b", line)} - self.parameters
        rest = [self.lines[n] for n in chosen if self.lines[n] not in lines]
        bodies = [bare_lines(one.body) for one in self.used.values()]
        found = {}
        for n, line in enumerate(self.lines):
            match = re.match(r"(struct \w+ \*(\w+))( =|;)", line)
            if match and match.group(2) in used and n not in chosen and all(_only_hands_on(body) for body in bodies):
                name = match.group(2)
                if not any(re.search(rf"\b{name}\b", other) for other in rest):
                    found[n] = match.group(1)
        return found

    def _of_local(self, n: int) -> Iterator[int]:
        """Where a line gives its value to a variable: the lines that use it, up to where it gets another."""
        match = _SETS.match(self.lines[n])
        name = match.group(1) if match else ""
        if not name or name in self.parameters or not self.has(n):
            return
        word = re.compile(rf"\b{name}\b(?!\s*=[^=])")
        declares = re.compile(rf"[\w\s*,]+[\s*]{name}\s*[,;=]")
        yield from (k for k in range(n) if declares.match(self.lines[k]) and not self.lines[k].startswith("return"))
        for k in range(n + 1, self.region.stop):
            other = _SETS.match(self.lines[k])
            if other and other.group(1) == name and not self.has(k):
                return
            if word.search(self.lines[k]):
                yield k

    def _of_member(self, n: int) -> Iterator[int]:
        """The declarations of variables that a line uses and that hold a member the model has."""
        known = {name.partition(".")[2] for name in vocabulary().members}
        for name in set(re.findall(r"\b[A-Za-z_]\w*\b", self.lines[n])) - self.parameters:
            holds = re.compile(rf"[\w\s*]+[\s*]{name} = (\w+)->(\w+);")
            for k in range(n):
                match = holds.fullmatch(self.lines[k])
                if match and match.group(1) in self.parameters and match.group(2) in known:
                    yield k

    def _governed(self, n: int) -> Iterator[int]:
        """The statement or the block that a condition brings with it."""
        if GOVERNS.fullmatch(self.lines[n]):
            yield next((k for k in range(n + 1, self.region.stop) if self.lines[k]), n)
        elif re.fullmatch(r"if \(.*\) {", self.lines[n]):
            depth = 1
            for k in range(n + 1, self.region.stop):
                depth += self.lines[k].count("{") - self.lines[k].count("}")
                yield k
                if not depth:
                    return


def _only_hands_on(body: Sequence[str]) -> bool:
    """True if a helper asks nothing of the pointers it is given but for members, and calls nothing to ask it."""
    start = next((n for n, line in enumerate(body) if line.endswith("{")), 0)
    heading, inner = " ".join(body[:start]) + body[start], " ".join(body[start + 1 :])
    for name in re.findall(r"\*(\w+)\s*[,)]", heading):
        if len(re.findall(rf"\b{name}\b", inner)) != len(re.findall(rf"(?:\w\(|, ){name}(?=[,)])|\b{name}->", inner)):
            return False
    return True


def sets_local(line: str) -> bool:
    """True for a line that gives a variable a value."""
    return _SETS.match(line) is not None


def no_proof(edited: Edited, before: LinesTaken, after: LinesTaken) -> str:
    """Why the lack of a line that a patch takes away proves nothing; empty if nothing else comes in its place."""
    gone = [edit.text for edit in edited.edits if edit.mark == "-" and edit.text in before.texts and edit.text not in after.texts]
    more = [edit.text for edit in edited.edits if edit.mark == "+" and not after.has(edit.text) and _may_stand_for(edit.text)]
    lines = [text for text in gone if before.entry.has(text)] or gone
    if not lines or not more:
        return ""
    return f"the patch takes '{lines[0]}' away and adds '{more[0]}', which is not taken: what that does instead is not judged"


def _may_stand_for(line: str) -> bool:
    """True for a line that may do what another did: neither flow, nor a plain declaration, nor a call without a meaning."""
    if _FLOW.fullmatch(line) or line.startswith("#") or re.fullmatch(r"[A-Za-z_][\w\s*,]*;", line):
        return False
    names = [name for name in _CALL.findall(line) if name not in _WORDS_OF_C]
    words = vocabulary()
    return not names or not all(words.is_ignored(name) for name in names)
