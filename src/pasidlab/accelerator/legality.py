"""Which flags, reserved fields and capabilities each operation admits: tables, and the one function that reads them.

DSA spec (341204-006US) sections 5.4 and 5.5, tables 5-3, 5-4 and 5-5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pasidlab.accelerator import abi
from pasidlab.accelerator.abi import Cap, Descriptor, Flag, Op, Status, operation_name


@dataclass(frozen=True, eq=False)
class WqLimits:
    """What a work queue allows (DSA spec 9.2.24, WQCFG). Sizes are bytes, ``size`` and ``threshold`` descriptors.

    ``threshold`` 0 stands for the whole ``size``. ``operations`` has bit n set where operation n may be submitted.
    ``interrupts`` is the number of valid completion interrupt handles; without ``user_interrupts`` a user-mode
    descriptor may not ask for one (GENCFG). ``second_tc`` says whether TC-B is a configured traffic class.
    """

    shared: bool = True
    size: int = 16
    threshold: int = 0
    block_on_fault: bool = True
    max_batch_size: int = 1024
    max_transfer_size: int = 1 << 31
    operations: int = abi.OPERATIONS_2_0
    user_interrupts: bool = False
    interrupts: int = 0
    second_tc: bool = True
    privileged_mode: bool = False
    ats: bool = True


@dataclass(frozen=True)
class Rejection:
    """A descriptor that never ran: the status code, what was wrong in words, and the invalid flags if it was those."""

    status: int
    reason: str
    invalid_flags: int = 0


@dataclass(frozen=True)
class Rule:
    """One row of table 5-3. ``reserved``: bytes [first, last] that must be 0. ``required``: flags that must be 1."""

    allowed: int
    reserved: tuple[tuple[int, int], ...]
    required: int = 0

    @property
    def mask(self) -> int:
        """``reserved`` as a mask over the descriptor's 512 bits."""
        return sum((1 << 8 * (last - first + 1)) - 1 << 8 * first for first, last in self.reserved)


_BOF, _CHECK, _ORDER = Flag.BLOCK_ON_FAULT, Flag.CHECK_RESULT, Flag.STRICT_ORDERING
_TC1, _TC2, _TC3 = Flag.ADDRESS_1_TC, Flag.ADDRESS_2_TC, Flag.ADDRESS_3_TC
_CACHE = Flag.CACHE_CONTROL_1 | Flag.CACHE_CONTROL_2 | Flag.CACHE_CONTROL_3
_WRITES = _BOF | _CACHE | _ORDER
_RESULT = Flag.RECORD_ADDRESS_VALID | Flag.REQUEST_RECORD  # operations that yield a result, table 5-5
_CRC = abi.READ_SEED | abi.BYPASS_INVERSION | abi.BYPASS_DATA_REFLECTION | abi.CRC_64

