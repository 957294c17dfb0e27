"""Which pages of a process are in memory: /proc/PID/pagemap, kept open for the address spaces that were asked for last."""

from __future__ import annotations

import ctypes
import os
from collections import OrderedDict

import numpy as np

from pasidlab.live.descriptors import OutOfDescriptors, open_file
from pasidlab.live.libc import PAGE, SYS_MOVE_PAGES, libc

_ENTRIES = 65536  # at once: 8 bytes for a page, Documentation/admin-guide/mm/pagemap.rst
_TOP = 1 << 47 - 12  # pages of user space: nothing beyond is present
_PRESENT = b"\x80"  # the last byte of an entry, or more


class Pagemaps:
    """An open file stands for the address space its process had then (pagemap_open(), fs/proc/task_mmu.c), whoever has the number later.
    The file does not keep the memory itself.
    """

    MOST = 8

    def __init__(self) -> None:
        self._files: OrderedDict[object, int] = OrderedDict()  # by what stands for the address space

    def present(self, owner: object, pid: int, address: int, length: int) -> int:
        """Bytes from ``address`` until the first page that is not in memory (bit 63), at most ``length``. ``pid`` is asked for
        the memory of ``owner`` if that is met for the first time.
        """
        page, last = address // PAGE, (address + length - 1) // PAGE
        try:
            pagemap = self._of(owner, pid)
        except (FileNotFoundError, ProcessLookupError):
            return 0  # the process is gone
        except OSError:
            return length  # a kernel that does not tell: rather faulted in than a fault that is none
        if page == last < _TOP:
            return length if os.pread(pagemap, 8, 8 * page)[7:] >= _PRESENT else 0
        while page <= last:
            entries = os.pread(pagemap, 8 * min(last - page + 1, _ENTRIES), 8 * page) if page < _TOP else b""
            there = np.frombuffer(entries, np.uint8)[7::8] >> 7  # bit 63 of each
            first = int(there.argmin()) if len(there) else 0
            if not len(there) or not there[first]:
                return max(0, (page + first) * PAGE - address)
            page += len(there)
        return length

    def _of(self, owner: object, pid: int) -> int:
        file = self._files.get(owner)
        if file is None:
            if len(self._files) >= self.MOST:
                os.close(self._files.popitem(last=False)[1])
            file = self._files[owner] = self._open(pid)
        self._files.move_to_end(owner)
        return file

    def _open(self, pid: int) -> int:
        """Others are given up for it where no descriptor is left."""
        while True:
            try:
                return open_file(f"/proc/{pid}/pagemap", os.O_RDONLY)
            except OutOfDescriptors:
                if not self._files:
                    raise
                os.close(self._files.popitem(last=False)[1])

    def forget(self, owner: object) -> None:
        """The file was opened through a task that had given its memory up: another is to be asked."""
        file = self._files.pop(owner, None)
        if file is not None:
            os.close(file)


def can_ask() -> bool:
    """Whether a thread can tell which pages of its own are in memory: by move_pages(2), which containers may refuse and kernels without
    CONFIG_NUMA have not. A kernel that has no /proc/PID/pagemap must not tell either, or the summary would depend on who asks.
    """
    there, answer = ctypes.create_string_buffer(b"here"), ctypes.c_int(-1)
    page = ctypes.c_void_p(ctypes.addressof(there) & -PAGE)
    asked = libc.syscall(SYS_MOVE_PAGES, 0, 1, ctypes.byref(page), None, ctypes.byref(answer), 0)
    return bool(asked == 0 and answer.value >= 0) and os.path.exists("/proc/self/pagemap")
