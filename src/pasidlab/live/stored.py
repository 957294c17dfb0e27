"""What a program writes to a sysfs attribute, read as the kernel reads it (lib/kstrtox.c, lib/bitmap-str.c, v6.19). Errors are OSError."""

from __future__ import annotations

import errno
import os
import re
from typing import NoReturn

from pasidlab.live.capabilities import mask_bits

_MOST_DIGITS = 20  # of a 64-bit number


def fail(code: int) -> NoReturn:
    raise OSError(code, os.strerror(code))


def fail_unless(condition: bool, code: int) -> None:
    if not condition:
        fail(code)


def number_stored(text: str, *, any_base: bool = False) -> int:
    """kstrtol(), kstrtoul(): decimal, or any base by prefix, and at most one newline. ERANGE beyond 64 bits."""
    text = text.removesuffix("\n")
    found = re.fullmatch(r"([+-]?)0*([0-9]+)", text) or re.fullmatch(r"()0[xX]0*([0-9a-fA-F]+)", text)
    if found is None or (not any_base and "x" in text.lower()):
        fail(errno.EINVAL)
    fail_unless(len(found[2]) <= _MOST_DIGITS, errno.ERANGE)
    value = int(found[1] + found[2], 16 if "x" in text.lower() else 10)
    fail_unless(-(1 << 63) <= value < 1 << 64, errno.ERANGE)
    return value


def positive(text: str) -> int:
    """kstrtouint(): no sign."""
    value = number_stored(text, any_base=True)
    fail_unless(value >= 0, errno.EINVAL)
    return value


def power(text: str) -> int:
    """__get_sysfs_u64(): not 0, rounded up to a power of two."""
    value = positive(text)
    fail_unless(value > 0, errno.EINVAL)
    return 1 << (value - 1).bit_length()


def boolean(text: str) -> int:
    """kstrtobool()."""
    word = text[:2].lower()
    if word[:1] in ("y", "t", "1") or word == "on":
        return 1
    if word[:1] in ("n", "f", "0") or word == "of":
        return 0
    fail(errno.EINVAL)


def op_bits(mask: str) -> int:
    """bitmap_parse(), with the kernel's errors."""
    try:
        return mask_bits(mask)
    except ValueError:
        fail(errno.EINVAL)
    except OverflowError:
        fail(errno.EOVERFLOW)
