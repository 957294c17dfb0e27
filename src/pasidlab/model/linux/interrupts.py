"""What runs in interrupts: users of kernel_fpu_begin() in a softirq and in a hard interrupt."""

from __future__ import annotations

from pasidlab.lang.declare import context
from pasidlab.model.linux.fpu import irq_fpu_usable, kernel_fpu_begin, kernel_fpu_end


@context("softirq", event="softirq")
def softirq_uses_fpu() -> None:
    """Network crypto and the like: takes a fallback where the FPU is not usable."""
    if irq_fpu_usable():
        kernel_fpu_begin()
        kernel_fpu_end()


@context("hardirq", event="hardirq")
def hardirq_uses_fpu() -> None:
    """EFI runtime services, the random driver: likewise."""
    if irq_fpu_usable():
        kernel_fpu_begin()
        kernel_fpu_end()
