"""What the kernel says of a task in /proc/PID/status (proc(5))."""

from __future__ import annotations

import os

from pasidlab.live.descriptors import text_file


def numbers_are_ours() -> bool:
    """Whether /proc goes by the numbers that system calls give us. It is mounted for one PID namespace, which may be another.

    NSpid has the number of a task in that namespace, and in each below it down to the task's own (proc(5), v4.1). The number alone may be
    the same in both by chance.
    """
    try:
        numbers = status_of("self").get("NSpid", "").split()  # none without CONFIG_PID_NS
        return len(numbers) <= 1 and os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def status_of(tid: int | str) -> dict[str, str]:
    """The fields by their names, as text. OSError if the task is gone."""
    with text_file(f"/proc/{tid}/status") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def signals_of(fields: dict[str, str], name: str) -> int:
    """A field that is a set of signals (SigPnd, ShdPnd, SigBlk, SigIgn, SigCgt): bit n - 1 for signal n."""
    return int(fields[name], 16)
