"""The accelerators: one descriptor in, its effect on memory and its completion record out (DSA spec 3, 5 and 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from pasidlab.accelerator import abi, cipher, comparing, crc64, decompress, deflate, filters, iax, integrity, moving, zeros
from pasidlab.accelerator.abi import DESCRIPTOR_SIZE, QUIET, RECORD_SIZE, Cap, Descriptor, Flag, Op, Status
from pasidlab.accelerator.analytics import carried_out
from pasidlab.accelerator.legality import RULES, Checker, Rejection, Rule, WqLimits
from pasidlab.accelerator.limits import LIMITS, Limit
from pasidlab.accelerator.transfer import Access, Bench, DescriptorOutcome, Memory

DsaOperation = Callable[[Descriptor, Access, DescriptorOutcome], DescriptorOutcome]
OPERATIONS: dict[int, DsaOperation] = {
    Op.NOOP: moving.no_operation,
    Op.DRAIN: moving.drain,
    Op.MEMORY_MOVE: moving.memory_move,
    Op.FILL: moving.fill,
    Op.COMPARE: comparing.compare,
    Op.COMPARE_PATTERN: comparing.compare_pattern,
    Op.CREATE_DELTA: comparing.create_delta,
    Op.APPLY_DELTA: comparing.apply_delta,
    Op.DUALCAST: moving.dualcast,
    Op.TRANSLATION_FETCH: moving.translation_fetch,
    Op.CRC: integrity.crc,
    Op.COPY_CRC: integrity.crc,
    Op.DIF_CHECK: integrity.dif,
    Op.DIF_INSERT: integrity.dif,
    Op.DIF_STRIP: integrity.dif,
    Op.DIF_UPDATE: integrity.dif,
    Op.DIX_GENERATE: integrity.dif,
    Op.CACHE_FLUSH: moving.cache_flush,
}
_VALID, _REQUEST, _BLOCK, _TC = Flag.RECORD_ADDRESS_VALID, Flag.REQUEST_RECORD, Flag.BLOCK_ON_FAULT, Flag.RECORD_TC
_BATCH, _SUCCESS, _BAD_TC = int(Op.BATCH), int(Status.SUCCESS), int(Status.TRAFFIC_CLASS)


@dataclass(frozen=True)
class DeviceKind:
    """What a kind of device understands. ``record_size`` is also the alignment of its completion records."""

    operations: Mapping[int, DsaOperation]
    rules: Mapping[int, Rule]
    limits: Mapping[int, Limit]
    record_size: int


DSA = DeviceKind(OPERATIONS, RULES, LIMITS, RECORD_SIZE)
_IAX_OPERATIONS: dict[int, DsaOperation] = {
    Op.NOOP: moving.no_operation,
    Op.DRAIN: moving.drain,
    Op.MEMORY_MOVE: moving.memory_move,
    Op.TRANSLATION_FETCH: moving.translation_fetch,
    **dict.fromkeys((Op.DECRYPT, Op.ENCRYPT), carried_out(cipher.run_cipher)),
    Op.DECOMPRESS: carried_out(decompress.decompress),
    Op.COMPRESS: carried_out(deflate.compress),
    Op.CRC64: crc64.crc64,
    **{code: carried_out(zeros.zero_compress if code >= Op.ZERO_COMPRESS_32 else zeros.zero_decompress) for code in zeros.WORDS},
    **{code: carried_out(filters.run_filter) for code in iax.FILTERS},
}
IAX = DeviceKind(_IAX_OPERATIONS, iax.IAX_RULES, iax.IAX_LIMITS, iax.RECORD_SIZE)


class Accelerator:
    """A device of one kind with the capabilities ``gencap`` (DSA spec 9.2.2).

    It keeps nothing between two descriptors but its buffers. Descriptors may be carried out interleaved (memory that waits
    lets others go on), but not by two threads at once.
    """

    def __init__(self, gencap: int = abi.GENCAP_1_0, kind: DeviceKind = DSA) -> None:
        self.gencap, self.kind = gencap, kind
        self._benches: list[Bench] = []  # those that nobody works on
        self._checkers: dict[WqLimits, Checker] = {}

    def execute(
        self, descriptor: bytes, memory: Memory, wq: WqLimits, *, strict_faults: bool = False, rng: Random | None = None, begun: int = 0
    ) -> DescriptorOutcome:
        """Check and run one 64-byte descriptor, then write its completion record.

        With ``strict_faults`` a descriptor without block on fault stops at the first page that is not present. With
        ``rng`` the members of a batch run in any order that its fences allow. ``begun`` members of a batch have succeeded
        already, and are not among those of the outcome.
        """
        d = Descriptor(descriptor)
        o = DescriptorOutcome(_SUCCESS, d.opcode)
        wrong = self._check(d, memory, wq, False)
        if wrong:
            _reject(o, wrong)
        elif d.opcode == _BATCH:
            self._batch(d, memory, wq, strict_faults, rng, o, min(begun, d.size))
        else:
            self._operate(d, memory, strict_faults, o)
        return _complete(d, memory, o, self.kind.record_size)

    def _operate(self, d: Descriptor, memory: Memory, strict: bool, o: DescriptorOutcome) -> None:
        bench = self._benches.pop() if self._benches else Bench()
        access = Access(memory, strict, bool(d.flags & _BLOCK), self.gencap, bench)
        try:
            self.kind.operations[d.opcode](d, access, o)
        finally:
            self._benches.append(bench)
        if not strict or o.status in abi.FAULTS:
            o.absent = access.absent

    def fail(self, descriptor: bytes, memory: Memory, status: int) -> DescriptorOutcome:
        """Complete ``descriptor`` with ``status`` and nothing done, like a device that met it at the first byte."""
        d = Descriptor(descriptor)
        if d.flags & _VALID and d.record % self.kind.record_size:
            status = Status.RECORD_MISALIGNED
        o = DescriptorOutcome(status & 0x7F, d.opcode, reason=f"injected: {abi.status_text(status)}")
        if o.status in abi.FAULTS:
            o.write_fault = bool(status & abi.WRITE_FAULT)
            o.fault_address = d.second if o.write_fault else d.first
        if o.status == Status.BAD_FLAGS:
            o.tail = (d.flags & 0xFFFFFF).to_bytes(3, "little")
        return _complete(d, memory, o, self.kind.record_size)

    def checker(self, wq: WqLimits) -> Checker:
        """The rules of a work queue on this device."""
        checker = self._checkers.get(wq)
        if checker is None:
            checker = self._checkers[wq] = Checker(wq, self.gencap, self.kind.rules)
        return checker

    def _check(self, d: Descriptor, memory: Memory, wq: WqLimits, in_batch: bool) -> Rejection | None:
        flags, size = d.flags, self.kind.record_size
        if flags & _VALID:
            if d.record % size:
                return Rejection(Status.RECORD_MISALIGNED, f"completion record 0x{d.record:x} is not {size}-byte aligned")
            writable = getattr(memory, "writable", None)
            if writable and writable(d.record, size) < size:
                return Rejection(Status.RECORD_PAGE_FAULT, f"completion record 0x{d.record:x} cannot be written")
        wrong = self.checker(wq).check(d, in_batch)
        if wrong is None:
            limit = self.kind.limits.get(d.opcode)
            if limit:
                return limit(d, wq, self.gencap)
        return wrong

    def _batch(
        self, d: Descriptor, memory: Memory, wq: WqLimits, strict: bool, rng: Random | None, o: DescriptorOutcome, begun: int
    ) -> None:
        """Read the whole list, then run it: a member may overwrite its own descriptor (DSA spec 3.8, 3.9, 8.3.2)."""
        start, left = d.first + begun * DESCRIPTOR_SIZE, d.size - begun
        listed = bytearray(left * DESCRIPTOR_SIZE)
        got = memory.read_into(start, memoryview(listed))
        count = got // DESCRIPTOR_SIZE
        failed = bool(d.flags & abi.BATCH_ERROR)
        segment: list[Descriptor] = []
        stopped = False
        for at in range(count):
            member = Descriptor(bytes(listed[at * DESCRIPTOR_SIZE : (at + 1) * DESCRIPTOR_SIZE]))
            if member.flags & Flag.FENCE:
                failed |= self._run_members(segment, memory, wq, strict, rng, o)
                segment = []
                if failed:
                    stopped = True
                    break
            segment.append(member)
        failed |= self._run_members(segment, memory, wq, strict, rng, o)
        o.bytes_completed, o.abandoned = begun + len(o.members), left - len(o.members)
        o.moved = sum(member.moved for member in o.members)
        if failed and self.gencap & Cap.BATCH_CONTINUATION:
            o.result = 1
        if count < left and not stopped:
            o.status, o.fault_address = Status.BATCH_PAGE_FAULT, start + got
            o.reason = f"page fault reading the descriptor list at 0x{start + got:x}"
        elif failed:
            o.status = Status.BATCH_FAILED
            bad = sum(member.status != Status.SUCCESS for member in o.members)
            rest = f", {o.abandoned} abandoned at a fence" if o.abandoned else ""
            o.reason = f"{bad} of {d.size} descriptors failed{rest}"

    def _run_members(
        self, members: list[Descriptor], memory: Memory, wq: WqLimits, strict: bool, rng: Random | None, o: DescriptorOutcome
    ) -> bool:
        """Run what lies between two fences; whether any did not succeed."""
        if rng:
            rng.shuffle(members)
        failed = False
        for d in members:
            member = DescriptorOutcome(_SUCCESS, d.opcode)
            wrong = self._check(d, memory, wq, True)
            if wrong:
                _reject(member, wrong)
            else:
                self._operate(d, memory, strict, member)
            o.members.append(_complete(d, memory, member, self.kind.record_size))
            failed |= member.status != Status.SUCCESS
        return failed


def _reject(o: DescriptorOutcome, wrong: Rejection) -> None:
    o.status, o.reason = wrong.status, wrong.reason
    if wrong.invalid_flags:
        o.tail = wrong.invalid_flags.to_bytes(3, "little")


def _complete(d: Descriptor, memory: Memory, o: DescriptorOutcome, size: int) -> DescriptorOutcome:
    """Write the completion record where flags and status ask for one (DSA spec 5.8.1, table 8-3 bits 2 and 3)."""
    quiet = o.status in QUIET
    if not d.flags & _VALID or o.status in abi.NEVER_IN_RECORD or (o.status == _BAD_TC and d.flags & _TC):
        o.software_error = not quiet
        return o
    if quiet and not d.flags & _REQUEST:
        return o
    record = o.record(size)
    together = getattr(memory, "write_record", None)
    if together:
        put = together(d.record, record)
    else:
        put = memory.write(d.record + 1, record[1:])
        if put == size - 1:  # status last: the program polls byte 0 (DSA spec 3.6)
            put += memory.write(d.record, record[:1])
    if put < size:
        was = f" (was: {o.reason})" if o.reason else ""
        o.reason = f"completion record 0x{d.record:x} cannot be written{was}"
        o.status, o.software_error = Status.RECORD_PAGE_FAULT, True
    else:
        o.wrote_completion = True
    return o
