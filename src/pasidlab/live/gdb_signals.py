"""Signals have numbers of gdb's own in its protocol (GDB manual, appendix E, "Stop Reply Packets"; include/gdb/signals.def)."""

from __future__ import annotations

import signal

_NAMES = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "EMT", "FPE", "KILL", "BUS", "SEGV", "SYS", "PIPE", "ALRM", "TERM", "URG", "STOP",
    "TSTP", "CONT", "CHLD", "TTIN", "TTOU", "IO", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "LOST", "USR1", "USR2", "PWR",
]  # fmt: skip
_TO_GDB = {int(getattr(signal, f"SIG{name}")): number for number, name in enumerate(_NAMES, 1) if hasattr(signal, f"SIG{name}")}
_TO_GDB |= {number: number + 12 for number in range(33, 64)} | {0: 0, 32: 77, 64: 78}
_FROM_GDB = {theirs: ours for ours, theirs in _TO_GDB.items()}
_UNKNOWN = 143


def to_gdb(number: int) -> int:
    """What gdb calls the signal."""
    return _TO_GDB.get(number, _UNKNOWN)


def from_gdb(number: int) -> int:
    """The kernel's number; 0 for none, and for what it does not have."""
    return _FROM_GDB.get(number, 0)
