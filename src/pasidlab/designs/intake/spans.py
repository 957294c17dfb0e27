"""Where the functions of a C text stand, told from the kernel's habit of braces at the left margin; and its lines without comments.

A patch shows pieces of files that no parser takes. This needs nothing but whole lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ATTRIBUTES = ("__attribute__", "__printf", "__acquires", "__releases", "__must_hold", "__aligned", "__section", "noinline")
_MAKERS = re.compile(r"(?:DEFINE_\w*ENTRY\w*|(?:COMPAT_)?SYSCALL_DEFINE\d)\s*\(\s*(\w+)")
_OPENS = re.compile(r"[A-Za-z_].*\)[^=;]*\{\s*$")
_AT_ONCE = re.compile(r"[A-Za-z_][^=]*\)\s*\{.*\}\s*$")
_TABLE = re.compile(r"[A-Za-z_].*=\s*\{\s*$|(?:struct|union|enum)\s+\w*\s*\{\s*$|typedef\b.*\{\s*$")


@dataclass(frozen=True)
class FunctionSpan:
    """A function: its name, and its lines counted from 0, from the first of its heading up to, not with, ``end``."""

    name: str
    start: int
    end: int
    whole: bool = True  # its beginning and its end are both there


def function_name(heading: str) -> str:
    """The name of the function a heading declares; empty if there is none."""
    made = _MAKERS.search(heading)
    if made:
        return made.group(1)
    names = [name for name in re.findall(r"(\w+)\s*\(", heading) if name not in _ATTRIBUTES]
    return names[0] if names else ""


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
        if _AT_ONCE.match(line):
            found.append(FunctionSpan(function_name(line), n, n + 1))
            n += 1
            continue
        opens = line == "{" or (_OPENS.match(line) and not _TABLE.match(line))
        if not opens:
            n += 1
            continue
        start = n
        while start > 0 and _belongs(lines[start - 1]) and line == "{":
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
        if line[:1] == "{" or _OPENS.match(line) or _AT_ONCE.match(line) or line.startswith(("#define", "static ", "struct ", "EXPORT_")):
            return 0
    return len(lines)


def _belongs(line: str) -> bool:
    """A line above an opening bracket that is still of the heading."""
    bare = line.rstrip()
    return bool(bare) and not bare.endswith((";", "}", "*/")) and not bare.startswith("#")


def at_line(spans: Sequence[FunctionSpan], number: int) -> FunctionSpan | None:
    """The function that has a line, counted from 0."""
    return next((span for span in spans if span.start <= number < span.end), None)


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
    kept = ""
    while line:
        if inside:
            _, closed, line = line.partition("*/")
            inside = not closed
            continue
        match = re.search(r'"(?:\\.|[^"\\])*"|/\*|//', line)
        if match is None:
            return kept + line, False
        kept += line[: match.start()]
        if match.group() == "//":
            return kept, False
        inside = match.group() == "/*"
        kept += "" if inside else match.group()
        line = line[match.end() :]
    return kept, inside
