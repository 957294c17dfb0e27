"""A function as plain text: one statement a line, without comments and without what nobody asks for."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

from pasidlab.lang.c.territory import territory
from pasidlab.lang.c.vocabulary import vocabulary

_STRING = r'"(?:\\.|[^"\\])*"'
_TOKEN = re.compile(rf"{_STRING}|'(?:\\.|[^'\\])+'|\w+|->|\+\+|--|<<=|>>=|<<|>>|[-+*/%&|^<>=!]=|&&|\|\||\#\#|\S")
_ASKS = re.compile(r"(?:else )?if \((?:[^=]|[=!<>]=)*\)")  # a condition that assigns nothing
_CALL = re.compile(r"\b(\w+)\s*\(")


def plain_text(bare: Sequence[str]) -> str:
    """The text of a function whose lines have no comments (``bare_lines``)."""
    lines = _shown(joined(bare))
    first = next((n for n, line in enumerate(lines) if line.endswith("{")), 0)
    inner = range(first + 1, len(lines) - 1)
    return "".join(f"\t{line}\n" if n in inner else f"{line}\n" for n, line in enumerate(lines))


def joined(bare: Sequence[str]) -> list[str]:
    """The lines, as many as before. A statement of several lines stands in its first; the others are empty."""
    found = list(bare)
    start, depth = 0, 0
    for n, line in enumerate(bare):
        directive = line.startswith("#")
        if not depth or directive:
            start = n
        else:
            found[start], found[n] = f"{found[start].rstrip(chr(92))} {line}", ""
        if not directive:
            code = re.sub(_STRING, "", line)
            depth = max(0, depth + code.count("(") - code.count(")"))
    return found


def tokens(text: str) -> list[re.Match[str]]:
    """The words and signs of a text, where they stand."""
    return list(_TOKEN.finditer(text))


def _shown(lines: Iterable[str]) -> list[str]:
    """Without calls that show something to people, and without conditions that nothing but such a call depends on."""
    found: list[str] = []
    for line in (without_messages(line) for line in lines if line):
        if line == ";" and found and _ASKS.fullmatch(found[-1]):
            found.pop()
        elif line != ";" or (found and not found[-1].endswith((";", "{", "}", ":"))):
            found.append(line)
    return found


def without_messages(line: str) -> str:
    """A statement without its calls of what is only seen by people; a lone ``;`` where nothing else was in it."""
    for match in _CALL.finditer(line):
        end = _closing(line, match.end())
        if _is_unseen(match.group(1)) and end and line[end:].lstrip().startswith(";"):
            rest = line[end:].lstrip()
            return without_messages(f"{line[: match.start()]}{rest}".strip())
    return line


def _closing(line: str, at: int) -> int:
    """Where the bracket that is opened before ``at`` has been closed; 0 if it is not."""
    depth = 1
    for token in _TOKEN.finditer(line, at):
        depth += (token.group() == "(") - (token.group() == ")")
        if not depth:
            return token.end()
    return 0


def _is_unseen(name: str) -> bool:
    ignored, unseen = vocabulary().ignored, territory().unseen
    why = ignored.get(name) or next((why for glob, why in ignored.items() if "*" in glob and fnmatch.fnmatchcase(name, glob)), "")
    return why in unseen
