"""The text of source files, for those who show lines of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pasidlab.lang.source import REMEMBERED


@cache
def _text_of(file: str) -> tuple[str, ...]:
    try:
        return tuple(Path(file).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


def source_text(file: str) -> tuple[str, ...]:
    """The lines of a source file, or of what was read as one from a mail or a patch; none if it cannot be read."""
    return REMEMBERED.get(file) or _text_of(file)


def source_line(file: str, line: int) -> str:
    """The text of a source line, without its indentation; empty if it cannot be read."""
    text = source_text(file)
    return text[line - 1].strip() if 0 < line <= len(text) else ""
