"""The marker that stands in for SIG_DFL and SIG_IGN (``signals``), in a struct sigaction of the kernel.

That has 32 bytes: handler, flags, restorer, mask.
"""

from __future__ import annotations

import signal
import struct

from pasidlab.live.seccomp import WINDOW

DFL, IGN = 0, 1
SA_RESTORER, SA_RESETHAND = 0x04000000, 0x80000000
_NEVER = 1 << signal.SIGKILL - 1 | 1 << signal.SIGSTOP - 1
_MARKER = WINDOW + 2048  # of 8 addresses


def marker(action: bytes) -> bytes:
    """The program's action with a handler of ours in place of SIG_DFL or SIG_IGN; it never runs. Its address tells what it stands for."""
    handler, flags = struct.unpack_from("<QQ", action)
    address = _MARKER | handler | bool(flags & SA_RESTORER) << 1 | bool(flags & SA_RESETHAND) << 2
    return struct.pack("<QQ", address, flags | SA_RESTORER | SA_RESETHAND) + action[16:]


def unmarked(action: bytes, before: bytes | None) -> bytes:
    """The program's action where the kernel has ``action``. One that is none has just been reset: it was as in ``before``, if given."""
    handler, flags = struct.unpack_from("<QQ", action)
    if handler & -8 != _MARKER:
        return before if before and handler in (DFL, IGN) else action
    flags &= ~(0 if handler & 2 else SA_RESTORER) & ~(0 if handler & 4 else SA_RESETHAND)
    return struct.pack("<QQ", handler & 1, flags) + action[16:]


def handler_of(action: bytes) -> int:
    """Its first field: an address, SIG_DFL or SIG_IGN."""
    return int.from_bytes(action[:8], "little")


def is_for_once(action: bytes) -> bool:
    """Whether it is a handler for one call only (SA_RESETHAND)."""
    return handler_of(action) not in (DFL, IGN) and bool(struct.unpack_from("<Q", action, 8)[0] & SA_RESETHAND)


def is_the_same(one: bytes, other: bytes) -> bool:
    """Whether handlers and what they block are the same: the kernel takes SIGKILL and SIGSTOP out of that."""
    blocked = (int.from_bytes(one[24:32], "little") ^ int.from_bytes(other[24:32], "little")) & ~_NEVER
    return one[:8] == other[:8] and not blocked
