"""CRC64 of IAX: a CRC of any width up to 64 bits.

Layout after linux/idxd.h; intel/qpl (ref_crc64.c) and intel/idxd-config (iaa_crc64.c) say what the flags do.
"""

from __future__ import annotations

from pasidlab.accelerator.abi import Descriptor
from pasidlab.accelerator.checksums import crc64_register, reverse_bits, reversed_bytes
from pasidlab.accelerator.transfer import CHUNK, SOURCE, Access, DescriptorOutcome

BIT_ORDER, INVERT = 1 << 15, 1 << 14  # the CRC64 flags at byte 38
_RESULT_AT = 40  # byte of the completion record
_TAIL_AT = 16


def crc64(d: Descriptor, m: Access, o: DescriptorOutcome) -> DescriptorOutcome:
    """A CRC of up to 64 bits by the polynomial at byte 56. Its highest bit stands for x^63; x^64 is implied.

    With the invert flag the register begins, and the result ends, complemented over the width of the polynomial.
    """
    flags, polynomial, done = d.field(38, 2), d.tail56 | 1 << 64, 0
    mask = _width_mask(d.tail56) if flags & INVERT else 0
    register = mask
    while done < d.size:
        length = min(CHUNK, d.size - done)
        got = m.read(d.first + done, m.bench.view_a[:length])
        data = m.bench.a[:got]
        register = crc64_register(reversed_bytes(data) if flags & BIT_ORDER else data, register, polynomial)
        done += got
        if got < length:
            return m.fault(o, d.first + done, done, SOURCE)
    value = register ^ mask
    if flags & BIT_ORDER:
        value = reverse_bits(value, 64)
    o.tail, o.moved = bytes(_RESULT_AT - _TAIL_AT) + value.to_bytes(8, "little"), done
    return o


def _width_mask(polynomial: int) -> int:
    """All bits from the lowest of the left-aligned polynomial upwards: as many as it has degrees."""
    return (1 << 64) - (polynomial & -polynomial) if polynomial else 0
