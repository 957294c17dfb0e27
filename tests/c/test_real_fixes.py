"""Real fixes of arch/x86/kernel/fpu in extracts of our own wording: broken before, mended after, by ``--compare``.

Not here, and why: docs/kernel-developers.md, "Real fixes".
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_judged import CORE_FILE, diff
from test_trees import CDEV, CHECK, CORE, FORK, tree

from pasidlab.cli import _group

EXEC = """
void fpu_reset_fpregs(void)
{
	struct fpu *fpu = x86_task_fpu(current);

	fpregs_lock();
	__fpu_invalidate_fpregs_state(fpu);
	memcpy(&fpu->fpstate->regs, &init_fpstate.regs, init_fpstate_copy_size());
	set_thread_flag(TIF_NEED_FPU_LOAD);
	fpregs_unlock();
}
"""
SIGNAL = """
void fpu__clear_user_states(struct fpu *fpu)
{
	fpregs_lock();
	if (!fpregs_state_valid(fpu, smp_processor_id()))
		os_xrstor_supervisor(fpu->fpstate);
	restore_fpregs_from_init_fpstate(XFEATURE_MASK_USER_RESTORE);
	fpregs_mark_activate();
	fpregs_unlock();
}
"""
XRSTOR_FAILED = "\t\tif (test_thread_flag(TIF_NEED_FPU_LOAD))\n\t\t\t__cpu_invalidate_fpregs_state();\n"
SUPERVISOR = "\tif (test_thread_flag(TIF_NEED_FPU_LOAD))\n\t\tos_xrstor_supervisor(fpu->fpstate);\n"
FAST_PATH = f"""static bool restore_fpregs_from_user(void __user *buf, u64 xrestore, bool fx_only)
{{
	struct fpu *fpu = x86_task_fpu(current);
	int fault;

again:
	fpregs_lock();
	fault = xrstor_from_user_sigframe(buf, xrestore);
	if (fault) {{
{XRSTOR_FAILED}		fpregs_unlock();
		if (fault == X86_TRAP_PF && !fault_in_readable(buf, 8))
			goto again;
		return false;
	}}
{SUPERVISOR}	fpregs_mark_activate();
	fpregs_unlock();
	return true;
}}
"""
SLOW_PATH = """
static bool __fpu_restore_sig(void __user *buf, void __user *buf_fx, bool ia32_fxstate)
{
	struct fpu *fpu = x86_task_fpu(current);
	u64 kept;

	if (!ia32_fxstate)
		return restore_fpregs_from_user(buf_fx, XFEATURE_MASK_USER_RESTORE, false);
	fpregs_lock();
	if (!test_thread_flag(TIF_NEED_FPU_LOAD)) {
		os_xsave(fpu->fpstate);
		set_thread_flag(TIF_NEED_FPU_LOAD);
	}
	__fpu_invalidate_fpregs_state(fpu);
	__cpu_invalidate_fpregs_state();
	fpregs_unlock();
	if (copy_sigframe_from_user_to_xstate(current, buf_fx))
		return false;
	fpregs_lock();
	kept = XFEATURE_MASK_USER_RESTORE | xfeatures_mask_supervisor();
	fpu->fpstate->regs.xsave.header.xfeatures &= kept;
	if (!os_xrstor_safe(fpu->fpstate, fpu_kernel_cfg.max_features))
		fpregs_mark_activate();
	fpregs_unlock();
	return true;
}
"""
SIGFRAME = FAST_PATH + SLOW_PATH
SIGFRAMES = "arch/x86/kernel/fpu/signal.c"
PERMISSIONS = "\tfpregs_unlock();\n\tfpu_inherit_perms(dst_fpu);\n"
CLONE = CORE.replace("\tfpregs_unlock();\n\tdst_fpu->", f"{PERMISSIONS}\tdst_fpu->")
ENDS = FORK + """
void __mmdrop(struct mm_struct *mm)
{
	mm_pasid_drop(mm);
	free_what_is_left(mm);
}

