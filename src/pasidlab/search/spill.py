"""Files for what memory does not hold: mapped into the address space, so that the compiled loops see memory.

The files have no names, so nothing is left of them when the process ends, however it ends. Where the file system cannot make such files
they are unlinked as soon as they are open; ``Spill`` removes what a kill between the two left. The room of a file is reserved before
it is used: a full disk is an error then, and never a fault in the middle of a write.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pasidlab.errors import PasidlabError

_NAMED = ".pasidlab-spill-"  # a file of this name is nobody's: its owner unlinks it at once


class DiskFull(MemoryError):
    """The folder has no room for a file, or an error of its file system keeps it from having one."""


class Spill:
    """A folder that takes what memory does not hold."""

    def __init__(self, directory: Path) -> None:
        """Make the folder if there is none. PasidlabError if no file can be made in it."""
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for left in directory.glob(f"{_NAMED}*"):
                left.unlink(missing_ok=True)
            os.close(self._file())
        except OSError as error:
            what = f"cannot write to --spill {directory}: {error.strerror or error}"
            raise PasidlabError(what, hint="a folder on a disk with room for the states") from None

    def open(self, size: int) -> int:
        """Descriptor of a new file of ``size`` bytes, all zero and reserved. Raises DiskFull."""
        try:
            descriptor = self._file()
        except OSError as error:
            raise DiskFull(f"{self.directory}: {error.strerror or error}") from None
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            os.close(descriptor)
            raise DiskFull(f"{self.directory}: {error.strerror or error}") from None
        return descriptor

    def _file(self) -> int:
        """Descriptor of a new file without a name."""
        with suppress(OSError, AttributeError):  # not every file system has it, and only Linux
            return os.open(self.directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        name = self.directory / f"{_NAMED}{os.getpid()}-{os.urandom(4).hex()}"
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        name.unlink(missing_ok=True)
        return descriptor
