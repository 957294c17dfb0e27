"""Large operations at the speed of memory: the thread that submitted the descriptor carries them out itself, in a page
of ours, while it is stopped at its ENQCMD. Page tables and protection are then the process's own by nature, and where
the processor faults RCX tells how far it came. Only general registers are used, so none of the thread's others change.
"""

from __future__ import annotations

from functools import cache
from signal import SIGBUS, SIGSEGV, SIGSTOP

from pasidlab.live import ptrace
from pasidlab.live.inject import Injector
from pasidlab.live.libc import PAGE, SYS_MMAP
from pasidlab.live.memory import ProcessMemory
from pasidlab.live.registers import EFLAGS, R8, R9, R10, RAX, RBX, RCX, RDI, RDX, RIP, RSI, RegisterArray, Registers
from pasidlab.live.state import Thread
from pasidlab.machine.accelerator import BULK
from pasidlab.machine.accelerator.checksums import crc32c_join

_LEAVE = "4989ca b827000000 0f05"  # mov %rcx,%r10; mov $getpid,%eax; syscall
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
_DIRECTION = 1 << 10
_PROT_READ_EXEC, _MAP_PRIVATE_ANONYMOUS, _U64 = 5, 0x22, (1 << 64) - 1
_TOP = 1 << 47  # the end of user space
_CRC_PIECE = 8 << 20  # bytes of each of the three strands: what is lost when one of them meets a fault
_BATCH = 1


class Borrower:
    """Lets stopped threads work for the device."""

    def __init__(self, injector: Injector) -> None:
        self.injector = injector

    def run(self, thread: Thread, code: str, count: int, registers: dict[int, int]) -> tuple[int, RegisterArray]:
        """Execute ``code`` with ``count`` in RCX: what is left of it at the end or at a fault, and the registers."""
        tid, page, saved = thread.tid, self._page(thread), Registers()
        if not page:
            return count, saved
        ptrace.get_registers(tid, saved)
        work = ptrace.copy_registers(saved)
        for register, value in registers.items():
            work[register] = value
        work[RIP], work[RCX] = page + _PLACE * _ALL.index(code), count
        work[EFLAGS] &= ~_DIRECTION
        mask = ptrace.signal_mask(tid)
        ptrace.set_signal_mask(tid, _U64 & ~(1 << SIGSEGV - 1 | 1 << SIGBUS - 1))
        ptrace.set_registers(tid, work)
        left = self._to_the_end(tid, work)
        ptrace.set_signal_mask(tid, mask)
        ptrace.set_registers(tid, saved)
        return left, work

    def _to_the_end(self, tid: int, work: RegisterArray) -> int:
        """Signals that others send meanwhile are sent again afterwards."""
        pending = []
        while True:
            ptrace.resume_to_syscall(tid)
            stop, event = self.injector.wait(tid)
            if not event and stop == ptrace.SYSCALL_STOP:
                self.injector.run_to_exit(tid)  # the next stop must not be this call's exit
                break
            if not event and stop in (SIGSEGV, SIGBUS) and ptrace.signal_code(tid) > 0:
                break
            if not event and stop in (SIGSEGV, SIGBUS, SIGSTOP):
                pending.append(stop)
        ptrace.get_registers(tid, work)
        for number in pending:
            self.injector.send(tid, number)
        return work[R10] if stop == ptrace.SYSCALL_STOP else work[RCX]

    def _page(self, thread: Thread) -> int:
        mm = thread.mm
        if not mm.code and mm.syscall_at:
            call = self.injector.call
            at = call(thread.tid, mm.syscall_at, SYS_MMAP, 0, PAGE, _PROT_READ_EXEC, _MAP_PRIVATE_ANONYMOUS, _U64, 0)
            if at > 0:
                ptrace.poke(thread.tid, at, _CODE)
                mm.code = at
        return mm.code


class BulkMemory:
    """The memory of a process of which one thread is stopped: that thread can do large work for the device."""

    def __init__(self, memory: ProcessMemory, thread: Thread, borrower: Borrower) -> None:
        self.thread, self._run = thread, borrower.run
        self.read_into, self.write = memory.read_into, memory.write
        self.present, self.write_record = memory.present, memory.write_record

    @staticmethod
    def pays(descriptor: bytes) -> bool:
        """Whether a descriptor, or a member of its batch, may be large enough."""
        return descriptor[34] >= BULK >> 16 or descriptor[35] > 0 or descriptor[7] == _BATCH

    def copy(self, target: int, source: int, length: int) -> int:
        """As the accelerator's Memory; 0 where the regions overlap."""
        if max(source, target) + length >= _TOP or (source < target + length and target < source + length):
            return 0
        return length - self._run(self.thread, _MOVE, length, {RDI: target, RSI: source})[0]

    def fill(self, target: int, pattern: bytes, length: int) -> int:
        """As the accelerator's Memory; patterns of 8 bytes."""
        if target + length >= _TOP or len(pattern) != 8:
            return 0
        value = int.from_bytes(pattern, "little")
        if pattern == pattern[:1] * 8:
            return length - self._run(self.thread, _FILL, length, {RDI: target, RAX: value})[0]
        words = length // 8
        return 8 * (words - self._run(self.thread, _FILL_WORDS, words, {RDI: target, RAX: value})[0])

    def equal(self, first: int, second: int, length: int) -> int:
        """As the accelerator's Memory."""
        if max(first, second) + length >= _TOP:
            return 0
        whole = length & ~63
        return whole - self._run(self.thread, _EQUAL, whole, {RSI: first, RDI: second})[0]

    def equal_pattern(self, address: int, pattern: int, length: int) -> int:
        """As the accelerator's Memory."""
        if address + length >= _TOP:
            return 0
        whole = length & ~63
        return whole - self._run(self.thread, _PATTERN, whole, {RSI: address, RDX: pattern})[0]

    def crc32c(self, address: int, length: int, register: int) -> tuple[int, int]:
        """As the accelerator's Memory: three strands at a time, joined afterwards."""
        done = 0
        while _has_crc32() and address + length < _TOP and length - done >= BULK:
            strand = min(_CRC_PIECE, (length - done) // 3) & ~7
            start = {RSI: address + done, RDX: strand, RDI: 2 * strand, R8: register, R9: 0, RBX: 0}
            left, found = self._run(self.thread, _CRC, strand, start)
            if left:
                break
            register = crc32c_join(crc32c_join(found[R8], found[R9], strand), found[RBX], strand)
            done += 3 * strand
        return done, register


@cache
def _has_crc32() -> bool:
    """Whether the CPU has the CRC32 instruction (SSE4.2)."""
    with open("/proc/cpuinfo") as file:
        return next((" sse4_2 " in line for line in file if line.startswith("flags")), False)
