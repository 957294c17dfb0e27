"""CRC generation, copy with CRC, and the DIF and DIX operations (DSA spec 8.3.12 to 8.3.18, appendices A and B)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator import abi
from pasidlab.accelerator.abi import Descriptor, Op, Status
from pasidlab.accelerator.checksums import crc32c, guard_tags, nvme_crc64, register_to_seed, seed_to_register
from pasidlab.accelerator.limits import DIF_SIZE, block_size
from pasidlab.accelerator.transfer import BULK, CHUNK, DESTINATION, SOURCE, SOURCE_2, Access, DescriptorOutcome

_TAGS = struct.Struct("<IHH")  # reference tag, application tag mask, application tag
DIF = np.dtype([("guard", ">u2"), ("application", ">u2"), ("reference", ">u4")])  # big-endian in memory, appendix B
GUARD_ERROR, APPLICATION_ERROR, REFERENCE_ERROR, ALL_F_ERROR = 0x01, 0x02, 0x04, 0x08  # DIF status, 8.3.17.4


def crc(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """CRC generation and copy with CRC. A fault leaves the partial value, which is the seed of a continuation."""
    width = 8 if d.flags & abi.CRC_64 else 4
    seed = d.tail40 & (1 << 8 * width) - 1
    if d.flags & abi.READ_SEED:
        if m.read(d.tail48, m.bench.view_a[:width]) < width:
            return m.fault(o, d.tail48, 0, SOURCE_2)
        seed = int.from_bytes(m.bench.view_a[:width], "little")
    function = nvme_crc64 if width == 8 else crc32c
    inversion, reflection = bool(d.flags & abi.BYPASS_INVERSION), bool(d.flags & abi.BYPASS_DATA_REFLECTION)
    copying, view = d.opcode == Op.COPY_CRC, m.bench.view_a
    done, seed = (0, seed) if width == 8 or reflection else _inside(d, m, seed, inversion)
    while done < d.size:
        length = min(CHUNK, d.size - done)
        got = m.read(d.first + done, view[:length])
        put = m.write(d.second + done, view[:got]) if copying else got
        seed = function(m.bench.a[:put], seed, inversion, reflection)
        done += put
        if put < length:
            fault, operand = (d.second, DESTINATION) if put < got else (d.first, SOURCE)
            m.fault(o, fault + done, done, operand, write=put < got)
            break
    o.tail, o.moved = seed.to_bytes(width, "little"), done
    return o


def _inside(d: Descriptor, m: Access, seed: int, inversion: bool) -> tuple[int, int]:
    """What the process can do by itself of a CRC-32C, and of the copy: bytes done, seed of the rest."""
    inside = m.inside("crc32c", d.size, d.first)
    copy = m.inside("copy", d.size, d.second) if d.opcode == Op.COPY_CRC else None
    if inside is None or (copy is None and d.opcode == Op.COPY_CRC):
        return 0, seed
    done, piece = 0, d.size
    if copy:
        piece = copy(d.second, d.first, d.size)
    if piece >= BULK:
        done, register = inside(d.first, piece, seed_to_register(seed, inversion))
        seed = register_to_seed(register, inversion)
    return done, seed


@dataclass
class Tags:
    """The tags of the next block, and how they go on: reference tags count up unless fixed, application tags do not."""

    reference: int
    mask: int
    application: int
    flags: int

    def expected(self, count: int) -> tuple[NDArray[np.uint16], NDArray[np.uint32]]:
        """Application and reference tags of the next ``count`` blocks."""
        steps = np.arange(count, dtype=np.uint64)
        application = (self.application + (steps if self.flags & 0x10 else 0 * steps)).astype(np.uint16)
        reference = (self.reference + (0 * steps if self.flags & 0x80 else steps)).astype(np.uint32)
        return application & np.uint16(~self.mask & 0xFFFF), reference

    def advance(self, count: int) -> None:
        """``count`` blocks are done."""
        if self.flags & 0x10:
            self.application = self.application + count & 0xFFFF
        if not self.flags & 0x80:
            self.reference = self.reference + count & 0xFFFFFFFF

    def packed(self) -> bytes:
        """The tags as a completion record has them: those of the block after the last completed one."""
        return _TAGS.pack(self.reference, self.mask, self.application)


def _tags(word: int, flags: int) -> Tags:
    return Tags(word & 0xFFFFFFFF, word >> 32 & 0xFFFF, word >> 48, flags)


@dataclass
class _Job:
    """A DIF or DIX descriptor taken apart. Sizes are bytes; ``taken`` and ``given`` are per block, read and written."""

    source: Tags | None
    destination: Tags | None
    block: int
    taken: int
    given: int
    dif_flags: int
    carries_data: bool


def _job(d: Descriptor) -> _Job:
    block, source_flags, destination_flags = block_size(d), d.tail40 & 0xFF, d.tail40 >> 8 & 0xFF
    checks = d.opcode in (Op.DIF_CHECK, Op.DIF_STRIP, Op.DIF_UPDATE)
    makes = d.opcode in (Op.DIF_INSERT, Op.DIF_UPDATE, Op.DIX_GENERATE)
    data = d.opcode not in (Op.DIF_CHECK, Op.DIX_GENERATE)
    return _Job(
        _tags(d.tail48, source_flags) if checks else None, _tags(d.tail56, destination_flags) if makes else None, block,
        taken=block + DIF_SIZE * checks, given=block * data + DIF_SIZE * makes, dif_flags=d.tail40 >> 16 & 0xFF, carries_data=data,
    )  # fmt: skip


def check_blocks(tags: Tags, dif: NDArray[np.void], guards: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """DIF status of every block, 0 where it is right (DSA spec 8.3.17.2 and 8.3.17.4)."""
    flags = tags.flags
    application, reference = tags.expected(len(dif))
    all_ones = dif["application"] == 0xFFFF
    with_reference = all_ones & (dif["reference"] == 0xFFFFFFFF)
    with_guard = with_reference & (dif["guard"] == 0xFFFF)
    skip = (all_ones & bool(flags & 0x04)) | (with_reference & bool(flags & 0x08)) | (with_guard & bool(flags & 0x02))
    status = np.zeros(len(dif), np.uint8)
    if not flags & 0x20:
        status |= np.where(dif["guard"] != guards, GUARD_ERROR, 0).astype(np.uint8)
    if tags.mask != 0xFFFF:
        status |= np.where(dif["application"] != application, APPLICATION_ERROR, 0).astype(np.uint8)
    if not flags & 0x40:
        status |= np.where(dif["reference"] != reference, REFERENCE_ERROR, 0).astype(np.uint8)
    status[skip] = 0
    if flags & 0x02 and flags & 0x01:
        status[with_guard] = ALL_F_ERROR
    return status


def _make_dif(job: _Job, guards: NDArray[np.uint16], old: NDArray[np.void] | None) -> NDArray[np.void]:
    """The integrity fields to write; those that pass through come from ``old`` (8.3.17.3)."""
    assert job.destination is not None
    new = np.empty(len(guards), DIF)
    new["guard"] = guards
    new["application"], new["reference"] = job.destination.expected(len(guards))
    if old is not None:
        for flag, name in ((0x20, "guard"), (0x08, "application"), (0x40, "reference")):
            if job.destination.flags & flag:
                new[name] = old[name]
    return new


def _transform(job: _Job, m: Access, blocks: int) -> tuple[int, int]:
    """Check and convert the blocks in buffer a into buffer b: how many are good, and the DIF status of the next."""
    taken = m.bench.a[: blocks * job.taken].reshape(blocks, job.taken)
    data = taken[:, : job.block]
    old = np.ascontiguousarray(taken[:, job.block :]).view(DIF)[:, 0] if job.source else None
    needed = job.destination is not None or (job.source is not None and not job.source.flags & 0x20)
    guards = np.zeros(blocks, np.uint16)
    if needed:
        guards = guard_tags(data, bool(job.dif_flags & 4), bool(job.dif_flags & 8))
    good, error = blocks, 0
    if job.source is not None and old is not None:
        status = check_blocks(job.source, old, guards)
        if status.any():
            good = int((status != 0).argmax())
            error = int(status[good])
    if job.given:
        given = m.bench.b[: blocks * job.given].reshape(blocks, job.given)
        if job.carries_data:
            given[:, : job.block] = data
        if job.destination:
            given[:, job.given - DIF_SIZE :] = _make_dif(job, guards, old).view(np.uint8).reshape(blocks, DIF_SIZE)
    return good, error


def dif(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """All DIF operations and DIX generate, whole blocks at a time; bytes beyond the last whole block are left alone."""
    job = _job(d)
    total, done, fault = d.size // job.taken, 0, False
    most = CHUNK // max(job.taken, job.given)
    while done < total and not fault and o.status == Status.SUCCESS:
        blocks = min(most, total - done)
        got = m.read(d.first + done * job.taken, m.bench.view_a[: blocks * job.taken])
        whole = got // job.taken
        good, error = _transform(job, m, whole) if whole else (0, 0)
        put = m.write(d.second + done * job.given, m.bench.view_b[: good * job.given]) if job.given and good else 0
        complete = put // job.given if job.given else good
        start, done, fault = done, done + complete, True
        for tags in (job.source, job.destination):
            if tags:
                tags.advance(complete)
        if complete < good:
            m.fault(o, d.second + start * job.given + put, done * job.taken, DESTINATION, write=True)
        elif error:
            o.status, o.result, o.bytes_completed = Status.DIF_ERROR, error, done * job.taken
            o.reason = f"DIF status 0x{error:02x} in block {done}"
        elif whole < blocks:
            m.fault(o, d.first + start * job.taken + got, done * job.taken, SOURCE)
        else:
            fault = False
    o.moved = done * job.taken
    o.tail = (job.source.packed() if job.source else bytes(8)) + (job.destination.packed() if job.destination else b"")
    return o
