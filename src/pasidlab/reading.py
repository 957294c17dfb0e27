"""Files that the user names, opened for reading: what has no end, and what acts when it is opened, is none."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from pasidlab.errors import PasidlabError

_KINDS = {
    stat.S_IFDIR: "a directory", stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device", stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
}  # fmt: skip
MOST_BYTES = 1 << 28
"""Read of a file that has no narrower limit."""


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


def _must_be_file(path: str | Path, status: os.stat_result, pipes: bool) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG and not (pipes and kind == stat.S_IFIFO):
        hint = "name a file, or a pipe" if pipes else "name a file"
        raise PasidlabError(f"cannot read {path}: it is {_KINDS.get(kind, 'of no known kind')}", hint=hint)


def _amount(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"
