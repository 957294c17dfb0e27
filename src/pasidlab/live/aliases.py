"""Other names of an open file: those of descriptors under /proc and /dev, and who else has it open."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import signal
import stat

from pasidlab.live.descriptors import open_file
from pasidlab.live.state import Thread

_NAME = re.compile(r"/proc/(self|thread-self|\d+)(?:/task/(\d+))?/fd/(\d{1,10})")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
AT_FDCWD = 0xFFFFFFFF - 99


def descriptor_named(thread: Thread, path: str, directory: int) -> tuple[int, int] | None:
    """The task and its descriptor that a path stands for, as the thread sees it; ``directory``: of openat(2). None if it names none."""
    if not os.path.basename(path).isdecimal() and path not in _STANDARD:
        return None
    path = os.path.normpath(absolute(thread, path, directory))
    path = f"/proc/self/fd/{_STANDARD[path]}" if path in _STANDARD else path
    found = _NAME.fullmatch(path.replace("/dev/fd/", "/proc/self/fd/", 1) if path.startswith("/dev/fd/") else path)
    if not found:
        return None
    if found[1] in ("self", "thread-self"):
        task = thread.tid if found[1] == "thread-self" else thread.process.pid
    elif _has_our_numbers(thread):
        task = int(found[2] or found[1])
    else:
        return None
    return task, int(found[3])


def absolute(thread: Thread, path: str, directory: int) -> str:
    """The path from the root on; ``directory``: of openat(2). It stays as it is where nothing, or no directory, is named."""
    base = "cwd" if directory & 0xFFFFFFFF == AT_FDCWD else f"fd/{directory & 0xFFFFFFFF}"
    if path and not path.startswith("/"):
        with contextlib.suppress(OSError):
            return os.path.join(os.readlink(f"/proc/{thread.tid}/{base}"), path)
    return path


def _has_our_numbers(thread: Thread) -> bool:
    """Whether the thread is in our pid namespace."""
    try:
        return os.readlink(f"/proc/{thread.tid}/ns/pid") == os.readlink("/proc/self/ns/pid")
    except OSError:
        return False


def has_others(directory: int, name: str) -> bool | None:
    """Whether a file is open: a write lease is given for one that nobody else has (check_conflicting_open(), fs/locks.c, v6.12). None
    where there are no leases, or the file is gone.
    """
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            return None
        file = open_file(name, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW, directory=directory)
    except OSError:
        return None
    try:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # if another opens it meanwhile; ignored by default
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    finally:
        os.close(file)
    return False
