"""How elements, fields and values of a state are called: T0, CPU1.msr_pasid, V|1."""

from __future__ import annotations

from pasidlab.lang.types import Field, Mask, Ref

HIDDEN = ("pc", "on_cpu", "hardirq_pc", "softirq_pc", "schedule_pc")
NAMED = {
    **dict.fromkeys(("user_regs", "image_user", "guest_user", "frame_user", "expected_user"), ("init", "user", "kernel")),
    "state": ("dead", "running", "traced"),
}
"""Values that are names in the model: xstate contents (model/x86/cpu.py), task states (model/state.py)."""
SHORT = {"Task": "T", "Cpu": "CPU", "Mm": "mm", "PasidEntry": "PASID", "File": "file"}


def element_name(f: Field, i: int) -> str:
    """An element's name: T0, CPU1, PASID1 (PASIDs count from 1)."""
    short = SHORT.get(f.struct, f.struct)
    return short if f.count == 1 and f.struct not in SHORT else f"{short}{i + (f.struct == 'PasidEntry')}"


def shown(f: Field, value: int) -> str:
    """A value as a reader knows it: none, T0, CPU1; a register with its Valid bit as V|1; contents by whose they are."""
    if isinstance(f.domain, Ref):
        short = SHORT.get(f.domain.struct, f.domain.struct)
        return "none" if value == 0 else f"{short}{value - 1 + (f.domain.struct == 'PasidEntry')}"
    if isinstance(f.domain, Mask) and value >> 31:
        return f"V|{value & 0xFFFFF}"
    named = NAMED.get(f.name, ())
    return named[value] if value < len(named) else str(value)


def is_bookkeeping(path: str | None) -> bool:
    """Whether a field is the language's own: program counters and saved locals."""
    name = path.split(".")[1] if path else ""
    return name in HIDDEN or "local" in name