RULES: dict[int, Rule] = {
    Op.NOOP: Rule(0, ((16, 35), (38, 63))),
    Op.BATCH: Rule(_TC1 | abi.BATCH_ERROR, ((24, 31), (38, 63))),
    Op.DRAIN: Rule(_TC1 | _TC2 | 0xF0000, ((32, 35), (38, 63))),
    Op.MEMORY_MOVE: Rule(_WRITES | _TC1 | _TC2, ((38, 63),)),
    Op.FILL: Rule(_WRITES | _TC2 | abi.PATTERN_16, ((38, 39), (48, 63))),
    Op.COMPARE: Rule(_BOF | _CHECK | _TC1 | _TC2, ((38, 39), (41, 63)), _RESULT),
    Op.COMPARE_PATTERN: Rule(_BOF | _CHECK | _TC1, ((38, 39), (41, 63)), _RESULT),
    Op.CREATE_DELTA: Rule(_WRITES | _CHECK | _TC1 | _TC2 | _TC3, ((38, 39), (52, 55), (57, 63)), _RESULT),
    Op.APPLY_DELTA: Rule(_WRITES | _TC1 | _TC2, ((38, 39), (44, 63))),
    Op.DUALCAST: Rule(_WRITES | _TC1 | _TC2 | _TC3, ((38, 39), (48, 63))),
    Op.TRANSLATION_FETCH: Rule(_BOF | abi.USE_STRIDE, ((24, 31), (38, 47), (52, 63))),
    Op.CRC: Rule(_BOF | _TC1 | _TC3 | _CRC, ((24, 31), (38, 39), (56, 63)), _RESULT),
    Op.COPY_CRC: Rule(_WRITES | _TC1 | _TC2 | _TC3 | _CRC, ((38, 39), (56, 63)), _RESULT),
    Op.DIF_CHECK: Rule(_BOF | _TC1, ((24, 31), (38, 39), (41, 41), (43, 47), (56, 63)), _RESULT),
    Op.DIF_INSERT: Rule(_WRITES | _TC1 | _TC2, ((38, 40), (43, 55))),
    Op.DIF_STRIP: Rule(_WRITES | _TC1 | _TC2, ((38, 39), (41, 41), (43, 47), (56, 63))),
    Op.DIF_UPDATE: Rule(_WRITES | _TC1 | _TC2, ((38, 39), (43, 47))),
    # Required by 8.3.18, though missing in table 5-5.
    Op.DIX_GENERATE: Rule(_WRITES | _TC1 | _TC2, ((38, 40), (43, 55)), _RESULT),
    # Cache control encodings 000 and 010 only, 8.3.26 and table 8-4.
    Op.CACHE_FLUSH: Rule(_BOF | Flag.CACHE_CONTROL_2 | _ORDER | _TC2, ((16, 23), (38, 63))),
}
NOT_IN_BATCH = frozenset({Op.BATCH, Op.DRAIN, 0x21})  # 5.4

# Flags that a capability bit must be set for: (flag, operations it concerns or None for all, capability).
_NEEDS: tuple[tuple[int, frozenset[int] | None, int], ...] = (
    (Flag.BLOCK_ON_FAULT, None, Cap.BLOCK_ON_FAULT),
    (Flag.CACHE_CONTROL_1, None, Cap.CACHE_CONTROL),
    (Flag.CACHE_CONTROL_2, None, Cap.DESTINATION_READBACK),
    (Flag.CACHE_CONTROL_3, None, Cap.DURABLE_WRITE),
    (abi.BATCH_ERROR, frozenset({Op.BATCH}), Cap.BATCH_CONTINUATION),
    (abi.READBACK_1 | abi.READBACK_2, frozenset({Op.DRAIN}), Cap.DRAIN_READBACK),
    (abi.PATTERN_16, frozenset({Op.FILL}), Cap.FILL_16),
    (abi.USE_STRIDE, frozenset({Op.TRANSLATION_FETCH}), Cap.TRANSLATION_STRIDE),
    (abi.CRC_64, frozenset({Op.CRC, Op.COPY_CRC}), Cap.CRC_64),
)


def _fill(d: Descriptor) -> int:
    return 0 if d.flags & abi.PATTERN_16 else 0xFFFFFFFFFFFFFFFF << 8 * 40


def _crc(d: Descriptor) -> int:
    if d.flags & abi.READ_SEED:
        return 0xFFFFFFFFFFFFFFFF << 8 * 40
    return 0xFFFFFFFFFFFFFFFF << 8 * 48 | (0 if d.flags & abi.CRC_64 else 0xFFFFFFFF << 8 * 44)


def _drain(d: Descriptor) -> int:
    first = 0 if d.flags & abi.READBACK_1 else 0xFFFFFFFFFFFFFFFF << 8 * 16
    return first | (0 if d.flags & abi.READBACK_2 else 0xFFFFFFFFFFFFFFFF << 8 * 24)


def _stride(d: Descriptor) -> int:
    return 0 if d.flags & abi.USE_STRIDE else 0xFFFFFFFF << 8 * 48


def _dif_flags(d: Descriptor) -> int:
    return 0xF0 << 8 * 42  # DIF flags 7:4, 8.3.17.1


