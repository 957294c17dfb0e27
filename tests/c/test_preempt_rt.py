"""CONFIG_PREEMPT_RT: what fpregs_lock(), BH, softirqs and spin locks are there, for the kernel around and for C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_judged import diff
from test_trees import tree

from pasidlab.checking.api import CheckResult, check
from pasidlab.cli import _group
from pasidlab.designs import Opening
from pasidlab.errors import PasidlabError
from pasidlab.model.scope import Scope

RT = ("CONFIG_PREEMPT_RT=y",)
ALONE = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq"}))
SIGNALS = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "softirq", "signal"}))
BH = "void fpregs_lock(void)\n{\n\tlocal_bh_disable();\n}\n\nvoid fpregs_unlock(void)\n{\n\tlocal_bh_enable();\n}\n"
RT_AWARE = BH.replace("\tlocal_bh_", "\tif (IS_ENABLED(CONFIG_PREEMPT_RT))\n\t\tpreempt_XX();\n\telse\n\t\tlocal_bh_")
RT_AWARE = RT_AWARE.replace("XX", "disable", 1).replace("XX", "enable", 1)
LOCKED = """
static DEFINE_SPINLOCK(mine);
static DEFINE_RAW_SPINLOCK(raw);
bool try_fixup_enqcmd_gp(void)
{
	unsigned long flags;

	if (!mm_valid_pasid(current->mm) || current->pasid_activated)
		return false;
	%s;
	wrmsrl(MSR_IA32_PASID, current->mm->pasid | MSR_IA32_PASID_VALID);
	current->pasid_activated = 1;
	%s;
	return true;
}
"""
ON = "local_irq_enable(); preempt_disable(); "


def broken(result: CheckResult) -> set[str]:
    """The properties that do not hold."""
    return {c.property for c in result.counterexamples}


def test_the_merged_design_holds() -> None:
    design = Opening("early", config=RT).design()
    assert check(design, ALONE).holds
    assert design.notes == ("the kernel around has CONFIG_PREEMPT_RT",)


def test_a_hard_interrupt_inside_fpregs_lock() -> None:
    """irq_fpu_usable() asks softirq_count(), which fpregs_lock() leaves alone there."""
    scope = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"preempt", "signal", "hardirq"}))
    assert "preserved" in broken(check(Opening("early", config=RT).design(), scope, properties=["preserved"]))
    assert check(Opening("early", config=("CONFIG_PREEMPT_RT=n",)).design(), scope, properties=["preserved"]).holds


@pytest.mark.parametrize(("text", "config", "holds"), [(BH, (), True), (BH, RT, False), (RT_AWARE, RT, True), (RT_AWARE, (), True)])
def test_bh_does_not_keep_preemption_away(checked: Callable[..., CheckResult], text: str, config: tuple[str, ...], holds: bool) -> None:
    """What cba08c5dc6dc (v5.11) mends."""
    result = checked(text, SIGNALS, config=config)
    assert not broken(result) if holds else {"preserved", "coherent"} <= broken(result)


@pytest.mark.parametrize(("take", "give", "rt", "why"), [
    ("spin_lock(&mine)", "spin_unlock(&mine)", RT, "takes a sleeping spin lock in atomic context: interrupts disabled"),
    ("spin_lock_irqsave(&mine, flags)", "spin_unlock_irqrestore(&mine, flags)", RT, "interrupts disabled"),
    ("raw_spin_lock(&raw)", "raw_spin_unlock(&raw)", RT, ""), ("spin_lock(&mine)", "spin_unlock(&mine)", (), ""),
    (f"{ON}spin_lock_bh(&mine)", "spin_unlock_bh(&mine); preempt_enable()", RT, "preemption disabled"),
    ("preempt_disable(); if (spin_trylock(&mine)) spin_unlock(&mine)", "preempt_enable()", RT, ""),
    ("local_irq_enable(); spin_lock(&mine); might_sleep()", "spin_unlock(&mine)", RT, "inside rcu_read_lock()"),
    ("local_irq_enable(); guard(spinlock_irqsave)(&mine); WARN_ON(irqs_disabled()); fpregs_lock()", "fpregs_unlock()", RT, ""),
    ("local_irq_enable(); spin_lock(&mine); spin_lock(&mine)", "spin_unlock(&mine)", RT, "taken twice by the same task"),
    ("local_irq_enable(); spin_lock(&mine); spin_unlock(&mine); spin_unlock(&mine)", "barrier()", RT, "by a task that does not hold it"),
    ("local_irq_enable(); migrate(); local_bh_disable()", "barrier()", RT, "with BH or migration disabled"),
])  # fmt: skip
def test_spin_locks_sleep(checked: Callable[..., CheckResult], take: str, give: str, rt: tuple[str, ...], why: str) -> None:
    result = checked(LOCKED % (take, give), TINY, config=rt, stubs=("migrate=noop",))
    told = [c.sentence for c in result.counterexamples if c.property == "sound_kernel"]
    assert why in told[0] if why else not told


TINY = Scope(cpus=1, tasks=1, mms=1, pasids=1, events=frozenset({"softirq"}))
COUNTS = [
    "in_softirq() || in_atomic() || in_interrupt() || !preemptible() || preempt_count()", "({ local_bh_disable(); int r = !in_softirq() || "
    "softirq_count() != 0x200 || in_serving_softirq() || in_atomic() || !preemptible() || preempt_count(); local_bh_enable(); r; })",
    "({ local_bh_disable(); local_bh_disable(); local_bh_enable(); int r = softirq_count() != 0x200; local_bh_enable(); r; })",
    "({ local_bh_disable(); int r = !in_interrupt(); local_bh_enable(); r; })",
    "({ fpregs_lock(); int r = softirq_count() || !in_atomic() || preempt_count() != 1 || !in_task(); fpregs_unlock(); r; })",
    "({ preempt_disable_nested(); int r = !preempt_count(); preempt_enable_nested(); r; })",
]  # fmt: skip


def test_what_counts(checked: Callable[..., CheckResult]) -> None:
    asked = "; ".join(f"WARN_ON({one})" for one in COUNTS)
    text = LOCKED % (f"local_irq_enable(); {asked}; lockdep_assert_RT_in_threaded_ctx(); fpregs_lock()", "fpregs_unlock()")
    result = checked(text, TINY, config=RT)
    assert not [c.sentence for c in result.counterexamples if c.property == "sound_kernel"]


def test_a_real_fix_of_rt(tmp_path: Path) -> None:
    """cba08c5dc6dc: before it is broken there, after it it holds."""
    file = "arch/x86/include/asm/fpu/api.h"
    kernel, patch = tree(tmp_path, **{file: BH}), tmp_path / "rt.patch"
    patch.write_text(diff(file, BH, RT_AWARE))
    scope = ["--events", "preempt,softirq,signal", "--cpus", "1", "--tasks", "1", "--mms", "1", "--jobs", "1"]
    options = ["check", str(patch), "--kernel", kernel, "--compare", "-q", "--allow-unjudged", "*", "--config", RT[0], *scope]
    done = CliRunner().invoke(_group, options, standalone_mode=False)
    assert (done.return_value, "better: coherent" in done.output) == (0, True), done.output


def test_who_may_ask_for_it(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("from pasidlab.declare import local_bh_disable\n\n\ndef fpregs_lock() -> None:\n    local_bh_disable()\n")
    with pytest.raises(PasidlabError, match=r"mine.py:5:5: local_bh_disable\(\) is that of a kernel without CONFIG_PREEMPT_RT"):
        Opening(str(mine), config=RT).design()
    with pytest.raises(PasidlabError, match="are for C files"):
        Opening("early", config=("CONFIG_SMP=n",)).design()
