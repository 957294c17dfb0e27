"""ptrace(2) requests as small typed functions. All of them may only be called by the thread that attached."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import signal
import struct
from collections.abc import Callable
from typing import Any

from pasidlab.live.descriptors import binary_file, text_file
from pasidlab.live.libc import WALL, Iovec, checked, libc
from pasidlab.live.registers import EFLAGS, FS_BASE, GS_BASE, RESUME_FLAG, RegisterArray, Registers

# linux/ptrace.h
_PEEKUSER, _POKEDATA, _POKEUSER, _CONT, _SINGLESTEP, _GETREGS, _SETREGS, _DETACH, _SYSCALL = 3, 5, 6, 7, 9, 12, 13, 17, 24
_GETEVENTMSG, _GETSIGINFO, _SETSIGINFO, _SEIZE, _INTERRUPT, _LISTEN = 0x4201, 0x4202, 0x4203, 0x4206, 0x4207, 0x4208
_GETSIGMASK, _SETSIGMASK, _SETOPTIONS, _GETREGSET, _SETREGSET = 0x420A, 0x420B, 0x4200, 0x4204, 0x4205
_PEEKSIGINFO, _GET_SYSCALL_INFO = 0x4209, 0x420E
_PRSTATUS = 1  # of PTRACE_SETREGSET: the general registers, as many as are given (linux/elf.h)
_LARGEST_SET = 1 << 16  # bytes: XSAVE with AMX takes 11 KiB
TRACEME, ATTACH, SEIZE = 0, 16, _SEIZE

EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_SECCOMP, EVENT_STOP = 1, 2, 3, 4, 6, 7, 128
_CAP_SYS_PTRACE = 19  # linux/capability.h
SYSCALL_STOP = 5 | 0x80
_STOPPED_BY_EXEC = signal.SIGTRAP | EVENT_EXEC << 8  # si_code at the stop of an exec
OPTIONS = 1 | 2 | 4 | 8 | 16 | 0x80 | 0x100000
"""TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACESECCOMP, EXITKILL."""
_TRACEEXIT = 0x40

GROUP_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
"""At an EVENT_STOP: the whole thread group is stopped by this signal."""

SIGINFO_SIZE = 128
SI_KERNEL = 0x80
ILL_ILLOPN, SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR = 2, 1, 2, 2  # asm-generic/siginfo.h

_SYSCALL_INFO = struct.Struct("<4xI72xI4x")  # struct ptrace_syscall_info, linux/ptrace.h: its arch and ret_data

_ptrace = libc.ptrace
_quick = ctypes.CDLL(None).ptrace  # does not keep errno: for the fast path, repeated with errno when it fails
_quick.argtypes, _quick.restype = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p], ctypes.c_long
_word = ctypes.c_uint64(0)
_word_ref = ctypes.byref(_word)
_info = ctypes.create_string_buffer(SIGINFO_SIZE)
_info_ref = ctypes.byref(_info)
_info_at = ctypes.addressof(_info)
_info_words = memoryview(_info).cast("B").cast("i")
_info_addresses = memoryview(_info).cast("B").cast("Q")


class Gone(Exception):
    """The thread is no longer stopped under our control: it was killed meanwhile. Its exit status is still to come."""


def _do(request: int, tid: int, address: Any, data: Any) -> None:
    if _quick(request, tid, address, data) == -1 and _ptrace(request, tid, address, data) == -1:
        error = ctypes.get_errno()
        if error == 3:  # ESRCH
            raise Gone(tid)
        raise OSError(error, os.strerror(error), f"ptrace request {request:#x}")


def seize(pid: int) -> None:
    """PTRACE_SEIZE with OPTIONS: children and threads follow automatically, all die with the tracer."""
    checked(_ptrace(_SEIZE, pid, None, OPTIONS), "PTRACE_SEIZE")


stepping: set[int] = set()
"""Threads that ``resume`` lets execute one instruction only, for a debugger."""
held: set[int] = set()
"""Threads that ``resume`` lets execute none, for a debugger: they come to an EVENT_STOP at once."""


def resume(tid: int, signal: int = 0) -> None:
    """Let the thread run, delivering ``signal`` (0: none). What a debugger wants of it holds."""
    request = _CONT
    if tid in held:
        interrupt(tid)  # taken on the way back to user mode: do_jobctl_trap(), kernel/signal.c, v6.12
    elif tid in stepping:
        request = _SINGLESTEP
    if _quick(request, tid, None, signal) == -1:
        _do(request, tid, None, signal)


def run_for_us(tid: int, signal: int = 0) -> None:
    """Let the thread run, delivering ``signal`` (0: none): whoever calls waits for its next stop, a debugger does not hear of it."""
    _do(_CONT, tid, None, signal)


def get_registers_at(tid: int, place: int) -> None:
    """Reads the registers into the block at address ``place``: for the fast path."""
    if _quick(_GETREGS, tid, None, place) == -1:
        _do(_GETREGS, tid, None, place)


def set_registers_at(tid: int, place: int) -> None:
    """Sets the registers from the block at address ``place``.

    WRFSBASE and WRGSBASE take addresses that ptrace(2) refuses (EIO): the bases then stay as they are, and all that comes before them
    is set.
    """
    if _quick(_SETREGS, tid, None, place) == -1:
        try:
            _do(_SETREGS, tid, None, place)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            _do(_SETREGSET, tid, _PRSTATUS, ctypes.byref(Iovec(place, 8 * FS_BASE)))


def resume_to_syscall(tid: int, signal: int = 0) -> None:
    """Let the thread run to the next entry to or exit from a system call."""
    _do(_SYSCALL, tid, None, signal)


def step(tid: int, signal: int) -> None:
    """Deliver ``signal``: the thread stops with SIGTRAP where its handler begins (signal_setup_done())."""
    _do(_SINGLESTEP, tid, None, signal)


def detach(tid: int) -> None:
    """The stopped thread goes on as one that is not traced."""
    _do(_DETACH, tid, None, None)


def listen(tid: int) -> None:
    """Leave the thread in its group stop, and hear of SIGCONT."""
    _do(_LISTEN, tid, None, None)


def is_traced(tid: int) -> bool:
    """Whether we trace a task, and have not been told of its death: else wait(2) knows none of this number, though a zombie may have it."""
    try:
        os.waitid(os.P_PID, tid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT | WALL)
    except ChildProcessError:
        return False
    return True


def interrupt(tid: int) -> None:
    """The thread, stopped or not, comes to an EVENT_STOP; that tells whether its group is stopped."""
    _do(_INTERRUPT, tid, None, None)


def get_registers(tid: int, registers: RegisterArray) -> None:
    """Fill ``registers``."""
    _do(_GETREGS, tid, None, ctypes.byref(registers))


def set_registers(tid: int, registers: RegisterArray) -> None:
    """The thread continues with these."""
    set_registers_at(tid, ctypes.addressof(registers))


def register_set(tid: int, kind: int) -> bytes:
    """A set of registers as a core dump has it (PTRACE_GETREGSET); ``kind`` is the type of its note."""
    buffer = ctypes.create_string_buffer(_LARGEST_SET)
    vector = Iovec(ctypes.addressof(buffer), len(buffer))
    _do(_GETREGSET, tid, kind, ctypes.byref(vector))
    return buffer.raw[: vector.length]


def set_register_set(tid: int, kind: int, data: bytes) -> None:
    """The thread continues with these (PTRACE_SETREGSET)."""
    buffer = ctypes.create_string_buffer(data, len(data))
    vector = Iovec(ctypes.addressof(buffer), len(data))
    _do(_SETREGSET, tid, kind, ctypes.byref(vector))


def copy_registers(registers: RegisterArray) -> RegisterArray:
    """An independent copy."""
    return Registers(*registers)


def event_message(tid: int) -> int:
    """What the event of this stop carries: the new thread's id, or the former id on exec."""
    _do(_GETEVENTMSG, tid, None, _word_ref)
    return _word.value


