"""Carries out ENQCMD, ENQCMDS, MOVDIR64B and the wait instructions for a thread stopped at one.

SDM volume 2, each instruction's page.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGBUS, SIGILL, SIGSEGV
from typing import NamedTuple, NoReturn, Protocol

from pasidlab.live import ptrace
from pasidlab.live.cdev import SubmissionQueues
from pasidlab.live.decode import MAX_LENGTH, Instruction, InstructionKind, decode
from pasidlab.live.fixup import VALID, Fixup
from pasidlab.live.libc import Iovec, process_vm_readv
from pasidlab.live.registers import (
    CS,
    EFLAGS,
    RESUME_FLAG,
    RIP,
    STATUS_FLAGS,
    USER32_CS,
    ZF,
    RegisterArray,
    Registers,
    is_canonical,
    runs_64_bit_code,
)
from pasidlab.live.shortcuts import Shortcuts
from pasidlab.live.sites import SubmissionSite
from pasidlab.live.state import Iommu, Portal, Thread

GENERAL_PROTECTION, PAGE_FAULT = 13, 14  # vectors, SDM volume 3, table 6-1
_PF_USER = 4  # with bit 0 for a page that was present and bit 1 for a write: error code of #PF
_USER_TOP = (1 << 47) - 1  # kernel addresses show as present whatever they are: set_signal_archinfo(), fault.c
_MOST_CACHED = 4096  # instructions: a program may make new ones all the time
_FIXUPS = 64
"""A design whose fix-up says 'try again' this often in a row without a valid MSR faults for ever."""

_REFUSED = "the #GP handler gives this thread no PASID, though its process has one"
_WITHOUT = "the process has no PASID: it has not opened the device since it began, or since it called exec"


@dataclass(eq=False)  # not frozen: contextlib sets __traceback__
class Fault(Exception):
    """The instruction faults: the program gets ``signal`` with ``code`` and ``address`` (arch/x86/mm/fault.c).

    ``trap`` is the vector and ``error`` the error code that the signal frame shows (SDM volume 3, 6.15).
    """

    code: int
    address: int
    reason: str
    trap: int
    error: int = 0
    signal: int = SIGSEGV


def general_protection(reason: str) -> Fault:
    """#GP(0): SI_KERNEL and no address."""
    return Fault(ptrace.SI_KERNEL, 0, reason, GENERAL_PROTECTION)


def page_fault(thread: Thread, address: int, reason: str, *, write: bool = False) -> Fault:
    """#PF in user mode at ``address``. Where the protection allows the access, a file has nothing there: SIGBUS. Raises Gone if the process
    was killed meanwhile.
    """
    thread.mm.memory.check_not_gone()
    mapping = thread.mm.mapping_at(thread.tid, address)
    readable = mapping is not None and mapping.permissions[0] == "r"
    present = address > _USER_TOP or (readable and thread.mm.memory.present(address, 1) == 1)
    error = _PF_USER | write << 1 | present
    if mapping and mapping.path.startswith("/") and mapping.permissions[write] != "-":
        return Fault(ptrace.BUS_ADRERR, address, reason, PAGE_FAULT, error, SIGBUS)
    code = ptrace.SEGV_ACCERR if mapping else ptrace.SEGV_MAPERR
    return Fault(code, address, reason, PAGE_FAULT, error)


class Events(Protocol):
    """What the emulator tells the diagnosis."""

    def fixup_done(self, thread: Thread, ip: int, again: bool, valid: bool) -> None:
        """A #GP fix-up ran: whether it asked for another try, and whether the MSR is valid back in user mode."""

    def fault(self, thread: Thread, ip: int, instruction: Instruction, fault: Fault) -> None:
        """An instruction faulted."""

    def dropped(self, thread: Thread, ip: int, reason: str) -> None:
        """A store did not reach a queue."""

    def second_tracer(self, thread: Thread, ip: int) -> None:
        """A debugger inside the run asked for ptrace(2), and was refused."""

    def out_of_reach(self, thread: Thread, ip: int) -> None:
        """Nobody may read the memory of the program in which an instruction trapped."""

    def distrust_files(self) -> None:
        """Files may be the program's own to serve: reading one could wait for it."""


class Sent(Exception):
    """The signal was sent: siginfo may say anything (rt_sigqueueinfo(2) to oneself)."""


