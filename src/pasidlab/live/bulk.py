"""Large moves and fills at the speed of memory: the thread that submitted the descriptor carries them out itself,
with REP MOVSB or
REP STOSQ in a page of ours, while it is stopped at its ENQCMD. Page tables and protection are then the process's own
by nature, and
where the processor faults RCX tells exactly how far it came.
"""

from __future__ import annotations

from signal import SIGBUS, SIGSEGV

from pasidlab.live import ptrace
from pasidlab.live.inject import Injector
from pasidlab.live.libc import PAGE, SYS_MMAP
from pasidlab.live.memory import ProcessMemory
from pasidlab.live.registers import EFLAGS, RAX, RCX, RDI, RIP, RSI, Registers
from pasidlab.live.state import Thread

BULK = 1 << 19  # bytes from which this pays
_MOVE, _FILL, _PATTERN_16 = 3, 4, 1 << 18
_CODE = bytes.fromhex(
    "f3a4 0f05 cccccccc ccccccccccccccccf348ab 0f05 cccccc"
)  # rep movsb; syscall ... rep stosq; syscall
_MOVSB, _STOSQ = 0, 16
_GETPID = 39  # never executed: the thread stops at its entry
_DIRECTION = 1 << 10
_PROT_READ_EXEC, _MAP_PRIVATE_ANONYMOUS, _U64 = 5, 0x22, (1 << 64) - 1


class Borrower:
    """Lets stopped threads work for the device."""

    def __init__(self, injector: Injector) -> None:
        self.injector = injector

    def move(self, thread: Thread, source: int, target: int, length: int) -> int:
        """Bytes copied before the first fault."""
        return length - self._run(thread, _MOVSB, target, source, length, 0)

    def fill(self, thread: Thread, target: int, pattern: int, length: int) -> int:
        """Bytes filled before the first fault; ``length`` is a multiple of 8."""
        return length - 8 * self._run(thread, _STOSQ, target, 0, length // 8, pattern)

    def _page(self, thread: Thread) -> int:
        mm = thread.mm
        if not mm.code and mm.syscall_at:
            call = self.injector.call
            at = call(thread.tid, mm.syscall_at, SYS_MMAP, 0, PAGE, _PROT_READ_EXEC, _MAP_PRIVATE_ANONYMOUS, _U64, 0)
            if at > 0:
                ptrace.poke(thread.tid, at, _CODE)
                mm.code = at
        return mm.code

    def _run(self, thread: Thread, at: int, target: int, source: int, count: int, value: int) -> int:
        """What is left in RCX."""
        tid, page = thread.tid, self._page(thread)
        if not page:
            return count
        mask, saved = ptrace.signal_mask(tid), Registers()
        ptrace.get_registers(tid, saved)
        registers = ptrace.copy_registers(saved)
        registers[RIP], registers[RDI], registers[RSI], registers[RCX] = page + at, target, source, count
        registers[RAX] = value if at == _STOSQ else _GETPID
        registers[EFLAGS] &= ~_DIRECTION
        ptrace.set_signal_mask(tid, _U64 & ~(1 << SIGSEGV - 1 | 1 << SIGBUS - 1))
        ptrace.set_registers(tid, registers)
        while True:
            ptrace.resume_to_syscall(tid)
            stop, event = self.injector.wait(tid)
            if not event and stop in (ptrace.SYSCALL_STOP, SIGSEGV, SIGBUS):
                break
        ptrace.get_registers(tid, registers)
        ptrace.set_signal_mask(tid, mask)
        ptrace.set_registers(tid, saved)
        return 0 if stop == ptrace.SYSCALL_STOP else registers[RCX]


class BulkMemory:
    """The process's memory for one large move or fill: what the thread has done is not done again.

    The first access that the device makes after it has accepted the descriptor sets the thread to work.
    """

    def __init__(self, memory: ProcessMemory, thread: Thread, borrower: Borrower, descriptor: bytes) -> None:
        self.memory, self.thread, self.borrower = memory, thread, borrower
        self.source = int.from_bytes(descriptor[16:24], "little")
        self.target = int.from_bytes(descriptor[24:32], "little")
        self.size = int.from_bytes(descriptor[32:36], "little")
        self.is_move, self.done = descriptor[7] == _MOVE, -1
        self.present, self.write_record = memory.present, memory.write_record

    @staticmethod
    def pays(descriptor: bytes) -> bool:
        """Whether this is a plain large move or fill whose buffers do not overlap."""
        if descriptor[34] < BULK >> 16 and not descriptor[35]:  # the upper bytes of the size
            return False
        size = int.from_bytes(descriptor[32:36], "little")
        if descriptor[7] not in (_MOVE, _FILL):
            return False
        source, target = int.from_bytes(descriptor[16:24], "little"), int.from_bytes(descriptor[24:32], "little")
        if max(source * (descriptor[7] == _MOVE), target) + size >= 1 << 47:
            return False
        if descriptor[7] == _FILL:
            return not int.from_bytes(descriptor[4:7], "little") & _PATTERN_16
        return source + size <= target or target + size <= source

    def _start(self) -> None:
        if self.done >= 0:
            return
        self.done = 0
        if self.is_move:
            self.done = self.borrower.move(self.thread, self.source, self.target, self.size)
        else:
            self.done = self.borrower.fill(self.thread, self.target, self.source, self.size & ~7)

    def _ready(self, base: int, address: int, length: int) -> int:
        """Bytes at ``address`` that need no access any more."""
        offset = address - base
        return min(length, self.done - offset) if 0 <= offset < self.done else 0

    def read_into(self, address: int, target: memoryview) -> int:
        """As ProcessMemory, for what is left."""
        if not self.is_move:
            return self.memory.read_into(address, target)
        self._start()
        ready = self._ready(self.source, address, len(target))
        return ready + (self.memory.read_into(address + ready, target[ready:]) if ready < len(target) else 0)

    def write(self, address: int, data: bytes | memoryview) -> int:
        """As ProcessMemory, for what is left."""
        self._start()
        ready = self._ready(self.target, address, len(data))
        return ready + (self.memory.write(address + ready, data[ready:]) if ready < len(data) else 0)
