"""Files that a command was asked to write: tried before the work begins, written whole or not at all when it is done."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pasidlab.errors import PasidlabError

ODD = "backslashreplace"
"""How bytes of file names that are no text are written."""
HELD: set[int] = set()
"""Standard streams that were closed when the command began: /dev/null holds their places."""


def must_be_writable(path: str) -> None:
    """Raises PasidlabError if the file cannot be written: the folder is tried with a file that is gone at once."""
    target = _target(path)
    try:
        if target.is_dir():
            raise PasidlabError(f"cannot write {path}: it is a directory")
        if not target.parent.is_dir():
            raise PasidlabError(f"cannot write {path}: no such directory", hint=f"mkdir -p {target.parent}")
        if target.exists() and not os.access(target, os.W_OK):
            raise PasidlabError(f"cannot write {path}: permission denied")
        if _is_replaced(target):
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=_prefix(target)):
                pass
    except OSError as error:
        raise _cannot(path, error) from None


def write(path: str, text: str) -> None:
    """Write a file, UTF-8: beside its place first, and then there, so that a reader finds the old text or the new one.

    What is no regular file (a pipe, a terminal) is written to. Raises PasidlabError if it cannot be written; the old text is still there.
    """
    target = _target(path)
    try:
        if not _is_replaced(target):
            target.write_text(text, encoding="utf-8", errors=ODD)
            return
        _replace(target, text)
    except OSError as error:
        raise _cannot(path, error) from None


def _replace(target: Path, text: str) -> None:
    handle, beside = tempfile.mkstemp(dir=target.parent, prefix=_prefix(target))
    try:
        with open(handle, "w", encoding="utf-8", errors=ODD) as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        os.chmod(beside, target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _target(path: str) -> Path:
    """The file itself: a symbolic link stays one. What a descriptor leads to (``/dev/fd/3``) may have no name of its own."""
    named = Path(os.path.abspath(path))
    return named if named.is_relative_to("/dev") or named.is_relative_to("/proc") else Path(os.path.realpath(path))


def _is_replaced(target: Path) -> bool:
    """True for a regular file, or none yet, that has a name of its own."""
    return not target.is_symlink() and (target.is_file() or not target.exists())


def _prefix(target: Path) -> str:
    """Of the file written beside its place; short, since the names of a folder have a limit."""
    return f".{target.name[:40]}."


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _cannot(path: str, error: OSError) -> PasidlabError:
    return PasidlabError(f"cannot write {path}: {error.strerror or error}")
