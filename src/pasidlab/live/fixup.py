"""How a thread comes to hold its process's PASID: the seam between a running program and the design under debate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pasidlab.live.state import Thread

VALID = 1 << 31
"""IA32_PASID bit 31 (SDM volume 4, MSR D93H); bits 19:0 are the PASID."""


class Fixup(Protocol):
    """A design, seen from the tracer. Called at each #GP a real CPU would raise."""

    def thread_started(self, thread: Thread, parent: Thread | None, *, same_mm: bool) -> None:
        """A task exists: the first one (no parent), a thread, or the child of a fork."""

    def executed(self, thread: Thread) -> None:
        """exec(2) gave the task a new address space."""

    def msr(self, thread: Thread) -> int:
        """IA32_PASID as the thread's next instruction in user mode would find it."""

    def fixup(self, thread: Thread) -> bool:
        """The #GP handler: true if the instruction is to be tried again, false for SIGSEGV."""

    def thread_ended(self, thread: Thread) -> None:
        """The task is gone."""


@dataclass
class _Task:
    """What ``early`` keeps per task."""

    msr: int = 0
    pasid_activated: bool = False


class EarlyFixup:
    """The rule merged in v5.18 (fa6af69f38d3, try_fixup_enqcmd_gp): nothing can intervene, so the MSR simply stays with its task."""

    def thread_started(self, thread: Thread, parent: Thread | None, *, same_mm: bool) -> None:
        """dup_task_struct() clears pasid_activated, fpu_clone() the PASID state (dc7507ddce59)."""
        thread.task = _Task()

    def executed(self, thread: Thread) -> None:
        """flush_thread() puts xstate in its initial configuration; pasid_activated is not reset."""
        thread.task.msr = 0

    def msr(self, thread: Thread) -> int:
        """The value saved and restored with the task."""
        return int(thread.task.msr)

    def fixup(self, thread: Thread) -> bool:
        """try_fixup_enqcmd_gp()."""
        if not thread.mm.pasid or thread.task.pasid_activated:
            return False
        thread.task.msr = thread.mm.pasid | VALID
        thread.task.pasid_activated = True
        return True

    def thread_ended(self, thread: Thread) -> None:
        """Nothing to do."""
