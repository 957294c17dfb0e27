"""Large operations at the speed of memory: the thread that submitted the descriptor carries them out, in a page of ours.

Meanwhile the thread is stopped at its ENQCMD. Page tables and protection are then the process's own by nature. Where the processor faults,
RCX tells how far it came. Only general registers are used, so none of the thread's others change.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from signal import SIGBUS, SIGILL, SIGSEGV

from pasidlab.accelerator import BULK
from pasidlab.accelerator.checksums import crc32c_join
from pasidlab.live import ptrace
from pasidlab.live.descriptors import text_file
from pasidlab.live.inject import Injector
from pasidlab.live.jobs import Job, SlicedMemory
from pasidlab.live.libc import PAGE
from pasidlab.live.ptrace import GROUP_STOPS
from pasidlab.live.registers import EFLAGS, R8, R9, RAX, RBX, RCX, RDI, RDX, RESUME_FLAG, RIP, RSI, TRAP_FLAG, RegisterArray, Registers
from pasidlab.live.seccomp import WINDOW
from pasidlab.live.sites import TRAP
from pasidlab.live.state import Thread
from pasidlab.live.status import signals_of, status_of
from pasidlab.live.window import own_page

_LEAVE = TRAP.hex()  # so that a fault and the end look alike, and no system call is needed
_MOVE = "f3a4" + _LEAVE  # rep movsb
_FILL = "f3aa" + _LEAVE  # rep stosb
_FILL_WORDS = "f348ab" + _LEAVE  # rep stosq
_EQUAL = (  # 64 bytes a round: the halves of (%rsi) and (%rdi) by four words each, XORed and ORed together
    "488b06 488b5608 4c8b4610 4c8b4e18 483307 48335708 4c334710 4c334f18 4809d0 4d09c8 4c09c0 7539"
    "488b4620 488b5628 4c8b4630 4c8b4e38 48334720 48335728 4c334730 4c334f38 4809d0 4d09c8 4c09c0 750e"
    "4883c640 4883c740 4883e940 759e" + _LEAVE  # on to the next, while RCX is not 0
)
_PATTERN = (  # cmp %rdx with the eight words at (%rsi)
    "483b16 7534 483b5608 752e 483b5610 7528 483b5618 7522 483b5620 751c 483b5628 7516 483b5630 7510 483b5638 750a"
    "4883c640 4883e940 75c7" + _LEAVE
)
_CRC = (  # crc32q of three places at once, (%rsi), (%rsi,%rdx) and (%rsi,%rdi): one alone waits for its own result
    "f24c0f38f106 f24c0f38f10c16 f2480f38f11c3e 4883c608 4883e908 75e2" + _LEAVE
)
_PLACE = 256  # bytes for each of them
_ALL = (_MOVE, _FILL, _FILL_WORDS, _EQUAL, _PATTERN, _CRC)
_CODE = b"".join(bytes.fromhex(text).ljust(_PLACE, b"\xcc") for text in _ALL)
_SIGNALS = (SIGILL, SIGSEGV, SIGBUS)
_THEIR_BITS = sum(1 << number - 1 for number in _SIGNALS)
_ILL_ILLOPN = 2  # si_code, asm-generic/siginfo.h
_DIRECTION, _ALIGNMENT_CHECK = 1 << 10, 1 << 18  # EFLAGS: DF, AC
_PROT_READ_EXEC, _U64 = 5, (1 << 64) - 1
_TOP = 1 << 47  # the end of user space
_PLACE_OF_CODE = WINDOW + PAGE  # if it is free
_CRC_PIECE = 8 << 20  # bytes of each of the three strands: what is lost when one of them meets a fault


@dataclass(frozen=True)
class _Stretch:
    """Work that a thread does for a job by the code in a page. ``reach``: where an access of it may fault, the page itself included."""

    job: Job
    page: int
    reach: tuple[range, ...]

    def met_fault(self, info: bytes, *, raised: bool) -> bool:
        """Whether a siginfo tells of a fault of the code. ``raised``: an instruction has faulted (``ptrace.faulted``).

        Others may send one that says the same (rt_sigqueueinfo(2) to oneself), but hardly of an address within reach.
        """
        number, code, address = info[0], ptrace.code_of(info), int.from_bytes(info[16:24], "little")
        page_fault = number in (SIGSEGV, SIGBUS) and 0 < code < ptrace.SI_KERNEL
        return raised and page_fault and any(address in one for one in self.reach)


class Borrower:
    """Lets stopped threads work for the device. Everything else goes on meanwhile."""

    def __init__(self, injector: Injector) -> None:
        self.injector, self.loop = injector, injector.loop

    def run(self, job: Job, code: str, count: int, registers: dict[int, int], reach: tuple[range, ...]) -> tuple[int, RegisterArray]:
        """Execute ``code`` with ``count`` in RCX: what is left of it at the end or at a fault, and the registers.

        ``reach``: the addresses that it accesses. A thread that a debugger holds executes nothing, nor does one for which a blocked signal
        of ours waits.
        """
        saved, thread, tid = Registers(), job.thread, job.thread.tid
        if job.detached or tid in ptrace.held:
            return count, saved
        thread.blocks, job.borrowed = ptrace.signal_mask(tid), True  # also while the page is made, which may wait
        try:
            page = self.page(thread)
            if not page or job.detached or tid in ptrace.held or _waiting(tid, thread.blocks):
                return count, saved
            stretch = _Stretch(job, page, (range(page, page + PAGE), *reach))
            return self._work(stretch, saved, {**registers, RCX: count, RIP: page + _PLACE * _ALL.index(code)})
        finally:
            job.borrowed, thread.blocks = False, None

    def _work(self, stretch: _Stretch, saved: RegisterArray, registers: dict[int, int]) -> tuple[int, RegisterArray]:
        thread, tid = stretch.job.thread, stretch.job.thread.tid
        mask = ptrace.signal_mask(tid)
        ptrace.get_registers(tid, saved)
        work = ptrace.copy_registers(saved)
        for register, value in registers.items():
            work[register] = value
        work[EFLAGS] &= ~(_DIRECTION | _ALIGNMENT_CHECK | TRAP_FLAG | RESUME_FLAG)
        ptrace.set_signal_mask(tid, _U64 & ~_THEIR_BITS)
        ptrace.set_registers(tid, work)
        while not self._is_over(stretch, mask):
            pass
        ptrace.get_registers(tid, work)
        ptrace.set_signal_mask(tid, mask)
        ptrace.set_registers(tid, saved)
        self.injector.rejoin(thread)
        return work[RCX], work

    def _is_over(self, stretch: _Stretch, mask: int) -> bool:
        """Let the thread run to its next stop: whether the code is through, has met a fault, or is given up.

        A fault of the code is told by where it is, never by whether the memory is there by now: another thread may have given it back.
        SIGILL, SIGSEGV and SIGBUS that others send are kept; one that the program blocks (``mask``) goes back to where it waits. At a
        group stop the job gives the thread back, and the device works on without it, as hardware does: a thread in close(2) waits for
        the job, and the stop for that thread.
        """
        job, thread, tid = stretch.job, stretch.job.thread, stretch.job.thread.tid
        stop, event = self._next_stop(job)
        if event:
            return event == ptrace.EVENT_STOP and job.detached and not _faulted(tid)
        info, raised = ptrace.signal_info(tid), ptrace.faulted(tid)
        if stretch.met_fault(info, raised=raised) or (stop == SIGILL and _at_the_end(tid, info, stretch.page)):
            return True
        if mask >> (stop - 1) & 1:
            self.injector.put_back(thread, stop)
            return True
        self.injector.keep(thread, stop, info)
        return job.detached or (raised and 0 < ptrace.code_of(info) < ptrace.SI_KERNEL)  # the program has other code there by now

    def _next_stop(self, job: Job) -> tuple[int, int]:
        """Let the thread run to a stop for one of our signals, or to an event."""
        number = 0
        while True:
            ptrace.run_for_us(job.thread.tid, number)
            stop, event = self.loop.wait(job.thread.tid)
            if event == ptrace.EVENT_STOP and stop in GROUP_STOPS:
                job.thread.misses_stop()
                job.detached = True
            if event or stop in _SIGNALS:
                return stop, event
            number = stop  # SIGSTOP, which cannot be blocked

    def page(self, thread: Thread) -> int:
        """Where our instructions are in the thread's memory; 0 if they cannot be there.

        Without our markers as handlers the SIGILL at their end could change what the program has set (``signals``).
        """
        mm = thread.mm
        if not thread.process.signals.armed:
            return 0
        if mm.code and mm.memory.read(mm.code, len(_CODE)) != _CODE:
            mm.code = 0  # the program has given the place another content
        if not mm.code and not thread.process.filtered:
            with mm.ours:
                if not mm.code:
                    self._make_page(thread)
        return mm.code

    def _make_page(self, thread: Thread) -> None:
        at = own_page(self.injector, thread, _PLACE_OF_CODE, _PROT_READ_EXEC)
        if at:
            with suppress(OSError):  # the program has taken the place meanwhile
                thread.mm.memory.poke(thread.tid, at, _CODE)
                thread.mm.code = at


class BulkMemory(SlicedMemory):
    """The memory of a process of which one thread is stopped: that thread can do large work for the device."""

    def __init__(self, job: Job, borrower: Borrower) -> None:
        super().__init__(job, borrower.loop)
        self._borrower = borrower

    def _run(self, code: str, count: int, registers: dict[int, int], length: int, *starts: int) -> tuple[int, RegisterArray]:
        """See ``Borrower.run``; the code accesses ``length`` bytes at each of ``starts``."""
        self.turn(0)
        return self._borrower.run(self.job, code, count, registers, tuple(range(start & -PAGE, start + length) for start in starts))

    def copy(self, target: int, source: int, length: int) -> int:
        """See ``Memory.copy`` of the accelerator; 0 where the regions overlap."""
        if max(source, target) + length >= _TOP or (source < target + length and target < source + length):
            return 0
        return length - self._run(_MOVE, length, {RDI: target, RSI: source}, length, target, source)[0]

    def fill(self, target: int, pattern: bytes, length: int) -> int:
        """See ``Memory.fill`` of the accelerator; patterns of 8 bytes."""
        if target + length >= _TOP or len(pattern) != 8:
            return 0
        value = int.from_bytes(pattern, "little")
        if pattern == pattern[:1] * 8:
            return length - self._run(_FILL, length, {RDI: target, RAX: value}, length, target)[0]
        words = length // 8
        return 8 * (words - self._run(_FILL_WORDS, words, {RDI: target, RAX: value}, length, target)[0])

    def equal(self, first: int, second: int, length: int) -> int:
        """See ``Memory.equal`` of the accelerator."""
        if max(first, second) + length >= _TOP:
            return 0
        whole = length & ~63
        return whole - self._run(_EQUAL, whole, {RSI: first, RDI: second}, whole, first, second)[0]

    def equal_pattern(self, address: int, pattern: int, length: int) -> int:
        """See ``Memory.equal_pattern`` of the accelerator."""
        if address + length >= _TOP:
            return 0
        whole = length & ~63
        return whole - self._run(_PATTERN, whole, {RSI: address, RDX: pattern}, whole, address)[0]

    def crc32c(self, address: int, length: int, register: int) -> tuple[int, int]:
        """See ``Memory.crc32c`` of the accelerator: three strands at a time, joined afterwards."""
        done = 0
        while _has_crc32() and address + length < _TOP and length - done >= BULK:
            strand = min(_CRC_PIECE, (length - done) // 3) & ~7
            start = {RSI: address + done, RDX: strand, RDI: 2 * strand, R8: register, R9: 0, RBX: 0}
            left, found = self._run(_CRC, strand, start, 3 * strand, address + done)
            if left:
                break
            register = crc32c_join(crc32c_join(found[R8], found[R9], strand), found[RBX], strand)
            done += 3 * strand
        return done, register


def _faulted(tid: int) -> bool:
    """At an EVENT_STOP of a thread that works for us: whether the fault of its last instruction is still to be told.

    The kernel tells of the stop first (get_signal(), kernel/signal.c), and of faults before other signals.
    """
    try:
        pending = signals_of(status_of(tid), "SigPnd")
    except (FileNotFoundError, ProcessLookupError):
        raise ptrace.Gone(tid) from None
    return bool(pending & _THEIR_BITS)


def _waiting(tid: int, mask: int) -> bool:
    """Whether a signal of ours that is blocked waits, for the thread or its process: the work would take it from there."""
    if not mask & _THEIR_BITS:
        return False
    try:
        fields = status_of(tid)
    except (FileNotFoundError, ProcessLookupError):
        raise ptrace.Gone(tid) from None
    return bool((signals_of(fields, "SigPnd") | signals_of(fields, "ShdPnd")) & mask & _THEIR_BITS)


def _at_the_end(tid: int, info: bytes, page: int) -> bool:
    """Whether a thread has stopped at what ends our code in a page, which raised this."""
    registers = Registers()
    ptrace.get_registers(tid, registers)
    offset = registers[RIP] - page
    ends = 0 <= offset < len(_CODE) and _CODE[offset] == TRAP[0]
    return ends and info == ptrace.fault_info(SIGILL, _ILL_ILLOPN, registers[RIP])


@cache
def _has_crc32() -> bool:
    """Whether the CPU has the CRC32 instruction (SSE4.2)."""
    with text_file("/proc/cpuinfo") as file:
        return next((" sse4_2 " in line for line in file if line.startswith("flags")), False)
