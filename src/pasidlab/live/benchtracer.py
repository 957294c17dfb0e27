"""A tracer of a few instructions, beside which the cost of a submission that stops is measured.

At each stop it makes the system calls that a tracer cannot do without to carry out a 64-byte move: wait, siginfo, signal state, registers,
descriptor, source, destination, completion record, registers, go on. Nothing is decided between them, so what ``pasidlab run``
takes more is its own.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import time

from pasidlab.live.assembler import assembler
from pasidlab.live.libc import WALL, Iovec, checked, libc
from pasidlab.live.ptrace import SIGINFO_SIZE, TRACEME
from pasidlab.live.registers import RIP, Registers
from pasidlab.live.status import numbers_are_ours

_ENQCMD = bytes.fromhex("f20f38f83e")  # enqcmd (%rsi),%rdi
_WAIT4, _PREAD64, _PTRACE, _VM_READV, _VM_WRITEV = 61, 17, 101, 310, 311  # arch/x86/entry/syscalls/syscall_64.tbl
_GETREGS, _SETREGS, _CONT, _GETSIGINFO = 12, 13, 7, 0x4202  # linux/ptrace.h
_ADD = (1 << 64) - 1  # no system call: adds a number to a word in memory
_STEP = 7 * 8  # bytes: what is to be done, and six arguments

_LOOP = f"""
        push %rbx
        push %rbp
        push %r12
        push %r13
        mov %rdi, %rbx             # the steps
        mov %rsi, %rbp             # their end
        mov %rdx, %r12             # the wait status
    again: mov %rbx, %r13
    step: mov (%r13), %rax
        mov 8(%r13), %rdi
        mov 16(%r13), %rsi
        test %rax, %rax
        js add
        mov 24(%r13), %rdx
        mov 32(%r13), %r10
        mov 40(%r13), %r8
        mov 48(%r13), %r9
        syscall
        jmp done
    add: add %rsi, (%rdi)
    done: cmpb $0x7f, (%r12)       # as long as it stops
        jne over
        add ${_STEP}, %r13
        cmp %rbp, %r13
        jb step
        jmp again
    over: pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret
"""


def microseconds(count: int) -> float:
    """Of one submission out of ``count``, tracer and program on one CPU of those that this thread may use. OSError if it cannot be traced.
    """
    if not numbers_are_ours():
        raise OSError("/proc is another PID namespace's")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        return _measured(count)
    finally:
        os.sched_setaffinity(0, before)


def _measured(count: int) -> float:
    code, memory = _executable(assembler().assemble(_LOOP, ("again",)).data), mmap.mmap(-1, mmap.PAGESIZE)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    loop = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(code)
    submit = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long)(_executable(_ENQCMD + b"\x48\xff\xca\x75\xf6\xc3"))
    child = os.fork()
    if not child:
        libc.ptrace(TRACEME, 0, None, None)
        signal.raise_signal(signal.SIGSTOP)
        submit(at, at, count)
        os._exit(0)
    os.waitpid(child, WALL)
    stat = os.open(f"/proc/{child}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        steps = _Steps(child, stat, at)
        checked(libc.ptrace(_CONT, child, None, None), "PTRACE_CONT")
        begin = time.perf_counter()
        loop(*steps.arguments)
        lasted = time.perf_counter() - begin
        if steps.status:
            raise OSError(f"the program that submits ended with wait status {steps.status:#x}")
        return lasted / count * 1e6
    finally:
        os.close(stat)


class _Steps:
    """What is done at a stop of ``child``, as the loop reads it; everything that the steps point to is kept here."""

    def __init__(self, child: int, stat: int, memory: int) -> None:
        self._registers, self._status = Registers(), ctypes.c_int(0x7F)
        self._info, self._text = ctypes.create_string_buffer(SIGINFO_SIZE), ctypes.create_string_buffer(1024)
        registers, status, text = (ctypes.addressof(one) for one in (self._registers, self._status, self._text))
        self._vectors = (Iovec * 5)(
            Iovec(text, 69), Iovec(memory, 69), Iovec(text, 64), Iovec(memory + 64, 64), Iovec(memory + 128, 32)
        )  # fmt: skip
        mine, source, here, there, record = (ctypes.addressof(self._vectors) + 16 * number for number in range(5))
        steps = (
            (_WAIT4, child, status, WALL),
            (_PTRACE, _GETSIGINFO, child, 0, ctypes.addressof(self._info)),
            (_PREAD64, stat, text, 1024),
            (_PTRACE, _GETREGS, child, 0, registers),
            (_VM_READV, child, mine, 1, source, 1),
            (_VM_READV, child, here, 1, there, 1),
            (_VM_WRITEV, child, here, 1, there, 1),
            (_VM_WRITEV, child, here, 1, record, 1),
            (_ADD, registers + 8 * RIP, len(_ENQCMD)),
            (_PTRACE, _SETREGS, child, 0, registers),
            (_PTRACE, _CONT, child),
        )
        words = [word for step in steps for word in (*step, *[0] * (7 - len(step)))]
        self._words = (ctypes.c_uint64 * len(words))(*words)
        start = ctypes.addressof(self._words)
        self.arguments = start, start + ctypes.sizeof(self._words), status

    @property
    def status(self) -> int:
        """The wait status that ended the loop."""
        return self._status.value


_kept: list[mmap.mmap] = []


def _executable(code: bytes) -> int:
    """The address of these instructions, which stay."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    _kept.append(page)
    return ctypes.addressof(ctypes.c_char.from_buffer(page))
