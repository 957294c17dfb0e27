"""What the kernel says of a task in /proc/PID/status (proc(5))."""

from __future__ import annotations


def status_of(tid: int) -> dict[str, str]:
    """The fields by their names, as text. OSError if the task is gone."""
    with open(f"/proc/{tid}/status", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def signals_of(fields: dict[str, str], name: str) -> int:
    """A field that is a set of signals (SigPnd, ShdPnd, SigBlk, SigIgn, SigCgt): bit n - 1 for signal n."""
    return int(fields[name], 16)
