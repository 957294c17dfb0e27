"""Files that a command was asked to write: looked at before the work begins, written when it is done."""

from __future__ import annotations

import os
from pathlib import Path

from pasidlab.errors import PasidlabError


def must_be_writable(path: str) -> None:
    """Raises PasidlabError if the file cannot be written, as far as that can be told without touching it."""
    place = Path(path)
    if place.is_dir():
        raise PasidlabError(f"cannot write {path}: it is a directory")
    if not place.parent.is_dir():
        raise PasidlabError(f"cannot write {path}: no such directory", hint=f"mkdir -p {place.parent}")
    if not os.access(place if place.exists() else place.parent, os.W_OK):
        raise PasidlabError(f"cannot write {path}: permission denied")


def write(path: str, text: str) -> None:
    """Write a file, UTF-8. Raises PasidlabError if it cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PasidlabError(f"cannot write {path}: {error.strerror}") from None
