"""The files an input is read from: those on the disk, or their texts as they were carried here from elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pasidlab import reading
from pasidlab.errors import PasidlabError
from pasidlab.lang.c.tokens import check_size

STANDARD_INPUT = "-"
MOST_BYTES = 4_000_000  # read of a file: one more than this is too much


class Files:
    """Reads files by name, and keeps what was read in ``read``. Where texts are given, the disk is not looked at.

    ``shown`` has the lines of what is no file by its name: standard input, or a kernel file with a patch applied.

    A text stands for bytes: those that are not UTF-8 are kept as lone surrogates (PEP 383).
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self.given = dict(given or {})
        self.read: dict[str, str] = {}
        self.shown: dict[str, tuple[str, ...]] = {}

    def data(self, name: str) -> bytes:
        """The bytes of a file; ``-`` is standard input. PasidlabError if it cannot be read or is too large."""
        if self.given:
            found = self._given(name)
        else:
            found = _standard_input() if name == STANDARD_INPUT else _on_disk(Path(name))
        check_size(len(found), "<stdin>" if name == STANDARD_INPUT else name)
        self.read[name] = found.decode("utf-8", "surrogateescape")
        return found

    def text(self, name: str) -> str:
        """The text of a file. PasidlabError also if it is no text."""
        try:
            return self.data(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise PasidlabError(f"{name} is not a text file (byte {error.start} is not UTF-8)") from None

    def is_file(self, name: str) -> bool:
        """True if there is a file of that name."""
        return name in self.given if self.given else Path(name).is_file()

    def is_dir(self, name: str) -> bool:
        """True if there is a folder of that name."""
        return any(one.startswith(f"{name}/") for one in self.given) if self.given else Path(name).is_dir()

    def _given(self, name: str) -> bytes:
        if name not in self.given:
            raise PasidlabError(f"no such file: {name}")
        text = self.given[name]
        self.shown[name] = tuple(text.splitlines())
        return text.encode("utf-8", "surrogateescape")


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise PasidlabError("standard input is closed", hint="name a file, or let one be read: - < fix.c")
    try:
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    except OSError as error:
        raise PasidlabError(f"cannot read standard input: {error.strerror or error}") from None


def _on_disk(path: Path) -> bytes:
    try:
        with reading.opened(path) as file:
            check_size(os.fstat(file.fileno()).st_size, str(path))
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise PasidlabError(f"no such file: {path}") from None
    except OSError as error:
        raise PasidlabError(f"cannot read {path}: {error.strerror}") from None
