"""The nine properties: name and what it means (the predicates are in ``properties``, the checks at the steps that can break them)."""

from __future__ import annotations

from pasidlab.lang.ir import Property

PROPERTIES: tuple[Property, ...] = (
    Property("coherent", "if TIF_NEED_FPU_LOAD is set and the CPU's registers pass for the task's, they equal its memory image"),
    Property("owned", "a task in user mode has TIF_NEED_FPU_LOAD clear, its CPU's owner is the task, last_cpu is that CPU"),
    Property("isolated", "an ENQCMD that is accepted carries the task's own PASID, and the IOMMU maps that PASID to its process"),
    Property("served", "an ENQCMD by a task whose process is bound is accepted in the end, no SIGSEGV; no instruction faults for ever"),
    Property("refused", "an ENQCMD by a task whose process has no PASID is never accepted"),
    Property("preserved", "what a task had in each xstate component it still has at its next instruction in user mode"),
    Property("no_leak", "when nobody uses an address space any more, its PASID and table entry are gone"),
    Property("no_stale", "no freed PASID is in a table entry, in flight in the device, or in the MSR of a CPU in user mode"),
    Property("sound_kernel", "no WARN, BUG or lockdep splat, no sleep in atomic context, no unbalanced lock, no deadlock"),
)

NAMES = tuple(p.name for p in PROPERTIES)
