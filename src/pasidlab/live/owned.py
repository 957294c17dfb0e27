"""A directory of the run's own, reached by its descriptor alone: what the program puts in its place, or into it, is never followed."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import stat
import tempfile
from collections.abc import Callable

from pasidlab.live.descriptors import open_file

_PREFIX, _MARK = "pasidlab-run-", ".of-a-run"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


_SPARE = 2  # descriptors that ``_brought_up`` needs at once


class OwnDirectory:
    """A new directory, locked for as long as this run lives. It can be removed where no descriptor is left, too."""

    def __init__(self) -> None:
        self.path, self.fd = _locked()
        self._spare: list[int] = []
        with contextlib.ExitStack() as undone:
            undone.callback(self.close)
            for _ in range(_SPARE):
                self._spare.append(open_file(os.devnull, os.O_PATH))
            undone.pop_all()

    def mark(self) -> None:
        """From now on a later run may remove it with all that is in it, if this one is killed. OSError if there is no room."""
        os.close(make_file(self.fd, _MARK))

    def close(self, removed: Callable[[], None] = lambda: None) -> None:
        """Remove it, wherever it is by now, with all that is in it. ``removed`` is called for each file."""
        while self._spare:
            os.close(self._spare.pop())
        with contextlib.suppress(OSError):
            _empty(self.fd, removed)
        _remove(self.path)
        os.close(self.fd)


def make_directory(parent: int, name: str) -> int:
    """A descriptor of a new directory."""
    os.mkdir(name, dir_fd=parent)
    return open_file(name, _DIRECTORY, directory=parent)


def make_file(parent: int, name: str, content: bytes = b"") -> int:
    """A descriptor of a new file: never one that exists, never where a link leads."""
    fd = open_file(name, _NEW, directory=parent)
    try:
        os.write(fd, content)
    except OSError:
        os.close(fd)
        os.unlink(name, dir_fd=parent)
        raise
    return fd


def make_socket(parent: int, name: str) -> None:
    """A file that nobody can open (ENXIO): a socket without an owner."""
    os.mknod(name, stat.S_IFSOCK | 0o666, dir_fd=parent)


def sweep() -> None:
    """Remove what runs that were killed have left: directories whose lock nobody holds, here or in another container. One that is not empty
    and has not our mark is the user's.
    """
    names: list[str] = []
    with contextlib.suppress(OSError):  # no descriptor is left: the next run does it
        names = os.listdir(tempfile.gettempdir())
    for name in names:
        if name.startswith(_PREFIX):
            with contextlib.suppress(OSError):  # another user's, or gone
                _sweep_one(os.path.join(tempfile.gettempdir(), name))


def _sweep_one(path: str) -> None:
    held = os.open(path, _DIRECTORY)
    try:
        if os.fstat(held).st_uid == os.geteuid():
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _MARK in os.listdir(held):
                _empty(held)
            os.rmdir(path)  # only what is empty
    finally:
        os.close(held)


def _locked() -> tuple[str, int]:
    while True:
        path = os.path.realpath(tempfile.mkdtemp(prefix=_PREFIX))  # as /proc shows it
        with contextlib.ExitStack() as undone:
            undone.callback(_remove, path)
            try:
                held = open_file(path, _DIRECTORY)
            except FileNotFoundError:  # another run swept it before it was opened
                continue
            undone.callback(os.close, held)
            fcntl.flock(held, fcntl.LOCK_EX)
            if os.path.exists(path):  # it was not swept before it was locked
                undone.pop_all()
                return path, held


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _empty(directory: int, removed: Callable[[], None] = lambda: None) -> None:
    """Remove what is in a directory, however deep. What cannot be removed is left, and so is what is mounted in there.

    Our mark goes last: until then another run may take over.
    """
    _empty_but_mark(directory, removed)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_MARK, dir_fd=directory)


def _empty_but_mark(directory: int, removed: Callable[[], None]) -> None:
    names, prefix = os.listdir(directory), os.urandom(8).hex()
    for number in itertools.count():
        if not names:
            return
        name = names.pop()
        if name == _MARK:
            continue
        removed()
        try:
            os.unlink(name, dir_fd=directory)
        except OSError:  # EISDIR
            with contextlib.suppress(OSError):
                names += _brought_up(directory, name, f"{prefix}-{number}")
                os.rmdir(name, dir_fd=directory)


def _brought_up(directory: int, name: str, prefix: str) -> list[str]:
    """The new names, in ``directory`` itself, of what was in its directory ``name``. What is mounted there cannot be moved (EXDEV)."""
    inside, moved = os.open(name, _DIRECTORY, dir_fd=directory), []
    try:
        for number, entry in enumerate(os.listdir(inside)):
            with contextlib.suppress(OSError):
                os.rename(entry, f"{prefix}-{number}", src_dir_fd=inside, dst_dir_fd=directory)
                moved.append(f"{prefix}-{number}")
    finally:
        os.close(inside)
    return moved
