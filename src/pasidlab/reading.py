"""Files that the user names, opened for reading: what has no end, and what acts when it is opened, is none."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, BinaryIO

from pasidlab.errors import PasidlabError, Position

_KINDS = {
    stat.S_IFDIR: "a directory", stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
}  # fmt: skip
MOST_BYTES = 1 << 28
"""Read of a file that has no narrower limit."""
_MOST_TOML = 1 << 20  # bytes
_DEEPEST, _MOST_PARTS, _MOST_DIGITS = 50, 100, 100
"""Of TOML: brackets in each other; parts of a key, for n of which tomllib takes time that grows with the square of n; of a number."""
_TOML = re.compile(
    r'"""(?:\\[\s\S]|(?!""")[^\\])*+(?:""")?|"(?:\\.|[^"\\\n])*+"?|'
    r"'''(?:(?!''')[\s\S])*+(?:''')?|'[^'\n]*+'?|#.*|\d[\d_]*+|[\[\]{}.=,\n]"
)
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


def opened(path: str | Path, *, pipes: bool = True) -> BinaryIO:
    """A regular file, or a pipe (bash writes ``<(command)``), which ends when its writer does. OSError if that fails.

    PasidlabError for anything else. A device is not even opened.
    """
    _must_be_file(path, os.stat(path), pipes)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY), "rb")
    try:
        _must_be_file(path, os.fstat(file.fileno()), pipes)  # it may be another by now
    except PasidlabError:
        file.close()
        raise
    return file


def content(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """All bytes of a file that ``opened`` opens. PasidlabError if there are more than ``most``."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise PasidlabError(f"{path} is too large: at most {_amount(most)} are read")
    return data


def toml(path: str | Path, hint: str = "") -> tuple[dict[str, Any], str]:
    """The document in a TOML file, and its text. PasidlabError, with its place, for what is none, and for what nobody writes."""
    try:
        text = content(path, _MOST_TOML).decode()
    except OSError as error:
        raise PasidlabError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PasidlabError(f"{path} is not TOML: it is not UTF-8 text", hint=hint) from None
    _must_be_flat(text, str(path), hint)
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        what, place = str(error), _PLACE.search(str(error))
        position = Position(str(path), int(place[1]), int(place[2])) if place else Position(str(path), text.count("\n") + 1)
        raise PasidlabError(f"this is not TOML: {what.partition(' (at ')[0]}", position=position, hint=hint) from None


def _must_be_flat(text: str, file: str, hint: str) -> None:
    """Raises PasidlabError for brackets, keys and numbers that tomllib meets with a traceback, or takes minutes for."""
    line, depth, parts = 1, 0, 0
    for found in _TOML.finditer(text):
        token = found[0]
        depth += (token in "[{") - (token in "]}")
        parts = parts + 1 if token == "." else 0 if token in "=,\n[]{}" else parts
        if depth > _DEEPEST or parts > _MOST_PARTS:
            raise PasidlabError("this is nested too deeply", position=Position(file, line), hint=hint)
        if token[0].isdecimal() and len(token) > _MOST_DIGITS:
            raise PasidlabError(f"a number of {len(token)} digits", position=Position(file, line), hint=hint)
        line += token.count("\n")


def _must_be_file(path: str | Path, status: os.stat_result, pipes: bool) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG and not (pipes and kind == stat.S_IFIFO):
        hint = "name a file, or a pipe" if pipes else "name a file"
        raise PasidlabError(f"cannot read {path}: it is {_KINDS.get(kind, 'of no known kind')}", hint=hint)


def _amount(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"