def filtered_call(tid: int) -> tuple[int, int | None]:
    """At a stop that a seccomp filter made: its SECCOMP_RET_DATA, and the architecture of the call (linux/audit.h); None where the kernel
    does not tell (before v5.3).
    """
    try:
        _do(_GET_SYSCALL_INFO, tid, _SYSCALL_INFO.size, _info_ref)
    except OSError:
        return event_message(tid), None
    architecture, data = _SYSCALL_INFO.unpack_from(_info)
    return data, architecture


def signal_code(tid: int) -> int:
    """si_code at a signal-delivery stop: above 0 if the kernel raised the signal."""
    if _quick(_GETSIGINFO, tid, None, _info_at) == -1:
        _do(_GETSIGINFO, tid, None, _info_at)
    return _info_words[2]


def code_of(info: bytes) -> int:
    """si_code of a siginfo."""
    return int.from_bytes(info[8:12], "little", signed=True)


def faulted(tid: int) -> bool:
    """Whether the thread has come to this stop by a fault of its instruction, where the processor tells (EFLAGS.RF)."""
    return bool(_quick(_PEEKUSER, tid, 8 * EFLAGS, None) & RESUME_FLAG)  # the C library's function returns the value


def fault_address() -> int:
    """si_addr of the signal that ``signal_code`` was asked for last: where a fault met its page."""
    return _info_addresses[2]


