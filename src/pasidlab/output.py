"""Files that a command was asked to write: looked at before the work begins, written when it is done."""

from __future__ import annotations

import json
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


def write_json(path: str, document: object) -> None:
    """Write a document. Raises PasidlabError if the file cannot be written."""
    try:
        Path(path).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise PasidlabError(f"cannot write {path}: {error.strerror}") from None
