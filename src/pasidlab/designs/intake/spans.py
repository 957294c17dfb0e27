"""Where the functions of a C text stand, told from the kernel's habit of braces at the left margin; and its lines without comments.

A patch shows pieces of files that no parser takes. This needs nothing but whole lines.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_ATTRIBUTES = ("__attribute__", "__printf", "__acquires", "__releases", "__must_hold", "__aligned", "__section", "noinline")
_CALLED = re.compile(r"\b(\w+)\s*\(")
_FIRST = re.compile(r"\b(\w+)\s*\((?=\s*(\w+))")
_NAME = re.compile(r"[A-Za-z_]")
_BODY = re.compile(r"\)\s*\{")
_SYSCALL = re.compile(r"SYSCALL_DEFINE\d$")
_NOT_INSIDE = ("{", "#define", "static ", "struct ", "typedef ", "EXPORT_")

_MARKS = re.compile(r'"(?:\\.|[^"\\])*("|$)|/\*|//')
_COMMENTS = re.compile(r"/\*|//")


@dataclass(frozen=True)
class FunctionSpan:
    """A function: its name, and its lines counted from 0, from the first of its heading up to, not with, ``end``."""

    name: str
    start: int
    end: int
    whole: bool = True  # its beginning and its end are both there


def function_name(heading: str) -> str:
    """The name of the function a heading declares; empty if there is none."""
    for maker, name in _FIRST.findall(heading):
        if "ENTRY" in maker.partition("DEFINE_")[2] or _SYSCALL.search(maker):
            return str(name)
    names = [name for name in _CALLED.findall(heading) if name not in _ATTRIBUTES]
    return names[0] if names else ""


def _opens(line: str) -> bool:
    """True for ``int f(void) {``, and no table of values: behind the last ``)`` there is neither ``=`` nor ``;``."""
    head, bracket, rest = line.rstrip().rpartition("{")
    before, closed, behind = head.rpartition(")")
    heading = bracket and closed and before and not rest and _NAME.match(line)
    return bool(heading) and not ("=" in behind or ";" in behind or head.startswith("typedef "))


def _at_once(line: str) -> bool:
    """True for ``int f(void) { return 1; }``: no ``=`` comes before the body."""
    body = _BODY.search(line, 1)
    return body is not None and bool(_NAME.match(line)) and line.rstrip().endswith("}") and "=" not in line[: body.start()]


def functions_in(lines: Sequence[str], heading: str = "") -> list[FunctionSpan]:
    """The functions of a text. ``heading``: what a hunk says it begins in, for a text that begins inside a function."""
    found: list[FunctionSpan] = []
    n = 0
    inside = begins_inside(lines)
    if inside:
        name = function_name(heading)
        if name:
            found.append(FunctionSpan(name, 0, inside, False))
        n = inside
    while n < len(lines):
        line = lines[n].rstrip()
        if _at_once(line):
            found.append(FunctionSpan(function_name(line), n, n + 1))
            n += 1
            continue
        if line != "{" and not _opens(line):
            n += 1
            continue
        start = n
        while start > (found[-1].end if found else 0) and _belongs(lines[start - 1]) and line == "{":
            start -= 1
        end = next((k + 1 for k in range(n + 1, len(lines)) if lines[k].startswith("}")), None)
        name = function_name(" ".join(lines[start : n + 1]))
        if name:
            found.append(FunctionSpan(name, start, end or len(lines), end is not None))
        n = end or len(lines)
    return found


def begins_inside(lines: Sequence[str]) -> int:
    """How many lines at the beginning belong to a function whose heading is not there."""
    for n, line in enumerate(lines):
        if line.startswith("}"):
            return n + 1
        if line.startswith(_NOT_INSIDE) or _opens(line) or _at_once(line):
            return 0
    return len(lines)


def _belongs(line: str) -> bool:
    """A line above an opening bracket that is still of the heading."""
    bare = line.rstrip()
    return bool(bare) and not bare.endswith((";", "}", "*/")) and not bare.startswith("#")


def at_line(spans: Sequence[FunctionSpan], number: int) -> FunctionSpan | None:
    """The function that has a line, counted from 0; ``spans`` are in their order."""
    place = bisect_right(spans, number, key=lambda span: span.start) - 1
    return spans[place] if place >= 0 and number < spans[place].end else None


def bare_lines(lines: Sequence[str]) -> list[str]:
    """The lines without comments, spaces at their ends, and more than one space between words. As many as there were."""
    found = []
    torn = next((("*/" in line) for line in lines if "/*" in line or "*/" in line), False)
    first = next((line for line in lines if "/*" in line or "*/" in line), "")
    inside = torn and "/*" not in first.split("*/")[0]
    for line in lines:
        text, inside = _without_comment(line, inside)
        if re.match(r"\s*\*(\s|$|/)", text):  # the middle of a comment whose ends are not there
            text = ""
        found.append(" ".join(text.split()))
    return found


def _without_comment(line: str, inside: bool) -> tuple[str, bool]:
    """A line without its comments, and whether one goes on in the next."""
    kept: list[str] = []
    at, marks = 0, _MARKS
    while True:
        if inside:
            end = line.find("*/", at)
            if end < 0:
                return "".join(kept), True
            inside, at = False, end + 2
        match = marks.search(line, at)
        if match is None:
            return "".join(kept) + line[at:], False
        if match[0][0] == '"' and not match[1]:  # a string that does not end here is none
            kept.append(line[at : match.start() + 1])
            at, marks = match.start() + 1, _COMMENTS
            continue
        kept.append(line[at : match.end() if match[0][0] == '"' else match.start()])
        if match[0] == "//":
            return "".join(kept), False
        inside, at = match[0] == "/*", match.end()
