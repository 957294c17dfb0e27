"""The random driver: drivers/char/random.c of v6.12. Its hash uses the FPU in process context, with interrupts off."""

from __future__ import annotations

from pasidlab.lang.declare import local_irq_disable, local_irq_enable, maybe
from pasidlab.model.ambient import this_cpu
from pasidlab.model.linux.fpu import irq_fpu_usable, kernel_fpu_begin, kernel_fpu_end


def add_device_randomness() -> None:
    """add_device_randomness(): spin_lock_irqsave(), and once a block of 64 bytes is full blake2s_compress()."""
    were_off = this_cpu.irqs_off
    local_irq_disable()
    if maybe():
        blake2s_compress()
    if not were_off:
        local_irq_enable()


def blake2s_compress() -> None:
    """arch/x86/crypto/blake2s-glue.c: takes the generic code where may_use_simd(), that is irq_fpu_usable(), says no."""
    if irq_fpu_usable():
        kernel_fpu_begin()
        kernel_fpu_end()


def add_latent_entropy() -> None:
    """add_latent_entropy(), from kernel_clone()."""
    add_device_randomness()
