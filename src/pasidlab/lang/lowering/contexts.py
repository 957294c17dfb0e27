"""Programs in contexts: which functions start where, and what the masks allow at each instruction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pasidlab.lang.ir import CPU, Instr
from pasidlab.lang.lowering.flow import Code, forward

CONTEXTS = ("task", "schedule", "softirq", "hardirq")
MASK_FIELDS = {"irqs": "Cpu.irqs_off", "preempt": "Cpu.preempt_count", "bh": "Cpu.softirq_count"}


@dataclass(frozen=True)
class MaskChange:
    """What an operand of ``mask`` means. ``off``: it forbids more, else it allows more."""

    mask: str  # of MASK_FIELDS
    off: bool

    @property
    def field(self) -> str:
        """The field of Cpu that holds the mask."""
        return MASK_FIELDS[self.mask]


_CHANGES = {f"{mask}_{way}": MaskChange(mask, way == "off") for mask in MASK_FIELDS for way in ("off", "on")}
CURRENT, ON_CPU = "Cpu.current", "Task.on_cpu"


def counter_field(context: str) -> str:
    """The field that holds the program counter of a context, one of CONTEXTS."""
    return "Task.pc" if context == "task" else f"Cpu.{context}_pc"


PROGRAM_COUNTERS = tuple(map(counter_field, CONTEXTS))


@dataclass(frozen=True)
class Masks:
    """What is known about the masks of the executing CPU before an instruction; None: it depends on the path."""

    irqs_off: bool | None
    preempt: int | None
    bh: int | None
    facts: frozenset[tuple[str, int]] = frozenset()  # per-CPU fields this context has set to a constant since it cannot be moved

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


def mask_change(instr: Instr) -> MaskChange:
    """What a ``mask`` instruction changes."""
    return _CHANGES[str(instr.args[0])]


def masked(instr: Instr, masks: Masks) -> Masks:
    """What is known after an instruction.

    A fact about a field of this CPU is one only while the context cannot be moved to another CPU. A store to the same field
    through a local may be to this CPU: the fact is over.
    """
    if masks.preemption_possible and masks.facts:
        masks = replace(masks, facts=frozenset())
    if instr.op == "store" and str(instr.args[0]) not in MASK_FIELDS.values():
        others = {(path, value) for path, value in masks.facts if path != instr.args[0]}
        constant = instr.args[1] == CPU and isinstance(instr.args[2], int) and not masks.preemption_possible
        return replace(masks, facts=frozenset(others | ({(str(instr.args[0]), int(instr.args[2]))} if constant else set())))
    if instr.op != "mask":
        return masks
    change = mask_change(instr)
    if change.mask == "irqs":
        return replace(masks, irqs_off=change.off)
    count = masks.preempt if change.mask == "preempt" else masks.bh
    if count is not None:  # enabled more often than disabled is a violation, and changes nothing
        count = count + 1 if change.off else max(count - 1, 0)
    return replace(masks, preempt=count) if change.mask == "preempt" else replace(masks, bh=count)


def _same_or_unknown(a: Masks, b: Masks) -> Masks:
    return Masks(
        a.irqs_off if a.irqs_off == b.irqs_off else None,
        a.preempt if a.preempt == b.preempt else None,
        a.bh if a.bh == b.bh else None,
        a.facts & b.facts,
    )


def mask_states(code: Code, starts: dict[int, Masks]) -> list[Masks | None]:
    """The masks before each instruction of a program, given those at its entry points."""
    return forward(code, starts, masked, _same_or_unknown)
