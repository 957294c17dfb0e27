"""Checksums of the accelerator: CRC-32C by library, CRC-64 and the T10 guard as a tree of table look-ups in numpy.

A CRC is linear, so the remainders of two neighbouring pieces combine as ``left * x^(bits of right) + right``. Each
level of the tree halves the number of pieces for all blocks at once, whatever their number: no loop over bytes.
"""

from __future__ import annotations

from functools import lru_cache

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pasidlab.accelerator.transfer import Bytes

T10_POLYNOMIAL = 0x18BB7  # DSA spec appendix B
CRC32C_POLYNOMIAL = 0x1_1EDC_6F41  # RFC 3720, 12.1
NVME_POLYNOMIAL = 0x1_AD93_D235_94C9_3659  # DSA spec appendix A, NVM Express CRC-64
_POWERS, _TABLES = 4096, 48  # results kept: a table is up to 2 MiB, a polynomial needs 16, and programs choose their own
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_REVERSE = np.frombuffer(_REVERSED, np.uint8)


def reverse_bits(value: int, width: int) -> int:
    """``value`` read from the other end."""
    return int(f"{value:0{width}b}"[::-1], 2)


def crc32c(data: Bytes, seed: int, bypass_inversion: bool, bypass_reflection: bool) -> int:
    """Continue a CRC-32C from ``seed`` as table 8-19 says; the result is the seed of what follows.

    With ``bypass_inversion`` seed and result are the plain remainder, most significant bit first; otherwise both are
    complemented and in the bit order of RFC 3720. With ``bypass_reflection`` bit 7 of each byte counts first.
    """
    if bypass_reflection:
        data = _REVERSE[data]
    register = seed_to_register(seed, bypass_inversion)
    value = int(google_crc32c.extend(register ^ 0xFFFFFFFF, data))  # complements seed and result itself
    return register_to_seed(value ^ 0xFFFFFFFF, bypass_inversion)


def seed_to_register(seed: int, bypass_inversion: bool) -> int:
    """What the CRC32 instruction (SDM volume 2) has in its destination when a CRC continues from ``seed``."""
    return reverse_bits(seed, 32) if bypass_inversion else seed ^ 0xFFFFFFFF


def register_to_seed(register: int, bypass_inversion: bool) -> int:
    """The inverse of ``seed_to_register``."""
    return reverse_bits(register, 32) if bypass_inversion else register ^ 0xFFFFFFFF


def crc32c_join(left: int, right: int, length: int) -> int:
    """The register after two pieces, from that after the left one and that of ``length`` bytes alone, begun with 0."""
    shifted = _multiply(reverse_bits(left, 32), _power(8 * length, CRC32C_POLYNOMIAL, 32), CRC32C_POLYNOMIAL, 32)
    return reverse_bits(shifted, 32) ^ right


def _times_x(value: int, polynomial: int, width: int) -> int:
    value <<= 1
    return value ^ polynomial if value >> width else value


@lru_cache(_POWERS)
def _power(exponent: int, polynomial: int, width: int) -> int:
    """x^exponent modulo the polynomial."""
    if exponent < width:
        return 1 << exponent
    half = _power(exponent // 2, polynomial, width)
    product = _multiply(half, half, polynomial, width)
    return _times_x(product, polynomial, width) if exponent & 1 else product


def _multiply(a: int, b: int, polynomial: int, width: int) -> int:
    product = 0
    for bit in range(width - 1, -1, -1):
        product = _times_x(product, polynomial, width)
        if b >> bit & 1:
            product ^= a
    return product


@lru_cache(_TABLES)
def _shift_tables(bits: int, polynomial: int, width: int) -> tuple[NDArray[np.unsignedinteger], ...]:
    """For each 16-bit digit of a remainder, what it becomes when ``bits`` zeros follow: width / 16 tables."""
    tables: list[NDArray[np.unsignedinteger]] = []
    for digit in range(width // 16):
        table = np.zeros(1, np.uint64)
        for bit in range(16):
            image = _multiply(1 << 16 * digit + bit, _power(bits, polynomial, width), polynomial, width)
            table = np.concatenate((table, table ^ np.uint64(image)))
        tables.append(table.astype(np.uint16) if width == 16 else table)
    return tuple(tables)


def _shift(values: NDArray[np.unsignedinteger], bits: int, polynomial: int, width: int) -> NDArray[np.unsignedinteger]:
    tables = _shift_tables(bits, polynomial, width)
    if width == 16:
        return np.asarray(np.take(tables[0], values, mode="wrap"))
    digits = np.ascontiguousarray(values).view(np.uint16).reshape(*values.shape, 4)
    shifted = np.take(tables[0], digits[..., 0], mode="wrap")
    for digit in range(1, 4):
        shifted ^= np.take(tables[digit], digits[..., digit], mode="wrap")
    return np.asarray(shifted)


def _remainder(words: NDArray[np.unsignedinteger], polynomial: int, width: int) -> NDArray[np.unsignedinteger]:
    """For each row of ``width``-bit words, the first of them highest, its bits times x^width modulo the polynomial."""
    bits = width
    while words.shape[1] > 1:
        if words.shape[1] & 1:  # a zero in front changes no remainder
            words = np.concatenate((np.zeros((len(words), 1), words.dtype), words), axis=1)
        words = _shift(words[:, 0::2], bits, polynomial, width) ^ words[:, 1::2]
        bits *= 2
    return _shift(words[:, 0], width, polynomial, width)


def guard_tags(blocks: NDArray[np.uint8], invert_seed: bool, invert_result: bool) -> NDArray[np.uint16]:
    """The T10 CRC of every row of ``blocks`` (DSA spec appendix B, "Guard Tag")."""
    words = np.ascontiguousarray(blocks).view(">u2").astype(np.uint16)
    if invert_seed:
        words[:, 0] ^= 0xFFFF  # "the first 16 bits of the source data are XORed with the seed"
    crc = _remainder(words, T10_POLYNOMIAL, 16).astype(np.uint16)
    return ~crc if invert_result else crc


def crc64_register(bits: Bytes, register: int, polynomial: int) -> int:
    """The register of a CRC of degree 64 after ``bits``, most significant bit of each byte first."""
    if not len(bits):
        return register
    front = -len(bits) % 8
    words = np.concatenate((np.zeros(front, np.uint8), bits)).view(">u8").astype(np.uint64)
    value = int(_remainder(words[np.newaxis, :], polynomial, 64)[0])
    return value ^ _multiply(register, _power(8 * len(bits), polynomial, 64), polynomial, 64)


def reversed_bytes(data: Bytes) -> Bytes:
    """Each byte with its bits in reverse."""
    return np.asarray(_REVERSE[data])


def bit_reversed_words(data: bytes | memoryview) -> bytes:
    """Each 16-bit word with its bits in reverse."""
    return bytes(_REVERSE[np.frombuffer(data, np.uint8).reshape(-1, 2)[:, ::-1]])


def nvme_crc64(data: Bytes, seed: int, bypass_inversion: bool, bypass_reflection: bool) -> int:
    """Continue an NVM Express CRC-64 from ``seed``, with the same two options as ``crc32c``."""
    if not len(data):
        return seed
    register = seed if bypass_inversion else reverse_bits(seed ^ 0xFFFFFFFFFFFFFFFF, 64)  # most significant bit first
    value = crc64_register(data if bypass_reflection else reversed_bytes(data), register, NVME_POLYNOMIAL)
    return value if bypass_inversion else reverse_bits(value, 64) ^ 0xFFFFFFFFFFFFFFFF