def _dif_destination(d: Descriptor) -> int:
    return 0xF0 << 8 * 42 | 0x07 << 8 * 41  # and destination DIF flags 2:0, 8.3.17.3


RESERVED_WHEN: dict[int, Callable[[Descriptor], int]] = {  # table 5-4 and section 8.3
    Op.FILL: _fill,
    Op.CRC: _crc,
    Op.COPY_CRC: _crc,
    Op.DRAIN: _drain,
    Op.TRANSLATION_FETCH: _stride,
    Op.DIF_CHECK: _dif_flags,
    Op.DIF_STRIP: _dif_flags,
    Op.DIF_INSERT: _dif_destination,
    Op.DIF_UPDATE: _dif_destination,
    Op.DIX_GENERATE: _dif_destination,
}
_HANDLE = 0xFFFF << 8 * 36
_DRAIN = int(Op.DRAIN)
_INTERRUPT = Flag.REQUEST_INTERRUPT
_TCS = _TC1 | _TC2 | _TC3 | Flag.RECORD_TC
_SUSPECT = _TC3 | Flag.CACHE_CONTROL_3  # allowed or not depending on other flags


class Checker:
    """The rules of one work queue on one device, ready to test descriptors against."""

    def __init__(self, wq: WqLimits, gencap: int, rules: Mapping[int, Rule] = RULES) -> None:
        self.wq, self.gencap, self._rules = wq, gencap, rules
        common = Flag.RECORD_ADDRESS_VALID | Flag.REQUEST_RECORD | Flag.RECORD_TC
        if wq.user_interrupts:
            common |= Flag.REQUEST_INTERRUPT
        self._forbidden = [0xFFFFFF] * 256
        self._required, self._reserved = [0] * 256, [0] * 256
        for code, rule in rules.items():
            if wq.operations >> code & 1 and (code != Op.TRANSLATION_FETCH or wq.ats):
                missing = 0
                for flag, operations, need in _NEEDS:
                    if not gencap & need and (operations is None or code in operations):
                        missing |= flag
                if not wq.block_on_fault:
                    missing |= Flag.BLOCK_ON_FAULT
                self._forbidden[code] = 0xFFFFFF & ~((common | rule.allowed) & ~missing)
                self._required[code] = rule.required
                self._reserved[code] = rule.mask | _HANDLE

    def admitted(self, opcode: int) -> tuple[int, int]:
        """Flags that a descriptor outside a batch must not have, 0xFFFFFF for an operation that is none here; and must have."""
        return self._forbidden[opcode], self._required[opcode]

    def check(self, d: Descriptor, in_batch: bool) -> Rejection | None:
        """The first thing wrong with ``d`` apart from its sizes and addresses, None where it is legal."""
        opcode, flags = d.opcode, d.flags
        forbidden = self._forbidden[opcode]
        if forbidden == 0xFFFFFF or (in_batch and opcode in NOT_IN_BATCH):
            return self._unsupported(opcode, in_batch)
        bad = flags & forbidden
        if in_batch:
            bad &= ~1  # fence
        required = self._required[opcode]
        if bad or flags & _SUSPECT or flags & required != required or opcode == _DRAIN or not flags & 4:
            rejection = self._flags(d, bad, in_batch)
            if rejection:
                return rejection
        reserved = self._reserved[opcode]
        when = RESERVED_WHEN.get(opcode)
        if when:
            reserved |= when(d)
        if flags & _INTERRUPT:
            reserved &= ~_HANDLE
        found = d.bits & reserved
        if found:
            byte = ((found & -found).bit_length() - 1) // 8
            what = f"byte {byte} is 0x{d.field(byte, 1):02x}, reserved for {self._op(opcode)}"
            return Rejection(Status.RESERVED_FIELD, what)
        if not flags & 4 and d.record:
            what = "completion record address is not 0 although flag bit 2 says it is not valid"
            return Rejection(Status.RESERVED_FIELD, what)
        return self._trust(d, in_batch) if d.trusted >> 31 or flags & (_TCS | _INTERRUPT) else None

    def _unsupported(self, opcode: int, in_batch: bool) -> Rejection:
        if in_batch and opcode in NOT_IN_BATCH and opcode in self._rules:
            return Rejection(Status.BAD_OPERATION, f"{self._op(opcode)} not allowed inside a batch")
        why = "not configured for this work queue" if opcode in self._rules else "not an operation of this device"
        return Rejection(Status.BAD_OPERATION, f"{self._op(opcode)}: {why}")

    def _flags(self, d: Descriptor, bad: int, in_batch: bool) -> Rejection | None:
        flags, opcode = d.flags, d.opcode
        if not flags & Flag.RECORD_ADDRESS_VALID:
            bad |= flags & (Flag.REQUEST_RECORD | Flag.RECORD_TC)
        if opcode == Op.DRAIN:
            bad |= 0 if flags & abi.READBACK_1 else flags & _TC1
            bad |= 0 if flags & abi.READBACK_2 else flags & _TC2
        if opcode in (Op.CRC, Op.COPY_CRC) and not flags & abi.READ_SEED:
            bad |= flags & _TC3  # table 8-3, bit 11
        if flags & Flag.CACHE_CONTROL_3 and flags & Flag.CACHE_CONTROL_1:
            bad |= flags & (Flag.CACHE_CONTROL_3 | Flag.CACHE_CONTROL_1)  # encodings 101 and 111, table 8-4
        if bad:
            bit = (bad & -bad).bit_length() - 1
            return Rejection(Status.BAD_FLAGS, self._why_flag(d, bit, in_batch), bad)
        missing = self._required[opcode] & ~flags
        if opcode == Op.DRAIN and not flags & (Flag.REQUEST_RECORD | Flag.REQUEST_INTERRUPT):
            missing |= Flag.REQUEST_RECORD
        if missing:
            bit = (missing & -missing).bit_length() - 1
            what = f"flag bit {bit} ({abi.FLAG_NAMES[bit]}) must be 1 for {self._op(opcode)}"
            return Rejection(Status.BAD_FLAGS, what, missing)
        return None

    def _why_flag(self, d: Descriptor, bit: int, in_batch: bool) -> str:
        name = f"flag bit {bit} ({abi.FLAG_NAMES[bit]})" if bit in abi.FLAG_NAMES else f"flag bit {bit}"
        flag, rule = 1 << bit, self._rules[d.opcode]
        if flag == Flag.FENCE and not in_batch:
            return f"{name} not allowed outside a batch"
        if flag in (Flag.REQUEST_RECORD, Flag.RECORD_TC):
            return f"{name} not allowed without flag bit 2 (completion record address valid)"
        if flag == Flag.REQUEST_INTERRUPT:
            return f"{name} not allowed: the device has user-mode interrupts disabled"
        if flag == Flag.BLOCK_ON_FAULT and rule.allowed & flag and not self.wq.block_on_fault:
            return f"{name} not allowed: the work queue has block_on_fault=0"
        if rule.allowed & flag and self._forbidden[d.opcode] & flag:
            return f"{name} not allowed for {self._op(d.opcode)} by this device (gen_cap 0x{self.gencap:x})"
        return f"{name} not allowed for {self._op(d.opcode)}"

    def _trust(self, d: Descriptor, in_batch: bool) -> Rejection | None:
        wq = self.wq
        if d.privileged and wq.shared and not in_batch and not wq.privileged_mode:
            return Rejection(Status.PRIVILEGE, "Priv is 1 but the device has privileged mode disabled")
        if d.flags & Flag.REQUEST_INTERRUPT and d.handle >= wq.interrupts:
            return Rejection(Status.BAD_INTERRUPT_HANDLE, f"completion interrupt handle {d.handle} of {wq.interrupts}")
        if d.flags & _TCS and not wq.second_tc:
            return Rejection(Status.TRAFFIC_CLASS, "the descriptor selects TC-B, which is not configured")
        return None

    @staticmethod
    def _op(opcode: int) -> str:
        return f"opcode 0x{opcode:02x} ({operation_name(opcode)})" if opcode in abi.NAMES else f"opcode 0x{opcode:02x}"
