"""The function tracer's notes: these functions take the place of the model's empty ones where a recording has calls."""

from __future__ import annotations

from pasidlab.lang.declare import instruction
from pasidlab.observe.machine.recorder import note

KERNEL_FPU_BEGIN_MASK = 27
SWITCH_FPU_RETURN = 28
FPU_FLUSH_THREAD = 29


@instruction
def trace_call_kernel_fpu_begin_mask() -> None:
    note(KERNEL_FPU_BEGIN_MASK, True)


@instruction
def trace_call_switch_fpu_return() -> None:
    note(SWITCH_FPU_RETURN, True)


@instruction
def trace_call_fpu_flush_thread() -> None:
    note(FPU_FLUSH_THREAD, True)