class Raised(NamedTuple):
    """What the siginfo of a stop says of the instruction that raised it."""

    signal: int
    code: int
    address: int

    @property
    def page_at(self) -> int | None:
        """The page fault's address, None if it was none."""
        return None if self.signal == SIGILL or self.code >= ptrace.SI_KERNEL else self.address

    @property
    def is_bus_error(self) -> bool:
        """SIGBUS that is no page fault's (#SS, #NP), which no instruction of ours raises."""
        return self.signal == SIGBUS and self.page_at is None


class StoppedThread:
    """A thread stopped at one of our instructions: its registers."""

    def __init__(self) -> None:
        self.registers = Registers()
        self.at = ctypes.addressof(self.registers)
        self.ip = 0


class Emulator:
    """One instruction at a time. A submission may wait, and then others go on: each has a frame to itself."""

    def __init__(self, fixup: Fixup, queues: SubmissionQueues, iommu: Iommu, events: Events, shortcuts: Shortcuts) -> None:
        self.fixup, self.queues, self.iommu, self.events, self.shortcuts = fixup, queues, iommu, events, shortcuts
        self._frames: list[StoppedThread] = []  # free ones
        self._cache: dict[int, SubmissionSite] = {}
        self._buffer = ctypes.create_string_buffer(MAX_LENGTH + 64)
        self._view = memoryview(self._buffer).cast("B")
        self._local = Iovec(ctypes.addressof(self._buffer), 0)
        self._remote = (Iovec * 2)()
        self._code_iov, self._source_iov = self._remote[0], self._remote[1]
        self._local_at, self._remote_at = ctypes.addressof(self._local), ctypes.addressof(self._remote)
        self._kinds: dict[InstructionKind, Callable[[Thread, Instruction, bytes | None, StoppedThread], Portal | None]] = {
            InstructionKind.ENQCMD: self._enqcmd, InstructionKind.ENQCMDS: self._enqcmds, InstructionKind.MOVDIR64B: self._movdir64b,
            InstructionKind.UMONITOR: self._umonitor, InstructionKind.UMWAIT: self._wait, InstructionKind.TPAUSE: self._wait,
        }  # fmt: skip

    def step(self, thread: Thread, raised: Raised | None = None, wanted: Callable[[], bool] | None = None) -> bool:
        """Emulate the instruction at the thread's RIP; false if it is not one of ours. Raises Fault.

        Raises Interrupted where memory that the program serves is waited for, nothing has been done yet, and ``wanted`` says yes: as
        handle_userfault() waits (fs/userfaultfd.c, v6.12), interruptibly.

        ``raised``: what the instruction is said to have raised. Raises Sent, and changes nothing, if it did not. None: it stands here
        to be carried out.
        """
        frame = self._frames.pop() if self._frames else StoppedThread()
        try:
            ptrace.get_registers_at(thread.tid, frame.at)
            patient = thread.mm.memory.patient
            if patient is None or wanted is None:
                return self._step(thread, frame, raised)
            with patient.interruptible(wanted):
                return self._step(thread, frame, raised)
        finally:
            self._frames.append(frame)

    def _step(self, thread: Thread, frame: StoppedThread, raised: Raised | None) -> bool:
        registers = frame.registers
        if raised and self._was_sent(thread, raised, registers):
            raise Sent
        site = self.shortcuts.restore(thread, registers) if thread.mm.shortcut and runs_64_bit_code(registers) else None
        replaced = site is not None
        if site is None:
            if raised and raised.page_at is not None and 0 <= raised.page_at - registers[RIP] < MAX_LENGTH:
                return self._back_to_copy(thread, frame)  # the instruction could not be fetched
            if raised and raised.signal == SIGILL and raised.address != registers[RIP]:
                return False  # it was sent: exc_invalid_op(), arch/x86/kernel/traps.c, v6.12
            site, source = self._site(thread, registers)
            if site is None:
                return False
            if raised and not (registers[EFLAGS] & RESUME_FLAG and _may_raise(site, raised, registers)):
                raise Sent
        elif registers[RIP] == site.end:  # it was carried out already
            ptrace.set_registers_at(thread.tid, frame.at)
            return True
        else:
            if thread.batched:
                thread.mm.commits()
            source = self._read_known(thread, 0, b"", site.instruction.source(registers))
        frame.ip = site.ip
        try:
            portal = self._kinds[site.instruction.kind](thread, site.instruction, source, frame)
        except Fault as fault:
            thread.batched = 0
            self.events.fault(thread, site.ip, site.instruction, fault)
            if replaced:
                ptrace.set_registers_at(thread.tid, frame.at)
            raise
        registers[RIP] = site.end
        registers[EFLAGS] &= ~RESUME_FLAG
        if portal and replaced:
            self.shortcuts.grant(thread, registers, site, portal)
        ptrace.set_registers_at(thread.tid, frame.at)
        if portal and not (replaced and thread.mm.shortcut and thread.mm.shortcut.shared):
            self.shortcuts.consider(thread, site)
        return True

    def _back_to_copy(self, thread: Thread, frame: StoppedThread) -> bool:
        found = self.shortcuts.back_to_copy(thread, frame.registers)
        if found:
            ptrace.set_registers_at(thread.tid, frame.at)
        return found

    def _was_sent(self, thread: Thread, raised: Raised, registers: RegisterArray) -> bool:
        """Whether another than the instruction of ours where the thread stands has raised this. RF alone does not say that it has: what
        a hypervisor mends leaves it set, too (SDM volume 3, "Saving RIP, RSP, RFLAGS, and SSP").
        """
        space, ip = thread.mm.shortcut, registers[RIP]
        area = space.area_at(ip) if space else None
        if area is None:
            return False
        if not registers[EFLAGS] & RESUME_FLAG:
            return True
        if raised.signal == SIGILL:
            return not (raised.address == ip and area.traps_at(ip))
        return raised.is_bus_error or not self.shortcuts.may_fault(thread, area, registers, raised.page_at)

    def _site(self, thread: Thread, registers: RegisterArray) -> tuple[SubmissionSite | None, bytes | None]:
        """The instruction at RIP, None if it is not one of ours, and what its source holds."""
        ip, wide = registers[RIP], runs_64_bit_code(registers)
        if not wide and registers[CS] != USER32_CS:
            return None, None  # code of 16 bits, or where a segment has a base: not supported
        known = ip if wide else ~ip
        site = self._cache.get(known)
        source = self._read_known(thread, ip, site.original, site.instruction.source(registers)) if site else None
        if site is None or source is None:
            read = thread.mm.memory.read
            readable = read(ip, MAX_LENGTH)
            code = readable or thread.mm.instructions_at(thread.tid, ip, MAX_LENGTH)
            if not code:
                thread.mm.memory.check_not_gone()
                self.events.out_of_reach(thread, ip)
            instruction = decode(code, compatible=not wide)
            if instruction is None:
                site = thread.mm.shortcut.replaced(ip, code) if thread.mm.shortcut and wide else None
                return site, read(site.instruction.source(registers), 64) if site else None
            if len(self._cache) >= _MOST_CACHED:
                self._cache.clear()
            site = self._cache[known] = SubmissionSite(ip, instruction, code[: instruction.length])
            at = instruction.source(registers)
            source = self._read_known(thread, ip, site.original, at) if readable else read(at, 64)
        return site, source

    def _read_known(self, thread: Thread, ip: int, code: bytes, source: int) -> bytes | None:
        """The 64 bytes of an instruction's source. The same call reads the instruction, to see that it has not changed.

        None if the code changed; fewer than 64 bytes where the source faults. No ``code``: it is known already.
        """
        length = len(code)
        if thread.mm.served:
            memory = thread.mm.memory
            return memory.read(source, 64) if memory.read(ip, length) == code else None
        self._code_iov.base, self._code_iov.length = ip, length
        self._source_iov.base, self._source_iov.length = source, 64
        self._local.length = length + 64
        count = process_vm_readv(thread.tid, self._local_at, 1, self._remote_at, 2, 0)
        if count < length or self._view[:length] != code:
            return None
        return bytes(self._view[length:count])

    def _enqcmd(self, thread: Thread, instruction: Instruction, source: bytes | None, frame: StoppedThread) -> Portal | None:
        registers = frame.registers
        destination = instruction.destination(registers)
        _check_destination(destination)
        msr = self.fixup.msr(thread)
        if not msr & VALID:
            msr = self._populate(thread, frame)
        command = self._source(thread, instruction, source, frame)
        if command[:4] != b"\0\0\0\0":
            raise general_protection("bits 31:0 of the descriptor are not zero: the CPU puts the PASID there")
        portal = self._portal(thread, destination)
        accepted = False
        if portal is None:
            self._ordinary(thread, destination, "ENQCMD", frame)
        else:
            thread.mm.commits()
            pasid = msr & 0xFFFFF
            accepted = self.queues.submit(portal.file.node, pasid, pasid.to_bytes(4, "little") + command[4:], thread, "enqcmd", frame.ip)
        registers[EFLAGS] = registers[EFLAGS] & ~STATUS_FLAGS | (0 if accepted else ZF)
        return portal if accepted else None

    def _populate(self, thread: Thread, frame: StoppedThread) -> int:
        """The #GP for an invalid MSR, and the design's answer to it, until the MSR is valid."""
        for _ in range(_FIXUPS):
            again = self.fixup.fixup(thread)
            msr = self.fixup.msr(thread)
            self.events.fixup_done(thread, frame.ip, again, bool(msr & VALID))
            if not again:
                raise general_protection(f"IA32_PASID is not valid, and {_REFUSED if thread.mm.pasid else _WITHOUT}")
            if msr & VALID:
                return msr
        raise general_protection("the #GP handler asked again and again for another try without a valid IA32_PASID")

    def _enqcmds(self, thread: Thread, instruction: Instruction, source: bytes | None, frame: StoppedThread) -> NoReturn:
        raise general_protection("ENQCMDS is for the kernel only (CPL 0)")

    def _movdir64b(self, thread: Thread, instruction: Instruction, source: bytes | None, frame: StoppedThread) -> Portal | None:
        destination = instruction.destination(frame.registers)
        _check_destination(destination)
        command = self._source(thread, instruction, source, frame)
        portal = self._portal(thread, destination)
        if portal is None:
            self._ordinary(thread, destination, "MOVDIR64B", frame)
            if thread.mm.served:
                thread.mm.memory.read(destination, 64)  # waits for the page as long as nothing is done
            thread.mm.commits()
            if thread.mm.memory.write(destination, command) < 64:
                raise page_fault(thread, destination, "the destination is not writable", write=True)
            return None
        thread.mm.commits()
        accepted = self.queues.submit(portal.file.node, portal.file.mm.pasid, command, thread, "movdir64b", frame.ip)
        return portal if accepted else None

    def _portal(self, thread: Thread, destination: int) -> Portal | None:
        """The portal at this address, if it may be written."""
        page = destination & ~0xFFF
        portal = thread.mm.portals.get(page)
        if portal is None or (portal.watched and portal.writable):
            return portal
        if not portal.watched:  # nobody tells when it is unmapped: look. Slow, and rare
            mapping = thread.mm.mapping_at(thread.tid, page)
            if mapping is None or mapping.path != portal.path:
                thread.mm.drop_portal(page)
                return None
        return portal if portal.writable else None

    def _source(self, thread: Thread, instruction: Instruction, source: bytes | None, frame: StoppedThread) -> bytes:
        if source is not None and len(source) == 64:
            return source
        start = instruction.source(frame.registers)
        address = start + (len(source) if source else 0)
        if not is_canonical(address):
            raise general_protection("the source address is not canonical")
        raise page_fault(thread, address, f"the descriptor at {start:#x} cannot be read")

    def _ordinary(self, thread: Thread, destination: int, name: str, frame: StoppedThread) -> None:
        """The destination is no portal: fine in ordinary writable memory, a page fault elsewhere."""
        mapping = thread.mm.mapping_at(thread.tid, destination)
        if mapping is None:
            raise page_fault(thread, destination, f"{name} to an address where nothing is mapped", write=True)
        if mapping.permissions[1] != "w":
            where = mapping.path or "anonymous"
            raise page_fault(thread, destination, f"{name} to memory that is not writable ({where})", write=True)
        if name == "ENQCMD":
            reason = "ENQCMD to ordinary memory: never accepted, the program is told to retry"
            self.events.dropped(thread, frame.ip, reason)

    def _umonitor(self, thread: Thread, instruction: Instruction, source: bytes | None, frame: StoppedThread) -> Portal | None:
        """Arms an address: faults as a load of one byte; nothing else to do, as UMWAIT may return at any time."""
        address = instruction.monitored(frame.registers)
        if not is_canonical(address):
            raise general_protection("the monitored address is not canonical")
        if not thread.mm.memory.read(address, 1):
            raise page_fault(thread, address, "the monitored address cannot be read")
        return None

    def _wait(self, thread: Thread, instruction: Instruction, source: bytes | None, frame: StoppedThread) -> Portal | None:
        if frame.registers[instruction.register] & 0xFFFFFFFE:
            raise general_protection("reserved bits of the control operand are set")
        frame.registers[EFLAGS] &= ~STATUS_FLAGS
        return None


def _may_raise(site: SubmissionSite, raised: Raised, registers: RegisterArray) -> bool:
    """Whether the instruction where the thread stands may have raised this."""
    if raised.page_at is None:
        return not raised.is_bus_error
    return site.instruction.accesses(registers, raised.page_at)


def _check_destination(address: int) -> None:
    if address & 63:
        raise general_protection("the destination is not aligned to 64 bytes")
    if not is_canonical(address):
        raise general_protection("the destination address is not canonical")