def stop_at_exit(tid: int) -> None:
    """From now on the thread, and those it makes, come to an EVENT_EXIT before they die, however they do."""
    _do(_SETOPTIONS, tid, None, OPTIONS | _TRACEEXIT)


def stopped_by_exec(tid: int) -> bool:
    """Whether this is the stop of an exec: the number stands for a new program.

    A program may send itself a siginfo that looks like it, but such a stop has no message (ptrace_stop(), since v5.18).
    """
    try:
        return signal_code(tid) == _STOPPED_BY_EXEC and event_message(tid) != 0
    except OSError:  # EINVAL: a group stop
        return False


def stopped_by(tid: int) -> int:
    """si_signo of this stop: SIGTRAP at those that are no signal's, 0 where there is none."""
    try:
        return signal_info(tid)[0]
    except OSError:  # EINVAL: a group stop
        return 0


def signal_info(tid: int) -> bytes:
    """The siginfo of a signal-delivery stop."""
    _do(_GETSIGINFO, tid, None, _info_ref)
    return _info.raw


def set_signal_info(tid: int, info: bytes) -> None:
    """Replace the siginfo of a signal-delivery stop."""
    _do(_SETSIGINFO, tid, None, ctypes.create_string_buffer(info, SIGINFO_SIZE))


def waiting_code(tid: int, signal: int) -> int:
    """si_code of a signal that waits for this thread alone (PTRACE_PEEKSIGINFO, ptrace(2)); 0 if none does."""
    for position in itertools.count():
        asked = ctypes.create_string_buffer(struct.pack("<QIi", position, 0, 1))  # struct ptrace_peeksiginfo_args
        if _ptrace(_PEEKSIGINFO, tid, asked, _info_ref) != 1:
            break
        if _info_words[0] == signal:
            return _info_words[2]
    return 0


def fault_info(signal: int, code: int, address: int) -> bytes:
    """siginfo of a fault: si_signo, si_errno, si_code, padding, si_addr."""
    head = signal.to_bytes(4, "little") + bytes(4) + code.to_bytes(4, "little", signed=True) + bytes(4)
    return (head + address.to_bytes(8, "little")).ljust(SIGINFO_SIZE, b"\0")


def signal_mask(tid: int) -> int:
    """Blocked signals: bit n-1 for signal n."""
    _do(_GETSIGMASK, tid, 8, _word_ref)
    return _word.value


def set_signal_mask(tid: int, mask: int) -> None:
    """Set the blocked signals."""
    _word.value = mask
    _do(_SETSIGMASK, tid, 8, _word_ref)


def may_trace_all() -> bool:
    """Whether this process has CAP_SYS_PTRACE."""
    with text_file("/proc/self/status") as file:
        effective = next(line for line in file if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) >> _CAP_SYS_PTRACE & 1)


def set_gs_base(tid: int, base: int) -> None:
    """The thread continues with this base of GS."""
    _do(_POKEUSER, tid, 8 * GS_BASE, base)


def poke(tid: int, address: int, data: bytes) -> None:
    """Write ``data`` (a multiple of 8 bytes) where the program itself may not: for code, never for a device."""
    for offset in range(0, len(data), 8):
        _do(_POKEDATA, tid, address + offset, int.from_bytes(data[offset : offset + 8], "little"))


def instructions_at(tid: int, address: int, length: int) -> bytes:
    """Instructions of a stopped thread, also where the program may execute but not read them (/proc/PID/mem, FOLL_FORCE)."""
    try:
        with binary_file(f"/proc/{tid}/mem") as file:
            return os.pread(file.fileno(), length, address)
    except (OSError, OverflowError):  # nothing is there; an address of the kernel's
        return b""


def write_by_file(tid: int, address: int, data: bytes, is_his: Callable[[int], bool]) -> bool:
    """See ``poke``, for threads of ours that trace nobody (/proc/PID/mem, FOLL_FORCE). OSError where nothing is there, and on kernels that
    let only the tracer do so (proc_mem.force_override=ptrace, v6.12). False, too, where the number is another's by now (not ``is_his``):
    that is asked when the file is open, which stands for one memory for good (mem_open(), fs/proc/base.c).
    """
    with binary_file(f"/proc/{tid}/mem", to_write=True) as file:
        return is_his(tid) and os.pwrite(file.fileno(), data, address) == len(data)


def poke_byte(tid: int, address: int, byte: int) -> None:
    """Writes one byte."""
    place = address & -8
    with binary_file(f"/proc/{tid}/mem") as file:
        around = bytearray(os.pread(file.fileno(), 8, place))
    if len(around) < 8:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    around[address - place] = byte
    poke(tid, place, bytes(around))
