"""The kernel's tracefs: a mount that nobody else sees, and an instance of its own in which events are traced.

The mount is detached (fsmount(2), Linux 5.2): it has no mount point and goes away with the process, also by kill -9. What a killed
process does leave behind is its instance; the next recording removes instances that no process holds a lock on (flock(2)).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pasidlab.errors import PasidlabError

# System call numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl) and FSCONFIG_CMD_CREATE (include/uapi/linux/mount.h).
SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 430, 431, 432
FSCONFIG_CMD_CREATE = 6
CLOSE_ON_EXEC = 1
READ_BY_OTHERS = 2.0
"""Seconds for which a file of an instance may be in somebody's hands before the instance is given up."""


class Tracefs:
    """The root of tracefs, through a descriptor. Raises PasidlabError where there is none, or it may not be used."""

    def __init__(self) -> None:
        if platform.machine() != "x86_64":
            raise PasidlabError(f"x86_fpu events are those of x86-64; this machine is {platform.machine()}")
        if os.geteuid() != 0:
            raise PasidlabError("recording trace events needs root", hint="sudo pasidlab observe record ...")
        self._fd = _detached_mount()
        self.root = Path(f"/proc/self/fd/{self._fd}")

    def close(self) -> None:
        """The mount is gone."""
        os.close(self._fd)

    @contextmanager
    def instance(self) -> Iterator[Instance]:
        """An instance for this process; it is removed in the end, and those that killed recorders left are removed first."""
        folder = self.root / "instances"
        if not folder.is_dir():
            raise PasidlabError("this kernel's tracefs has no instances", hint="CONFIG_TRACING with a kernel of 3.10 or newer")
        with _locked(folder):
            for old in folder.glob("pasidlab-*"):
                _remove_if_left(old)
            try:
                path = Path(tempfile.mkdtemp(prefix=f"pasidlab-{os.getpid()}-", dir=folder))
            except OSError as error:
                raise PasidlabError(f"cannot make a trace instance: {error.strerror}") from None
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made = Instance(path)
        try:
            yield made
        finally:
            try:
                with _locked(folder):  # a recorder that begins would take an instance without a lock for one that was left
                    made.remove()
            finally:
                os.close(held)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """No other recorder makes or removes an instance meanwhile."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_if_left(old: Path) -> None:
    """Remove an instance whose recorder is gone: a live one holds a lock on it, whatever namespace it is in."""
    with suppress(OSError):  # somebody reads it
        handle = os.open(old, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(handle)
        Instance(old).remove()


def _detached_mount() -> int:
    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *args: object) -> int:
        result: int = libc.syscall(number, *args)
        if result < 0:
            code = ctypes.get_errno()
            why = "this kernel has no tracefs" if code == errno.ENODEV else os.strerror(code)
            raise PasidlabError(f"cannot mount tracefs: {why}", hint="a kernel with CONFIG_FTRACE, and root outside a container")
        return result

    context = call(SYS_FSOPEN, b"tracefs", CLOSE_ON_EXEC)
    try:
        call(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        return call(SYS_FSMOUNT, context, CLOSE_ON_EXEC, 0)
    finally:
        os.close(context)


class Instance:
    """One trace instance: buffers, events and options of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str) -> None:
        """Write a control file. OSError is the kernel's refusal."""
        handle = os.open(self.path / name, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(handle, text.encode())
        finally:
            os.close(handle)

    def append(self, name: str, text: str) -> None:
        """Add a line to a control file that holds several. OSError is the kernel's refusal."""
        handle = os.open(self.path / name, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, f"{text}\n".encode())
        finally:
            os.close(handle)

    def read(self, name: str) -> str:
        """The text of a control file."""
        return (self.path / name).read_text(encoding="utf-8", errors="backslashreplace")

    def has_event(self, name: str) -> bool:
        """True if the kernel has this event, ``system/event``."""
        return (self.path / "events" / name).is_dir()

    def cpus(self) -> list[int]:
        """The CPUs that have a buffer."""
        return sorted(int(entry.name.removeprefix("cpu")) for entry in (self.path / "per_cpu").iterdir())

    def remove(self) -> None:
        """Everything is switched off, then the instance is removed. OSError where it cannot be.

        One of whose files somebody reads is EBUSY (instance_rmdir(), kernel/trace/trace.c, v6.12).
        """
        for name, text in (("tracing_on", "0"), ("events/enable", "0"), ("current_tracer", "nop"), ("set_ftrace_filter", "")):
            with suppress(OSError):
                self.write(name, text)
        end = time.monotonic() + READ_BY_OTHERS
        while True:
            try:
                return self.path.rmdir()
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
            time.sleep(0.01)