static inline void __mmput(struct mm_struct *mm)
{
	exit_mmap(mm);
	mmdrop(mm);
}
"""
TOO_EARLY = ENDS.replace("\tmm_pasid_drop(mm);\n", "").replace("\tmmdrop(mm);", "\tmm_pasid_drop(mm);\n\tmmdrop(mm);")
SVA = """void mm_pasid_drop(struct mm_struct *mm)
{
	if (!mm->iommu_mm)
		return;
	iommu_free_global_pasid(mm->iommu_mm->pasid);
	mm->iommu_mm = NULL;
}
"""
FIXES = {
    "d8778e393afa": (  # v5.13: XRSTOR of a frame that failed may have changed the registers already
        SIGFRAMES, SIGFRAME, XRSTOR_FAILED, "", "--cpus 1 --tasks 1 --mms 1 --events preempt,signal,fault", "coherent",
    ),
    "55e00fb66fd5": (  # v5.8: sigreturn restores the supervisor components as well
        SIGFRAMES, SIGFRAME, SUPERVISOR, "", "--cpus 2 --tasks 1 --mms 1 --events preempt,migrate,signal", "preserved",
    ),
    "9301982c424a": (  # v5.13: what a frame lacks is taken out of XSTATE_BV, but for supervisor components
        SIGFRAMES, SIGFRAME, "USER_RESTORE | xfeatures_mask_supervisor()", "USER_RESTORE",
        "--cpus 1 --tasks 1 --mms 1 --events preempt,signal", "preserved",
    ),
    "36b038791e1e": (  # v6.1: siglock is not taken inside fpregs_lock(), as it sleeps with PREEMPT_RT
        CORE_FILE, CLONE, PERMISSIONS, "\tfpu_inherit_perms(dst_fpu);\n\tfpregs_unlock();\n",
        "--cpus 1 --tasks 2 --mms 2 --events fork --config CONFIG_PREEMPT_RT=y", "sound_kernel",
    ),
    "2667ed10d9f0": (  # v5.18: the PASID stays with the mm as long as a bond has a reference to it
        "kernel/fork.c", ENDS, ENDS, TOO_EARLY, "--cpus 1 --tasks 2 --mms 2 --events bind,exit", "isolated",
    ),
    "59f5ede3bc0f": (  # v5.18: irq_fpu_usable() looks at softirq_count()
        CORE_FILE, CORE, "\treturn !in_hardirq() || !softirq_count();\n", "\treturn true;\n",
        "--cpus 1 --tasks 1 --mms 1 --events preempt,signal,hardirq", "preserved",
    ),
    "dc7507ddce59": (  # v5.18: a child does not get its parent's PASID
        CORE_FILE, CORE, "\tdst_fpu->fpstate->regs.xsave.header.xfeatures &= ~XFEATURE_MASK_PASID;\n", "",
        "--cpus 1 --tasks 2 --mms 2 --events preempt,fork", "refused",
    ),
    "1f69383b203e": (  # v6.1: exec gives up the copies of the task's image, not those in this CPU
        CORE_FILE, CORE + EXEC, "\t__fpu_invalidate_fpregs_state(fpu);\n", "\tfpregs_deactivate(fpu);\n",
        "--cpus 2 --tasks 1 --mms 2 --events preempt,migrate,exec", "coherent",
    ),
    "b860eb8dce59": (  # v5.8: a signal clears the user components, and leaves the supervisor's
        CORE_FILE, CORE + SIGNAL, "init_fpstate(XFEATURE_MASK_USER_RESTORE)", "init_fpstate(XFEATURE_MASK_FPSTATE)",
        "--cpus 1 --tasks 1 --mms 1 --events preempt,signal", "preserved",
    ),
    "8dfa57aabff6": (  # v6.15: who has the device's file from its parent may neither write to it nor map its portal
        "drivers/dma/idxd/cdev.c", CDEV, CHECK, "", "--cpus 1 --tasks 2 --mms 2 --events preempt,fork,write", "isolated",
    ),
}  # fmt: skip


@pytest.mark.skipif("PASIDLAB_LONG" not in os.environ, reason="half a minute: PASIDLAB_LONG=1")
@pytest.mark.parametrize("name", FIXES)
def test_a_real_fix(name: str, tmp_path: Path) -> None:
    file, after, new, old, scope, better = FIXES[name]
    assert new in after
    before = after.replace(new, old)
    kernel = tree(tmp_path, **{"drivers/iommu/iommu-sva.c": SVA, file: before})
    patch = tmp_path / f"{name}.patch"
    patch.write_text(diff(file, before, after))
    options = ["check", str(patch), "--kernel", kernel, "--compare", "-q", "--jobs", "1", "--allow-unjudged", "*", *scope.split()]
    done = CliRunner().invoke(_group, options, standalone_mode=False)
    told = [line for line in done.output.split("\n") if "better:" in line]
    assert told and better in told[0], done.output
    assert "worse" not in done.output
