"""Programs in contexts: which functions start where, and what the masks allow at each instruction."""

from __future__ import annotations

from dataclasses import dataclass

from pasidlab.lang.flow import Code, forward
from pasidlab.lang.ir import Instr

CONTEXTS = ("task", "schedule", "softirq", "hardirq")
MASK_FIELDS = {"irqs": "Cpu.irqs_off", "preempt": "Cpu.preempt_count", "bh": "Cpu.softirq_count"}


@dataclass(frozen=True)
class Masks:
    """What is known about the masks of the executing CPU before an instruction; None: it depends on the path."""

    irqs_off: bool | None
    preempt: int | None
    bh: int | None

    @property
    def irqs_possible(self) -> bool:
        return self.irqs_off is not True

    @property
    def softirq_possible(self) -> bool:
        return self.irqs_possible and (self.bh is None or self.bh == 0)

    @property
    def preemption_possible(self) -> bool:
        return self.softirq_possible and (self.preempt is None or self.preempt == 0)


AT_ENTRY = {
    "syscall": Masks(False, 0, 0), "fork": Masks(False, 0, 0), "exception": Masks(True, 0, 0), "exit_to_user": Masks(None, 0, 0),
    "schedule": Masks(True, 0, 0), "softirq": Masks(False, None, 1), "hardirq": Masks(True, None, None), "ipi": Masks(True, None, None),
}  # fmt: skip


def masked(instr: Instr, masks: Masks) -> Masks:
    """The masks after an instruction."""
    if instr.op != "mask":
        return masks
    change = str(instr.args[0])
    if change.startswith("irqs"):
        return Masks(change == "irqs_off", masks.preempt, masks.bh)
    step = 1 if change.endswith("off") else -1
    if change.startswith("preempt"):
        return Masks(masks.irqs_off, None if masks.preempt is None else masks.preempt + step, masks.bh)
    return Masks(masks.irqs_off, masks.preempt, None if masks.bh is None else masks.bh + step)


def _same_or_unknown(a: Masks, b: Masks) -> Masks:
    return Masks(
        a.irqs_off if a.irqs_off == b.irqs_off else None,
        a.preempt if a.preempt == b.preempt else None,
        a.bh if a.bh == b.bh else None,
    )


def mask_states(code: Code, starts: dict[int, Masks]) -> list[Masks | None]:
    """The masks before each instruction of a program, given those at its entry points."""
    return forward(code, starts, masked, _same_or_unknown)
