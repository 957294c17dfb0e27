"""xstateregs_set(): the image of a stopped task is replaced while a CPU may still hold the old one as its valid copy."""

from __future__ import annotations

from pasidlab.kernel import Task, __fpu_invalidate_fpregs_state


def fpu_force_restore(target: Task) -> None:
    """Nothing is invalidated."""


def fixed_fpu_force_restore(target: Task) -> None:
    """last_cpu is reset."""
    __fpu_invalidate_fpregs_state(target)
