"""A directory of the run's own, reached by its descriptor alone: what the program puts in its place, or into it, is never followed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile

_PREFIX = "pasidlab-run-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OwnDirectory:
    """A new directory, locked for as long as this run lives."""

    def __init__(self) -> None:
        self.path, self.fd = _locked()

    def close(self) -> None:
        """Remove it, wherever it is by now, with all that is in it."""
        _empty(self.fd)
        with contextlib.suppress(OSError):
            os.rmdir(self.path)
        os.close(self.fd)


def make_directory(parent: int, name: str) -> int:
    """A descriptor of a new directory."""
    os.mkdir(name, dir_fd=parent)
    return os.open(name, _DIRECTORY, dir_fd=parent)


def make_file(parent: int, name: str, content: bytes = b"") -> int:
    """A descriptor of a new file: never one that exists, never where a link leads."""
    fd = os.open(name, _NEW, 0o666, dir_fd=parent)
    try:
        os.write(fd, content)
    except OSError:
        os.close(fd)
        os.unlink(name, dir_fd=parent)
        raise
    return fd


def sweep() -> None:
    """Remove what runs that were killed have left: directories whose lock nobody holds, here or in another container."""
    for name in os.listdir(tempfile.gettempdir()):
        if name.startswith(_PREFIX):
            with contextlib.suppress(OSError):  # another user's, or gone
                _sweep_one(os.path.join(tempfile.gettempdir(), name))


def _sweep_one(path: str) -> None:
    held = os.open(path, _DIRECTORY)
    try:
        if os.fstat(held).st_uid == os.geteuid():
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _empty(held)
            os.rmdir(path)
    finally:
        os.close(held)


def _locked() -> tuple[str, int]:
    while True:
        path = tempfile.mkdtemp(prefix=_PREFIX)
        try:
            held = os.open(path, _DIRECTORY)
        except FileNotFoundError:  # another run swept it before it was opened
            continue
        fcntl.flock(held, fcntl.LOCK_EX)
        if os.path.exists(path):
            return path, held
        os.close(held)  # or before it was locked


def _empty(directory: int) -> None:
    for name in os.listdir(directory):
        try:
            os.unlink(name, dir_fd=directory)
        except OSError:  # EISDIR
            shutil.rmtree(name, ignore_errors=True, dir_fd=directory)
