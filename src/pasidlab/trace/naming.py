"""How elements, fields and values of a state are called: T0, CPU1.msr_pasid, V|1."""

from __future__ import annotations

from pasidlab.lang.types import Domain, Field, Mask, Ref
from pasidlab.lang.words import Words

COUNTERS = ("hardirq_pc", "softirq_pc", "schedule_pc")
HIDDEN = ("pc", "on_cpu", *COUNTERS)
"""What the language keeps of contexts."""
SHORT = {"Task": "T", "Cpu": "CPU", "Mm": "mm", "PasidEntry": "PASID", "File": "file"}
VALID = 1 << 31
"""MSR_IA32_PASID_VALID."""


def element_name(f: Field, i: int) -> str:
    """An element's name: T0, CPU1, PASID1 (PASIDs count from 1)."""
    short = SHORT.get(f.struct, f.struct)
    return short if f.count == 1 and f.struct not in SHORT else f"{short}{i + (f.struct == 'PasidEntry')}"


def shown(f: Field, value: int, words: Words) -> str:
    """A value of a field as a reader knows it: T0; a register with its Valid bit as V|1; by its name where ``words`` have one."""
    named = words.values.get(f.path, {})
    return named[value] if value in named else told(f.domain, value)


def told(domain: Domain, value: int) -> str:
    """A value as a reader knows it: none, T0, CPU1, V|1, 7."""
    if isinstance(domain, Ref):
        short = SHORT.get(domain.struct, domain.struct)
        return "none" if value == 0 else f"{short}{value - 1 + (domain.struct == 'PasidEntry')}"
    if isinstance(domain, Mask) and value & VALID:
        return f"V|{value & 0xFFFFF}"
    return str(value)


def is_bookkeeping(path: str | None) -> bool:
    """Whether a field of a model with contexts is the language's own: program counters and saved locals."""
    name = path.split(".")[1] if path else ""
    return name in HIDDEN or "local" in name
