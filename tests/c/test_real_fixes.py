"""Real fixes of arch/x86/kernel/fpu in extracts of our own wording: broken before, mended after, by ``--compare``.

Not here, and why: 2667ed10d9f0 (iommu/sva: the PASID outlives __mmput()) moves a line between functions of which one is the model's own;
59c4bd853abc (the owner of the registers is read anew) mends what a compiler keeps, and every access is one here.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_judged import CORE_FILE, diff
from test_trees import CDEV, CHECK, CORE, tree

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
FIXES = {
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
    kernel = tree(tmp_path, **{file: before})
    patch = tmp_path / f"{name}.patch"
    patch.write_text(diff(file, before, after))
    options = ["check", str(patch), "--kernel", kernel, "--compare", "-q", "--jobs", "1", "--allow-unjudged", "*", *scope.split()]
    done = CliRunner().invoke(_group, options, standalone_mode=False)
    told = [line for line in done.output.split("\n") if "better:" in line]
    assert told and better in told[0], done.output
    assert "worse" not in done.output
