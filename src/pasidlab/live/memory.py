"""A process's memory as a device sees it through shared virtual addressing."""

from __future__ import annotations

import ctypes
import errno
import threading
from collections.abc import Callable, Set
from functools import partial
from typing import Protocol

import numpy as np

from pasidlab.live import ptrace
from pasidlab.live.descriptors import text_file
from pasidlab.live.libc import Iovec, libc, process_vm_readv, process_vm_writev
from pasidlab.live.presence import Pagemaps
from pasidlab.live.served import NOT_BEGUN, Patient, Registered, present_in, transfer

_NOBODY = frozenset[int]()
_LONGEST_RECORD = 64  # bytes of a completion record
_ACCESSES = ("310", "311")  # numbers of process_vm_readv and process_vm_writev

_byte_of, _address_of = ctypes.c_char.from_buffer, ctypes.addressof


class Doubt(Protocol):
    """Whose memory a thread has while its process calls execve(2)."""

    def doubtful(self, tid: int) -> bool:
        """True if the thread's memory may be another by now."""

    def reach(self) -> bool:
        """Wait until a thread surely has this one; whether it still exists."""


class ProcessMemory:
    """Reads and writes through the page tables of ``pid``, with the protection the process itself has.

    process_vm_readv(2) and process_vm_writev(2) stop exactly at the first byte that cannot be accessed. ``threads`` are
    all that share the memory: where ``pid`` is dead, another of them stands in.
    """

    def __init__(self, pid: int, pagemaps: Pagemaps, threads: Set[int] = _NOBODY, *, device: bool = False) -> None:
        self.pid, self._pagemaps, self._threads, self._device = pid, pagemaps, threads, device
        self.doubt: Doubt | None = None  # None: all threads surely have it
        self.starting: set[object] = set()  # accesses that last, and have not begun yet
        self._begun: dict[object, tuple[int, int]] = {}  # those that have: through which thread, and by which of ours
        self.patient: Patient | None = None  # where the program may serve pages of it
        self.registered = Registered()  # pages that a userfaultfd serves
        self._local, self._remote = Iovec(), Iovec()
        self._local_at, self._remote_at = ctypes.addressof(self._local), ctypes.addressof(self._remote)

        self._record = ctypes.create_string_buffer(_LONGEST_RECORD)
        self._record_view = memoryview(self._record).cast("B")
        start = ctypes.addressof(self._record)
        self._record_iovs = (Iovec * 2)(Iovec(start + 1, 0), Iovec(start, 1))
        self._record_local, self._pieces = ctypes.addressof(self._record_iovs), (Iovec * 2)()
        self._pieces_at = ctypes.addressof(self._pieces)

    def read_into(self, address: int, target: memoryview) -> int:
        """Fill ``target`` from ``address``; bytes read, fewer where a fault stops it."""
        length = len(target)
        if not length:
            return 0
        if self.doubt:
            self._settle(self.doubt)
        anchor = _byte_of(target)
        return self._transfer(process_vm_readv, _address_of(anchor), address, length)

    def read(self, address: int, length: int) -> bytes:
        """Up to ``length`` bytes, fewer where a fault stops it."""
        buffer = bytearray(length)
        return bytes(buffer[: self.read_into(address, memoryview(buffer))])

    def read_or_gone(self, address: int, length: int) -> bytes:
        """See ``read``. Raises Gone if fewer bytes come because the process was killed, and has given its memory up."""
        data = self.read(address, length)
        if len(data) < length:
            self.check_not_gone()
        return data

    def check_not_gone(self) -> None:
        """After an access that fell short. Raises Gone if the process was killed, and has given its memory up: no fault was the reason."""
        if self.gone():
            raise ptrace.Gone(self.pid)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> int:
        """Bytes written, fewer where a fault stops it."""
        length = len(data)
        if not length:
            return 0
        if self.doubt:
            self._settle(self.doubt)
        if isinstance(data, bytes) or (isinstance(data, memoryview) and data.readonly):
            there = np.frombuffer(data, np.uint8).ctypes.data
            return self._transfer(process_vm_writev, there, address, length)
        anchor = _byte_of(data)
        return self._transfer(process_vm_writev, _address_of(anchor), address, length)

    def write_record(self, address: int, record: bytes) -> int:
        """A completion record: all other bytes first, the status byte last, as programs spin on it."""
        if self.doubt:
            self._settle(self.doubt)
        if self.patient:
            done = self._served(process_vm_writev, bytearray(record[1:]), address + 1)
            return done if done < len(record) - 1 else done + self._served(process_vm_writev, bytearray(record[:1]), address)
        remote = self._pieces
        self._record_view[: len(record)] = record
        self._record_iovs[0].length = len(record) - 1
        remote[0].base, remote[0].length = address + 1, len(record) - 1
        remote[1].base, remote[1].length = address, 1
        while (done := int(process_vm_writev(self.pid, self._record_local, 2, self._pieces_at, 2, 0))) < 0 and self._elsewhere():
            pass  # whoever is found may die at once
        return max(0, done)

    def poke(self, tid: int, address: int, data: bytes) -> None:
        """See ``ptrace.poke``; ``data`` may be one byte, too. Raises OSError.

        Where the program serves memory a thread of ours writes: who waits for a page may hold the lock of all mappings (mmap_lock), for
        which PTRACE_POKEDATA would wait with everything else.
        """
        if self.patient and self.patient.value(partial(ptrace.write_by_file, tid, address, data, self._surely_has_it), False):
            return
        if len(data) == 1:
            ptrace.poke_byte(tid, address, data[0])
        else:
            ptrace.poke(tid, address, data)

    def _transfer(self, call: ctypes._NamedFuncPointer, here: int, there: int, length: int) -> int:
        local, remote = self._local, self._remote
        if there + length > 1 << 63:
            length = max(0, (1 << 63) - there)
        if self.patient:
            return self._copied(call, here, there, length)
        done = 0
        while done < length:  # the kernel may stop short of a fault: only a transfer of nothing is one
            local.base, local.length, remote.base, remote.length = here + done, length - done, there + done, length - done
            more = int(call(self.pid, self._local_at, 1, self._remote_at, 1, 0))
            if more < 0 and self._elsewhere():
                continue
            if more <= 0:
                break
            done += more
        return done

    def _copied(self, call: ctypes._NamedFuncPointer, here: int, there: int, length: int) -> int:
        reads = call is process_vm_readv
        local = bytearray(length if reads else ctypes.string_at(here, length))
        done = self._served(call, local, there)
        if reads and done:
            ctypes.memmove(here, bytes(local[:done]), done)
        return done

    def _served(self, call: ctypes._NamedFuncPointer, local: bytearray, there: int) -> int:
        """See ``_transfer``, where pages may have to be served. A device gets a fault instead."""
        assert self.patient is not None
        length = len(local)
        if self._device:
            if without_memory(self.pid):
                self._elsewhere()
            length = self.registered.reachable(self.patient, self.pid, range(there, there + length), write=call is process_vm_writev)
        done = 0
        while done < length:
            if self.doubt:
                if not self.doubt.reach():
                    break
                self._settle(self.doubt)
            piece, pid, access = local[done:length], self.pid, object()
            self.starting.add(access)
            work = partial(self._access, access, partial(transfer, call, pid, piece, there + done))
            place = self, call is process_vm_readv, there + done, length - done
            more = self.patient.call(work, partial(self._begins, pid, access), place)
            if more == NOT_BEGUN or (more < 0 and self._elsewhere()):
                continue
            if more <= 0:
                break
            local[done : done + more] = piece[:more]
            done += more
        return done

    def _begins(self, pid: int, access: object) -> bool:
        """True if an access that is about to begin, maybe late, still may: ``pid`` has not been let go meanwhile. A thread of ours asks."""
        self._begun[access] = pid, threading.get_native_id()  # first: who lets ``pid`` go raises the doubt, and then looks here
        self.starting.discard(access)
        if not self._surely_has_it(pid):
            del self._begun[access]
            return False
        return True

    def _access(self, access: object, work: Callable[[], int]) -> int:
        try:
            return work()
        finally:
            del self._begun[access]

    def seeks(self, pids: tuple[int, ...]) -> bool:
        """Whether an access through one of these threads has begun, and the kernel may not have looked for its memory yet. It has where
        our thread waits within the call: it has taken hold of that memory (mm_access(), kernel/fork.c, v6.12).
        """
        return any(pid in pids and not _waits_in_access(ours) for pid, ours in tuple(self._begun.values()))

    def _elsewhere(self) -> bool:
        """After a failure: whether it was because ``pid`` is dead, and another thread has been found."""
        if self.patient:  # the call below would wait for the lock of all mappings
            return without_memory(self.pid) and self._another()
        probe = (Iovec * 2)(Iovec(ctypes.addressof(self._record), 1), Iovec(0, 1))
        at = ctypes.addressof(probe)
        if libc.process_vm_readv(self.pid, at, 1, at + ctypes.sizeof(Iovec), 1, 0) > 0 or ctypes.get_errno() != errno.ESRCH:
            return False  # EFAULT: nothing is mapped at 0, but there is a memory
        return self._another()

    def _another(self) -> bool:
        """Whether another thread has been found."""
        before, self.pid = self.pid, next((tid for tid in self._threads if self._has_it(tid)), self.pid)
        return self.pid != before

    def _surely_has_it(self, tid: int) -> bool:
        return not (self.doubt and self.doubt.doubtful(tid))

    def _has_it(self, tid: int) -> bool:
        return self._surely_has_it(tid) and not without_memory(tid)

    def _settle(self, doubt: Doubt) -> None:
        """Reach the memory through a thread that surely has it, or not at all."""
        if not self.pid or doubt.doubtful(self.pid):
            self.pid = next((tid for tid in self._threads if not doubt.doubtful(tid)), 0)

    def certain_again(self) -> None:
        """All threads have it."""
        self.doubt = None
        self.pid = self.pid or next(iter(self._threads), 0)

    def present(self, address: int, length: int) -> int:
        """Bytes from ``address`` until the first page that is not in memory (pagemap bit 63), at most ``length``."""
        if length <= 0:
            return 0
        if self.doubt:
            self._settle(self.doubt)
        if self.patient:
            return self.patient.value(partial(present_in, self.pid, range(address, address + length)), 0, (self, "present", address))
        while (there := self._pagemaps.present(self, self.pid, address, length)) < length and self._elsewhere():
            self._pagemaps.forget(self)  # of a leader that has ended
        return there

    def gone(self) -> bool:
        """Whether the process has given its memory up: it exits, or is a zombie."""
        return without_memory(self.pid) and all(without_memory(tid) for tid in self._threads)

    def lost(self) -> bool:
        """True if the process has given its memory up, or nobody surely has it."""
        return not any(self._has_it(tid) for tid in (self.pid, *self._threads))


def _waits_in_access(ours: int) -> bool:
    """Whether this thread of ours is gone, or waits within an access (proc_pid_syscall(), fs/proc/base.c)."""
    try:
        with text_file(f"/proc/self/task/{ours}/syscall") as file:
            return file.read().split()[0] in _ACCESSES
    except (FileNotFoundError, ProcessLookupError):
        return True


def without_memory(tid: int) -> bool:
    """Whether a thread has given its memory up: it exits, or is a zombie."""
    try:
        with text_file(f"/proc/{tid}/statm") as file:
            return file.read().startswith("0 ")
    except OSError:
        return True
