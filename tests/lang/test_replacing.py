"""A design replaces kernel functions, and nothing of the machine, the events and the promises around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pasidlab.checking.api import check
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope
from pasidlab.model.sources import MODEL_FILES, fixed_functions

SMALL = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt"}))
FIXUP = """
def try_fixup_enqcmd_gp() -> bool:
    if current.mm.pasid == 0 or (rdmsr_pasid() & MSR_IA32_PASID_VALID) != 0:
        return False
    wrmsr_pasid(current.mm.pasid | MSR_IA32_PASID_VALID)
    return True
"""
BEGIN = "from pasidlab.declare import *\nfrom pasidlab.kernel import *\n"
FIXED = "is a name of the machine, the events or the promises around this file"
MACHINE = {
    "def may_schedule() -> bool:\n    return False\n": f"3:1: may_schedule() {FIXED}",
    "def in_user_mode(cpu: Cpu) -> bool:\n    return False\n": f"3:1: in_user_mode() {FIXED}",
    "def wrmsr_pasid(value: int) -> None:\n    this_cpu.msr = value\n": f"3:1: wrmsr_pasid() {FIXED}",
    "def work_is_waiting() -> bool:\n    return False\n": f"3:1: work_is_waiting() {FIXED}",
    "def boot() -> None:\n    current.state = 0\n": f"3:1: boot() {FIXED}",
    "def enqcmd() -> None:\n    current.at_enqcmd = False\n": f"3:1: enqcmd() {FIXED}",
    "def deadlock(task: Task) -> bool:\n    return False\n": f"3:1: deadlock() {FIXED}",
    "MSR_IA32_PASID_VALID = 1 << 30\n": f"3:1: MSR_IA32_PASID_VALID {FIXED}",
    "@struct(count=1)\nclass File:\n    mm: int = 0\n": f"4:1: struct File {FIXED}",
    "if True:\n    def mm_valid_pasid(mm: Mm) -> bool:\n        return False\n": "3:1: 'if True:' at module level is not part",
    "setattr(current, 'pc', 0)\n": "3:1: 'setattr(current, 'pc', 0)' at module level is not part of the language",
    "from helpers import mm_valid_pasid\n": "3:1: helpers is not read with this file",
    "from .helpers import mm_valid_pasid\n": "3:1: .helpers is not read with this file",
    "from pasidlab.designs.early import try_fixup_enqcmd_gp\n": "3:1: pasidlab.designs.early is not read with this file",
    "from pasidlab.kernel import fpregs_unlock as fpregs_lock\n": "3:29: 'fpregs_unlock' cannot be called fpregs_lock here",
}


@pytest.mark.parametrize("text", MACHINE)
def test_the_machine_stays_what_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(BEGIN + text + FIXUP)
    with pytest.raises(PasidlabError) as error:
        check(str(path), SMALL)
    assert f"{path}:{MACHINE[text]}" in str(error.value)


def test_what_is_fixed_is_there() -> None:
    declared = "\n".join(path.read_text(encoding="utf-8") for path in MODEL_FILES)
    assert all(f"\ndef {name}(" in declared for name in fixed_functions())
    assert {"in_user_mode", "xsaves", "pick_next_task"} <= fixed_functions() and "fpregs_lock" not in fixed_functions()


HANDLER = """static bool %s(void)
{
	return false;
}

DEFINE_IDTENTRY_ERRORCODE(exc_general_protection)
{
	cond_local_irq_enable(regs);
	if (user_mode(regs) && !%s() && current->mm->pasid && !current->pasid_activated) {
		if (test_thread_flag(TIF_NEED_FPU_LOAD))
			fpregs_restore_userregs();
		wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
		current->pasid_activated = 1;
		return;
	}
	gp_user_force_sig_segv(regs, X86_TRAP_GP, error_code, "general protection fault");
}
"""


@pytest.mark.parametrize("name", ["mine", "may_schedule", "preempt", "in_user_mode", "deadlock", "work_is_waiting", "mm_is_free", "boot"])
def test_a_helper_in_c_is_its_own_whatever_its_name(name: str, tmp_path: Path) -> None:
    """Preemption is left on: what the helper is called changes nothing."""
    path = tmp_path / "fix.c"
    path.write_text(HANDLER % (name, name))
    found = check(str(path), SMALL)
    assert {c.property: len(c.steps) for c in found.counterexamples} == {"coherent": 14}
    assert found.states == 338


OWN = """from pasidlab.declare import *

model(sizes={})


@struct(count=1)
class Top:
    on: bool = False


top = singleton(Top)


@initial
def begin() -> None:
    pass


@rule()
def preempt() -> None:
    top.on = True
    reached("p")


@never("p", "it is on")
def is_on() -> bool:
    return top.on
"""


def test_a_model_without_contexts_keeps_a_rule_named_as_an_arrival(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    assert [len(c.steps) for c in check(str(path)).counterexamples] == [1]
