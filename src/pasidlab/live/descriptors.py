"""What pasidlab itself opens. Where no descriptor is left, the run ends at once.

``OutOfDescriptors`` is no OSError: whoever asks whether a process is gone must not take our own limit for its death.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from io import FileIO
from typing import TextIO

from pasidlab.errors import PasidlabError

_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class OutOfDescriptors(PasidlabError):
    """The limit on descriptors, of pasidlab or of the host, is reached."""

    def __init__(self, error: int) -> None:
        super().__init__(f"pasidlab has no file descriptor left: {os.strerror(error)}", hint="a higher limit: ulimit -n")


def must_be_no_limit(error: OSError) -> None:
    """Raises OutOfDescriptors if that is what the error says (open(2): EMFILE, ENFILE)."""
    if error.errno in _NO_DESCRIPTOR:
        raise OutOfDescriptors(error.errno) from None


@contextlib.contextmanager
def limit_told() -> Iterator[None]:
    """An OSError that says that no descriptor is left becomes OutOfDescriptors."""
    try:
        yield
    except OSError as error:
        must_be_no_limit(error)
        raise


def text_file(path: str) -> TextIO:
    """A file to read as text, in which any byte may stand. Raises OSError, OutOfDescriptors."""
    try:
        return open(path, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        must_be_no_limit(error)
        raise


def binary_file(path: str, *, to_write: bool = False) -> FileIO:
    """A file to read, or to read and write, without a buffer. Raises OSError, OutOfDescriptors."""
    try:
        return FileIO(path, "r+b" if to_write else "rb")
    except OSError as error:
        must_be_no_limit(error)
        raise


def open_file(path: str, flags: int, mode: int = 0o666, *, directory: int | None = None) -> int:
    """A descriptor as of open(2), or of openat(2) from ``directory``. Raises OSError, OutOfDescriptors."""
    with limit_told():
        return os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=directory)


def names_in(directory: str | int) -> list[str]:
    """The names in a directory, in no order. Raises OSError, OutOfDescriptors."""
    with limit_told():
        return os.listdir(directory)


def pidfd_of(pid: int) -> int:
    """A descriptor that stands for a process (pidfd_open(2)). Raises OSError, OutOfDescriptors."""
    with limit_told():
        return os.pidfd_open(pid)


def restore_limit(limits: tuple[int, int]) -> None:
    """The limits on descriptors, soft and hard, as they were. The program may have lowered the hard one (prlimit(2)): then up to that."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = min(limits[1], hard) if hard != resource.RLIM_INFINITY else limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], most), most))
