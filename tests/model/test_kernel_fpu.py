"""Kernel code that computes with the registers in a system call, and what the machine refuses, as mistakes that must be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from pasidlab import designs
from pasidlab.checking.api import check
from pasidlab.model.scope import Scope
from pasidlab.zoo.mistakes import Mistake


def scope(events: str, tasks: int = 1) -> Scope:
    return Scope(cpus=1, tasks=tasks, mms=tasks, pasids=tasks, events=frozenset(events.split()))


COMPUTES = scope("preempt hardirq crypto")
NEVER_ASKS = Mistake("preserved", "irq_fpu_usable", "this_cpu.in_kernel_fpu", "never")


@pytest.mark.parametrize(
    ("mistake", "broken"),
    [
        (Mistake("preserved", "kernel_fpu_begin", "preempt_disable()"), ("coherent", "sound_kernel")),
        (NEVER_ASKS, ("preserved", "sound_kernel")),
        (Mistake("sound_kernel", "kernel_fpu_end", "preempt_enable()"), ("sound_kernel",)),
    ],
    ids=["preempt_disable()", "in_kernel_fpu", "preempt_enable()"],
)
def test_a_system_call_keeps_the_registers_it_computes_with(mistake: Mistake, broken: tuple[str, ...]) -> None:
    found = check(mistake.around(designs.early), COMPUTES, jobs=1)
    assert set(broken) <= {one.property for part in found.parts for one in part.counterexamples}


def test_it_does_with_the_kernel_as_it_is() -> None:
    assert check("early", COMPUTES, jobs=1).holds


TEXTS = {
    "the number of a PASID is freed twice": (
        "from pasidlab.kernel import Mm, iommu_free_global_pasid\nfrom pasidlab.declare import instruction\n\n\n@instruction\n"
        "def mm_pasid_drop(mm: Mm) -> None:\n    if mm.pasid != 0:\n        iommu_free_global_pasid(mm.pasid)\n"
        "        iommu_free_global_pasid(mm.pasid)\n        mm.pasid = 0\n",
        scope("bind unbind exit", 2), "sound_kernel", "ida_free() of a PASID that is not allocated",
    ),
    "reserved bits of the MSR": (
        "from pasidlab.kernel import current, wrmsr_pasid\n\n\ndef try_fixup_enqcmd_gp() -> bool:\n"
        "    wrmsr_pasid(current.mm.pasid | 3 << 31)\n    return True\n",
        scope("preempt"), "sound_kernel", "WRMSR sets reserved bits of IA32_PASID",
    ),
    "a number that nobody has": (
        "from pasidlab.kernel import MSR_IA32_PASID_VALID, current, wrmsr_pasid\n\n\ndef try_fixup_enqcmd_gp() -> bool:\n"
        "    if current.mm.pasid == 0 or current.pasid_activated:\n        return False\n    current.pasid_activated = True\n"
        "    wrmsr_pasid(current.mm.pasid << 10 | MSR_IA32_PASID_VALID)\n    return True\n",
        scope("preempt"), "isolated", "the PASID of another process",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_designs_that_the_machine_does_not_bear(name: str, tmp_path: Path) -> None:
    text, where, broken, sentence = TEXTS[name]
    path = tmp_path / "design.py"
    path.write_text(text)
    found = check(str(path), where, jobs=1)
    assert any(one.property == broken and sentence in one.sentence for part in found.parts for one in part.counterexamples)
