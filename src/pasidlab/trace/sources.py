"""The text of source files, for those who show lines of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

Shown = Mapping[str, tuple[str, ...]]
"""Lines of what is no file by its name, as ``Design.shown`` has them."""


@cache
def _text_of(file: str) -> tuple[str, ...]:
    try:
        return tuple(Path(file).read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return ()


def source_text(file: str, shown: Shown) -> tuple[str, ...]:
    """The lines of a source file, or of what was read as one from a mail or a patch; none if it cannot be read."""
    return shown.get(file) or _text_of(file)


def source_line(file: str, line: int, shown: Shown) -> str:
    """The text of a source line, without its indentation; empty if it cannot be read."""
    text = source_text(file, shown)
    return text[line - 1].strip() if 0 < line <= len(text) else ""
