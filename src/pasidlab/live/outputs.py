"""Where ``pasidlab run`` puts its own data: a file or a descriptor that the program does not write to as well."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from typing import IO, BinaryIO

from pasidlab.errors import PasidlabError, printable
from pasidlab.output import HELD, must_be_writable

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_TOLD_EVERY = 2.0  # seconds
_STREAMS = {1: "standard output", 2: "standard error"}


def must_be_our_own(option: str, path: str) -> None:
    """Raises PasidlabError if ``path`` cannot be written, or is where the program's own output goes.

    A descriptor (/dev/fd/3) is kept from the program: its reader sees the end of the data when pasidlab ends.
    """
    hint = f"{option} FILE, or a descriptor of its own: {option} /dev/fd/3 3>FILE"
    if path == "-":
        raise PasidlabError(f"{option} -: standard output is the program's", hint=hint)
    descriptor = _DESCRIPTOR.fullmatch(path)
    if descriptor and not os.path.exists(path):
        raise PasidlabError(f"{option} {path}: descriptor {descriptor[1]} is not open", hint=hint)
    for number, name in _STREAMS.items():
        if _is_same(path, number):
            raise PasidlabError(f"{option} {path}: that is {name}, which is the program's", hint=hint)
    if descriptor:
        os.set_inheritable(int(descriptor[1]), False)
    else:
        must_be_writable(path)


def hold_for_nobody_else() -> None:
    """The program finds those standard streams closed that were closed."""
    for number in HELD:
        os.set_inheritable(number, False)


def tell(text: str) -> None:
    """One message on standard error, if that is there and takes it."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(printable(text, "\n"), file=sys.stderr, flush=True)


class TerminalTeller:
    """Tells somebody at a terminal about what lasts, every other second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _TOLD_EVERY

    def told(self, text: str) -> None:
        """Tells the text on a terminal, unless one was told a moment ago."""
        if time.monotonic() >= self._next and sys.stderr is not None and sys.stderr.isatty():
            self._next = time.monotonic() + _TOLD_EVERY
            tell(f"pasidlab run: {text}")


def must_differ(files: dict[str, str | None]) -> None:
    """Raises PasidlabError if two options (with their files, None where not given) name the same file."""
    seen: dict[str, str] = {}
    for option, path in files.items():
        if path is None or path == os.devnull:
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise PasidlabError(f"{other} and {option} both write {path}", hint="give each a file of its own")


class LaterFile:
    """A file that is written when the program has run, or while it runs. Its folder is held from the start, and no link is followed that
    the program puts in its place. OSError if the folder cannot be opened.
    """

    def __init__(self, path: str) -> None:
        real = os.path.realpath(path)
        self.path, self.name, self._waits = path, os.path.basename(real), _is_pipe(path)
        self.folder = os.open(os.path.dirname(real), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, text: str) -> None:
        """The text is all of it. The reader of a FIFO is waited for if the user has named one. Raises PasidlabError if it fails."""
        flags = _NEW | os.O_NOFOLLOW | (0 if self._waits else os.O_NONBLOCK)
        try:
            with _opened(self.path, lambda: os.open(self.name, flags, 0o666, dir_fd=self.folder)) as file:
                file.write(text)
        except OSError as error:
            raise PasidlabError(f"cannot write {self.path}: {error.strerror}") from None

    def replace(self, fill: Callable[[BinaryIO], None]) -> None:
        """Written whole or not at all, beside its place first; for its owner alone. OSError if that fails."""
        beside = f".{self.name[:100]}.{os.urandom(8).hex()}"
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.folder)
        try:
            with open(handle, "wb") as file:
                fill(file)
            os.replace(beside, self.name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=self.folder)
            raise


def opened_output(path: str) -> IO[str]:
    """The file, or the descriptor itself (opening /dev/fd/3 anew may be forbidden), for writing. OSError if it fails."""
    return _opened(path, lambda: os.open(path, _NEW, 0o666))


def _opened(path: str, opener: Callable[[], int]) -> IO[str]:
    descriptor = _DESCRIPTOR.fullmatch(path)
    return open(os.dup(int(descriptor[1])) if descriptor else opener(), "w", encoding="utf-8")


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False


def _is_same(path: str, number: int) -> bool:
    """Whether ``path`` is what the descriptor leads to. /dev/null swallows both."""
    try:
        here, there = os.stat(path), os.fstat(number)
    except OSError:
        return False
    return os.path.samestat(here, there) and not os.path.samestat(here, os.stat(os.devnull))
